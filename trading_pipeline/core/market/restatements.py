"""Restatements: deliveries of the same bars or actions over time, and what is known of them when.

A delivery is what was known at one `known_at`. A delivery that repeats a row twice counts it once;
one that contradicts itself keeps all its rows, for the quality gate to set aside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading_pipeline.core.market.action_kinds import is_void, voided
from trading_pipeline.core.market.corporate_actions import require_columns
from trading_pipeline.errors import SettingsError

BARS_KEY = ("symbol", "session")
"""What a delivered bar is about."""

ACTIONS_KEY = ("symbol", "ex_date", "kind")
"""What a delivered corporate action is about."""

_WHEN = ("vendor", "known_at")


@dataclass(frozen=True, slots=True)
class Merged:
    """All rows to keep, and the cells in which the new ones differ from what was held.

    frame: every delivery's rows that said something new, sorted by key and known_at;
    restated: the key's columns, column, old, new (old and new are float64, null for no value).
    """

    frame: pl.DataFrame
    restated: pl.DataFrame


def current(
    deliveries: pl.DataFrame,
    as_known_at: datetime | None = None,
    *,
    key: Sequence[str] = BARS_KEY,
) -> pl.DataFrame:
    """The newest rows known at `as_known_at` (default: of all), one a key, sorted by key.

    Columns stay. Only a delivery that contradicts itself leaves several rows of a key.
    """
    require_columns(deliveries, (*key, "known_at"), "Deliveries")
    if as_known_at is not None:
        if as_known_at.tzinfo is None:
            raise SettingsError(
                f"The time {as_known_at} has no time zone: an aware one is expected."
            )
        deliveries = deliveries.filter(pl.col("known_at") <= as_known_at)
    rows = deliveries.lazy()
    if deliveries["known_at"].min() != deliveries["known_at"].max():
        rows = rows.filter(pl.col("known_at") == pl.col("known_at").max().over(key))
    return rows.unique(maintain_order=True).sort(key, maintain_order=True).collect()


def known_actions(deliveries: pl.DataFrame, as_known_at: datetime | None = None) -> pl.DataFrame:
    """The corporate actions known at `as_known_at`, without those that were taken back."""
    return current(deliveries, as_known_at, key=ACTIONS_KEY).filter(~is_void())


def withdrawn(
    held: pl.DataFrame, delivered: pl.DataFrame, *, vendor: str, known_at: datetime
) -> pl.DataFrame:
    """The rows that say of the vendor's known actions which `delivered` lacks: taken back.

    A vendor that moves an ex-date delivers the new one and no longer the old one. The rows have
    ratio 1, dividend 0 and no new symbol, so that whoever adjusts by them changes nothing.
    """
    known = known_actions(held, known_at).filter(pl.col("vendor") == vendor)
    return known.join(delivered, on=ACTIONS_KEY, how="anti", maintain_order="left").with_columns(
        **voided(),
        known_at=pl.lit(known_at).cast(pl.Datetime("us", "UTC")),
    )


def merge(held: pl.DataFrame, delivered: pl.DataFrame, *, key: Sequence[str] = BARS_KEY) -> Merged:
    """Add a delivery to those held: what repeats the delivery before it adds nothing.

    Merging is idempotent, of identical deliveries the earliest is kept, and deliveries that differ
    leave the same rows in whatever order they come. Both frames have the same columns, `known_at`
    among them; values are compared in all
    columns but vendor and known_at.
    """
    require_columns(delivered, (*key, "known_at"), "Deliveries")
    frame = _without_repeats(pl.concat([held, delivered.select(held.columns)]), key)
    return Merged(frame, _restated(current(held, key=key), current(frame, key=key), key))


def _without_repeats(deliveries: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Drop each delivery of a key whose set of values is that of the delivery before it."""
    values = [name for name in deliveries.columns if name not in _WHEN]
    of_delivery = [*key, "known_at"]
    distinct = deliveries.unique([*values, "known_at"], keep="first", maintain_order=True)
    # The xor of hashes stands for the set of a delivery's rows; they are distinct: none cancel.
    contents = (
        distinct.select(*of_delivery, content=pl.struct(values).hash())
        .group_by(of_delivery)
        .agg(pl.col("content").bitwise_xor())
        .sort(of_delivery)
    )
    repeats = pl.col("content") == pl.col("content").shift().over(key)
    anew = contents.filter(~repeats.fill_null(value=False))
    return distinct.join(anew, on=of_delivery, how="semi").sort(of_delivery, maintain_order=True)


def _restated(before: pl.DataFrame, after: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The numeric cells of keys known before that are not what they were."""
    numbers = [name for name, dtype in before.schema.items() if dtype.is_numeric()]
    old, new = (
        frame.unique(key, keep="first", maintain_order=True)
        .select(*key, pl.col(numbers).cast(pl.Float64))
        .join(other, on=[*key, *numbers], how="anti", nulls_equal=True)
        .unpivot(numbers, index=key, variable_name="column")
        for frame, other in ((before, after), (after, before))
    )
    pairs = old.join(new, on=[*key, "column"], how="inner", maintain_order="left")
    changed = pairs.filter(pl.col("value").ne_missing(pl.col("value_right")))
    return changed.rename({"value": "old", "value_right": "new"}).sort(key, maintain_order=True)
