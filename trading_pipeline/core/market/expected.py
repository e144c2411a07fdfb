"""Which symbols should have a bar in a session: those that had one not long before it."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import polars as pl

from trading_pipeline.core.market.calendar import session_window, sessions_between

LOOK_BACK: Final = 70
"""Sessions after its last bar for which a symbol is still expected to have one."""

KEY: Final = ["symbol", "session"]


def numbered(bars: pl.DataFrame, sessions: Sequence[date], look_back: int) -> pl.DataFrame:
    """The bars of the sessions and of the `look_back` before the first, one a symbol and session.

    Sorted by symbol and `number`, that of the session among those of the exchange; of several
    copies of a bar the first.
    """
    days = _days(sessions, look_back)
    numbers = pl.DataFrame({"session": days}, schema={"session": pl.Date}).with_row_index("number")
    return (
        bars.lazy()
        .join(numbers.lazy(), on="session", how="inner", maintain_order="left")
        .with_columns(pl.col("number").cast(pl.Int64))
        .unique(KEY, keep="first", maintain_order=True)
        .sort("symbol", "number")
        .collect()
    )


def absent(bars: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """The expected symbols without a bar: symbol, session, last_session, sessions_behind.

    `bars` reach LOOK_BACK sessions before the first of the sessions, which are in order; what is
    later than a session is not known in it. Sorted by session and symbol.
    """
    days, last = _days(sessions, LOOK_BACK), pl.col("number")
    following = last.shift(-1).over("symbol").fill_null(len(days))
    until = pl.min_horizontal(following, last + LOOK_BACK + 1, pl.lit(len(days)))
    return (
        numbered(bars.select(KEY), sessions, LOOK_BACK)
        .with_columns(until=until)
        .filter(pl.col("until") > last + 1)
        .with_columns(at=pl.int_ranges(last + 1, pl.col("until")))
        .explode("at")
        .select(
            "symbol",
            session=pl.col("at").replace_strict(dict(enumerate(days)), return_dtype=pl.Date),
            last_session="session",
            sessions_behind=pl.col("at") - last,
        )
        .filter(pl.col("session").is_in(list(sessions)))
        .sort("session", "symbol")
    )


def _days(sessions: Sequence[date], look_back: int) -> list[date]:
    return sessions_between(session_window(sessions[0], look_back + 1)[0], sessions[-1])
