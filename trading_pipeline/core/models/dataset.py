"""What a model learns from: features joined with labels, and the windows it is judged on.

The label of session t is known only when its interval has passed (LABEL_HORIZON sessions later),
so between two windows as many sessions are left out: no label of the earlier window reaches into
the later one (purge and embargo in one).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.features.normalize import zscore
from trading_pipeline.errors import FeatureMismatchError, MissingDataError, SchemaError

KEYS = ("symbol", "session", "feature_version")
"""The columns of a `features` frame that are no features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Rows a model can learn from.

    `rows`: symbol, session, the features (Float32), label (the raw return), target (the label as
    a z-score across its session); sorted by session and symbol; no label is missing.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    feature_version: str

    def sessions(self) -> list[date]:
        """Every session with a row, oldest first."""
        return self.rows["session"].unique().sort().to_list()

    def within(self, window: Sequence[date]) -> "Dataset":
        """The rows of the sessions of `window`, without a copy of them."""
        days = self.rows["session"]
        first, end = days.search_sorted(window[0], "left"), days.search_sorted(window[-1], "right")
        return replace(self, rows=self.rows.slice(first, end - first))

    def target(self) -> npt.NDArray[np.float32]:
        """The target as LightGBM takes it."""
        return self.rows["target"].cast(pl.Float32).to_numpy()

    def digest(self) -> str:
        """SHA-256 of every value in it: two datasets with one digest train one model."""
        found = hashlib.sha256("\n".join([*self.rows.columns, *self.rows["symbol"]]).encode())
        for column in self.rows.drop("symbol").iter_columns():
            found.update(column.to_physical().to_numpy().tobytes())
        return found.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Three windows of sessions, each after the other: learn, stop early, be judged."""

    train: tuple[date, ...]
    valid: tuple[date, ...]
    test: tuple[date, ...] = ()


def feature_columns(features: pl.DataFrame) -> tuple[str, ...]:
    """The names of the features of a frame, in its order."""
    return tuple(name for name in features.columns if name not in KEYS)


def feature_version(features: pl.DataFrame) -> str | None:
    """The one version of all rows, None without rows; several raise FeatureMismatchError."""
    versions = features["feature_version"].unique().sort().to_list()
    if len(versions) > 1:
        raise FeatureMismatchError(
            f"Features of several versions ({', '.join(versions)}) cannot be used together: "
            "materialize the older sessions again."
        )
    return versions[0] if versions else None


def build(features: pl.DataFrame, labels: pl.DataFrame) -> Dataset:
    """Join `features` with `labels` (symbol, session, label) row by row; rows without one go.

    Two labels or two feature rows for one symbol and session raise SchemaError; no row at all
    raises MissingDataError.
    """
    try:
        joined = features.join(
            labels.select("symbol", "session", "label").drop_nulls("label"),
            on=["symbol", "session"],
            how="inner",
            validate="1:1",
        )
    except pl.exceptions.ComputeError as error:
        raise SchemaError(
            "A symbol has several features or labels in one session: one of each is expected."
        ) from error
    version = feature_version(joined)
    if version is None:
        raise MissingDataError(
            f"None of {len(features)} feature rows has a label: later bars are expected."
        )
    rows = joined.drop("feature_version").sort("session", "symbol")
    return Dataset(
        rows=rows.with_columns(target=zscore("label")),
        features=feature_columns(features),
        feature_version=version,
    )


def to_arrow(dataset: Dataset) -> Any:
    """The features as one pyarrow.Table of float32, nulls kept: LightGBM reads it as it is."""
    features: Any = dataset.rows.select(dataset.features).cast(pl.Float32)
    return features.to_arrow()


def walk_forward(
    sessions: Sequence[date], *, train: int, valid: int, test: int, embargo: int
) -> list[Split]:
    """Every split that fits, oldest first; the last ends at the newest session.

    The test windows follow each other without gap or overlap; `embargo` sessions are left out
    between train and valid and between valid and test.
    """
    length = train + valid + test + 2 * embargo
    starts = range(len(sessions) - length, -1, -test)
    splits = [
        _split(sessions[start:], train=train, valid=valid, test=test, embargo=embargo)
        for start in starts
    ]
    return splits[::-1]


def newest_split(sessions: Sequence[date], *, train: int, valid: int, embargo: int) -> Split:
    """The split of the model that will trade: nothing to be judged on, ending at the newest."""
    start = len(sessions) - train - valid - embargo
    if start < 0:
        raise MissingDataError(
            f"{len(sessions)} labeled sessions are too few to train on: "
            f"{train} + {embargo} + {valid} are expected."
        )
    return _split(sessions[start:], train=train, valid=valid, test=0, embargo=embargo)


def _split(sessions: Sequence[date], *, train: int, valid: int, test: int, embargo: int) -> Split:
    second = train + embargo
    third = second + valid + embargo
    return Split(
        train=tuple(sessions[:train]),
        valid=tuple(sessions[second : second + valid]),
        test=tuple(sessions[third : third + test]),
    )
