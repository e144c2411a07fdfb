"""Bars side by side, a lane a symbol, so that an indicator is computed for all symbols at once."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.strategies.indicators import Values
from trading_pipeline.errors import SchemaError

FIELDS: Final = ("high", "low", "close", "volume")

_KEPT: Final = 32
"""Indicators that are kept: those of the newest rules, so that years of bars fit into memory."""

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Lanes:
    """The bars of each symbol from row 0 on, oldest first; sessions without a bar leave no gap.

    `keys` are symbol and session of every bar, sorted so; `row` and `lane` say where it lies.
    """

    keys: pl.DataFrame
    row: npt.NDArray[np.intp]
    lane: npt.NDArray[np.intp]
    high: Values
    low: Values
    close: Values
    volume: Values
    _known: dict[Hashable, Any] = field(
        default_factory=dict[Hashable, Any], init=False, compare=False
    )

    def of(self, indicator: Callable[..., _Found], *fields: str, **given: Any) -> _Found:
        """Return an indicator of these fields, made once however many rules ask for it."""
        known, key = self._known, (indicator, fields, tuple(sorted(given.items())))
        found = known.get(key)
        if found is None:
            found = indicator(*(getattr(self, name) for name in fields), **given)
            for oldest in list(known)[: max(len(known) + 1 - _KEPT, 0)]:
                known.pop(oldest, None)  # another thread may have done so
            known[key] = found
        return found

    def frame(self, columns: Mapping[str, Values]) -> pl.DataFrame:
        """Return symbol, session and the columns, NaN as null, sorted by session and symbol."""
        found = {name: values[self.row, self.lane] for name, values in columns.items()}
        values = pl.DataFrame(found, schema=dict.fromkeys(found, pl.Float64), nan_to_null=True)
        return pl.concat((self.keys, values), how="horizontal").sort("session", "symbol")

    def features(self, columns: Mapping[str, Values], version: str) -> pl.DataFrame:
        """Return the columns as features of a model: Float32, null where not known yet."""
        return self.frame(columns).select(
            "symbol",
            "session",
            pl.lit(version).alias("feature_version"),
            pl.col(*columns).cast(pl.Float32),
        )

    def scores(self, score: Values) -> pl.DataFrame:
        """Return symbol, session, score of every bar that has one."""
        return self.frame({"score": score}).drop_nulls()


def lay(bars: pl.DataFrame) -> Lanes:
    """Lay adjusted bars out in lanes; bars without finite prices and volume are no bars.

    Two bars of a symbol in one session are a SchemaError.
    """
    usable = pl.all_horizontal(pl.col(name).cast(pl.Float64).is_finite() for name in FIELDS)
    kept = bars.filter(usable).sort("symbol", "session")
    if not (twice := kept.filter(pl.struct("symbol", "session").is_duplicated())).is_empty():
        symbol, session = twice.select("symbol", "session").row(0)
        raise SchemaError(f"{symbol} has several bars in {session}: expected one.")
    lane = (kept["symbol"].rle_id() if kept.height else pl.Series([], dtype=pl.UInt32)).to_numpy()
    row = kept.select(pl.int_range(pl.len()).over("symbol")).to_series().to_numpy()
    shape = (int(row.max(initial=-1)) + 1, int(lane.max(initial=0)) + 1 if kept.height else 0)
    fields = {name: np.full(shape, np.nan) for name in FIELDS}
    for name, values in fields.items():
        values[row, lane] = kept[name].cast(pl.Float64).to_numpy()
    return Lanes(
        keys=kept.select("symbol", "session"),
        row=row.astype(np.intp),
        lane=lane.astype(np.intp),
        **fields,
    )
