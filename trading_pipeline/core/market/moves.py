"""Moves too large to be taken as they are, and what the next bar made of each."""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trading_pipeline.core.market.codes import (
    DAYS,
    coded,
    codes_of,
    named,
    order_by_symbol,
    places,
)
from trading_pipeline.core.market.corporate_actions import Convention, action_factors
from trading_pipeline.core.market.instruments import by_instrument, by_symbol, lives

LONGEST_PAUSE: Final = 15
"""Days after which a bar begins a new stretch: over weeks, a large move is no surprise."""

LEFT_OF_MOVE: Final = 0.25
"""The part of a move, in logarithms, that may be left where the price is back where it was.

A wrong price is followed by one near that before it; a true fall of 40 % may recover by half.
"""

_MEASURED: Final = ("symbol", "session", "close", "volume")

Floats = NDArray[np.float64]


def too_large(
    sound: pl.DataFrame, actions: pl.DataFrame, *, limit: float, convention: Convention
) -> pl.DataFrame:
    """The bars whose adjusted close moves by more than `limit` against both of the two before it.

    `sound` is sorted by session and symbol, a row each. Added are move, the size of the daily
    return, and what the next bar of the instrument says of it: verdict and decided_in.
    """
    stands_for = lives(actions)
    by_id = by_instrument(sound, stands_for)
    told = by_instrument(actions, stands_for, "ex_date")
    codes = codes_of(by_id)
    by_id = coded(by_id, codes)
    order = order_by_symbol(by_id["symbol"])
    rows = by_id.select(_MEASURED)[order]
    at, said = _found(rows, _steps(rows, coded(told, codes), convention), limit)
    found = by_id[order.gather(at)].hstack(said)
    return by_symbol(named(found), stands_for).sort("session", "symbol")


def _found(
    rows: pl.DataFrame, step: Floats, limit: float
) -> tuple[NDArray[np.int64], pl.DataFrame]:
    """Which rows move too far, and move, verdict and decided_in of each."""
    close, key = rows["close"].to_numpy(), _keys(rows)
    follows = np.diff(key, prepend=-DAYS) <= LONGEST_PAUSE
    daily, over_two = _change(close, step, 1), _change(close, step * _before(step), 2)
    daily[~follows] = np.nan
    over_two[~(follows & _before(follows))] = np.nan
    at = np.flatnonzero((daily > limit) & ~(over_two <= limit))
    after = np.minimum(at + 1, max(len(rows) - 1, 0))
    is_told = (after > at) & follows[after]
    since = step[at] / close[at - 1]
    moved, left = np.log(close[at] * since), np.log(close[after] * step[after] * since)
    is_back = np.abs(left) <= LEFT_OF_MOVE * np.abs(moved)
    reverted = (daily[after] > limit) & (over_two[after] <= limit) & is_back
    verdict = np.where(reverted, "reverted", "confirmed")
    return at, pl.DataFrame(
        [
            pl.Series("move", daily[at], dtype=pl.Float64),
            pl.Series("verdict", np.where(is_told, verdict, ""), dtype=pl.String).replace("", None),
            rows["session"][after].set(pl.Series(~is_told), None).alias("decided_in"),
        ]
    )


def _steps(rows: pl.DataFrame, actions: pl.DataFrame, convention: Convention) -> Floats:
    """What each close is multiplied by to compare it with the one before.

    Only the actions between two neighboring bars enter, so no later action can change a verdict. A
    dividend of the whole price or more explains nothing: adjusting by it is an error of its own.
    """
    steps = np.ones(len(rows))
    factors = action_factors(rows, actions, convention=convention)
    factors = factors.filter(pl.col("session").is_not_null(), pl.col("price_factor") > 0)
    if len(factors):
        at = np.searchsorted(_keys(rows), _keys(factors))
        np.multiply.at(steps, at, 1 / factors["price_factor"].to_numpy())
    return steps


def _keys(rows: pl.DataFrame) -> NDArray[np.int64]:
    codes = rows.schema["symbol"]
    assert isinstance(codes, pl.Enum)  # noqa: S101 - the rows are coded
    return places(rows, "session", codes).to_numpy()


def _change(close: Floats, step: Floats, bars: int) -> Floats:
    """How far each close is from the one so many rows before, as a part of it."""
    found = np.full(len(close), np.nan)
    found[bars:] = np.abs(close[bars:] * step[bars:] / close[:-bars] - 1)
    return found


def _before(values: NDArray[Any]) -> NDArray[Any]:
    """The value of the row before; of the first, its own."""
    return np.concatenate([values[:1], values[:-1]])
