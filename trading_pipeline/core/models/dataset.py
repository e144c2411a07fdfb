"""What a model learns from: features joined with labels, and the windows it is judged on.

The label of session t is known only when its interval has passed (LABEL_HORIZON sessions later),
so between two windows as many sessions are left out: no label of the earlier window reaches into
the later one (purge and embargo in one).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import sqrt

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.features.normalize import zscore
from trading_pipeline.core.models.scaling import TargetScale
from trading_pipeline.errors import FeatureMismatchError, MissingDataError, SchemaError

KEYS = ("symbol", "session", "feature_version")
"""The columns of a `features` frame that are no features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Rows a model can learn from.

    `rows`: symbol, session, the features (Float32), label (the raw return), target (the label as
    a z-score or a rank across its session); sorted by session and symbol; no label is missing.
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
    versions = set(features["feature_version"].unique())
    return _only(versions) if versions else None


def _only(versions: set[str]) -> str:
    if len(versions) > 1:
        raise FeatureMismatchError(
            f"Features of several versions ({', '.join(sorted(versions))}) cannot be used "
            "together: materialize the older sessions again."
        )
    return next(iter(versions))


def build(features: pl.DataFrame, labels: pl.DataFrame, target: TargetScale = "zscore") -> Dataset:
    """Join `features` with `labels` (symbol, session, label) row by row; rows without one go.

    Two labels or two feature rows for one symbol and session raise SchemaError; no row at all
    raises MissingDataError.
    """
    return build_blocks([features], labels, target)


def build_blocks(
    blocks: Iterable[pl.DataFrame], labels: pl.DataFrame, target: TargetScale
) -> Dataset:
    """Join features that come in blocks of whole sessions, the older before the newer, as `build`.

    A block is asked for when the one before it is done with: what is held is never more than the
    dataset and one block.
    """
    known = labels.select("symbol", "session", "label").drop_nulls("label")
    parts, versions, names, rows = list[pl.DataFrame](), set[str](), tuple[str, ...](), 0
    for block in blocks:
        names, rows = feature_columns(block), rows + len(block)
        part = _labeled(block, known)
        del block  # what is done with makes room for the next
        versions.update(part["feature_version"].unique())
        parts.append(part.drop("feature_version").with_columns(target=_TARGETS[target]))
    if not versions:
        raise MissingDataError(f"None of {rows} feature rows has a label: later bars are expected.")
    return Dataset(
        rows=pl.concat(parts, rechunk=False),
        features=names,
        feature_version=_only(versions),
    )


def _labeled(features: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The rows with a label, sorted; features are copied only where a row goes or is moved."""
    keys = ["session", "symbol"]
    rows = features.select(keys)
    try:
        labels = rows.join(known, on=keys, how="left", validate="1:1", maintain_order="left")
    except pl.exceptions.ComputeError as error:
        raise SchemaError(
            "A symbol has several features or labels in one session: one of each is expected."
        ) from error
    found = features.with_columns(labels["label"])
    if labels["label"].null_count():
        found = found.filter(pl.col("label").is_not_null())
    if not found.select(pl.struct(keys).is_sorted()).item():
        return found.sort(keys)
    # As after a sort: sums over sessions that polars knows to be sorted have other last bits.
    return found.with_columns(pl.col("session").set_sorted())


def _rank(column: str) -> pl.Expr:
    """The place of a value in its session, ties sharing one: mean 0, standard deviation about 1."""
    x = pl.col(column).fill_nan(None)
    place = (x.rank() - 0.5) / x.count()
    return ((place - 0.5) * sqrt(12)).over("session")


_TARGETS: dict[TargetScale, pl.Expr] = {"zscore": zscore("label"), "rank": _rank("label")}


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
