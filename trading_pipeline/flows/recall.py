"""Features on demand: from the feature store where it holds them, from the lake where it does not.

The lake is the truth and the store a copy of it, so whoever writes features refreshes the copy, and
what decides on orders reads the lake.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.models.dataset import feature_columns, feature_version


def recall(
    lake: Lake,
    store: FeatureStore | None,
    kind: FeatureSet,
    *,
    session: date,
    symbols: Sequence[str],
) -> pl.DataFrame:
    """Return the stored features of these symbols in a session, sorted by symbol.

    What the store lacks is read from the lake at once and held for the next time. A symbol without
    features has no row. Features of another set than `kind` are returned and not held.
    """
    asked = sorted(set(symbols))
    held = store.get(kind, session, asked) if store else None
    known = set(held["symbol"]) if held is not None else set[str]()
    missing = [symbol for symbol in asked if symbol not in known]
    if held is not None and not missing:
        return held
    read = lake.read("features", session, session, symbols=missing)
    refresh(store, kind, read)
    parts = [part for part in (held, read) if part is not None and part.height]
    return pl.concat(parts).sort("symbol") if parts else read


def refresh(store: FeatureStore | None, kind: FeatureSet, features: pl.DataFrame) -> None:
    """Hold features that were just written, in place of what was held before."""
    if store is None or not _is_of(kind, features):
        return
    for (session,), rows in features.group_by("session"):
        assert isinstance(session, date)  # noqa: S101 - the column's type
        store.put(kind, session, rows)


def _is_of(kind: FeatureSet, features: pl.DataFrame) -> bool:
    return (feature_columns(features), feature_version(features)) == (kind.names, kind.version)
