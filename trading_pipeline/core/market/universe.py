"""The universe: the symbols that may trade in a session, by membership, price and liquidity."""

import json
import re
from collections.abc import Sequence, Sized
from datetime import date
from hashlib import sha256
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from trading_pipeline.core.market.calendar import session_window, sessions_between
from trading_pipeline.core.market.corporate_actions import require_columns
from trading_pipeline.errors import SettingsError

SYMBOL: Final = r"^[A-Z0-9^][A-Z0-9.^/=_-]{0,31}$"
"""What a symbol is written with, as BRK.B, BF-B, BTC/USD, ^GSPC: it stands in pages and keys."""

MEMBERS: Final = {"symbol": pl.String, "first": pl.Date, "last": pl.Date}
"""The columns of membership: a symbol belongs from `first` through `last`, null while it does."""

REASONS: Final = (
    "not_a_member",
    "blocked",
    "no_bar",
    "suspect",
    "below_price",
    "below_liquidity",
)
"""Why a symbol is not of the universe; of several the first."""

_KEY: Final = ["symbol", "session"]


def require_symbols(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names; SettingsError for one that is no symbol."""
    if wrong := next((name for name in names if not re.fullmatch(SYMBOL, name)), None):
        raise SettingsError(f"{wrong!r} among the symbols is none: expected one such as BRK.B.")
    return tuple(names)


class UniverseRules(BaseModel):
    """Which of the asked symbols may trade; a floor of 0 asks for nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blocklist: str = Field(default="", description="symbols that never trade, comma-separated")
    min_price: float = Field(default=0, ge=0, description="smallest raw close, in dollars")
    min_dollar_volume: float = Field(
        default=0,
        ge=0,
        description="smallest median of close · volume, in dollars a session",
    )
    liquidity_sessions: int = Field(
        default=20, ge=1, le=250, description="sessions over which that median is taken"
    )

    @field_validator("blocklist")
    @classmethod
    def _in_order(cls, value: str) -> str:
        names = {name.strip().upper() for name in value.split(",")}
        return ",".join(sorted(names - {""}))

    @property
    def blocked(self) -> frozenset[str]:
        """The symbols of the blocklist."""
        return frozenset(self.blocklist.split(",")) - {""}


def universe(
    symbols: Sequence[str],
    sessions: Sequence[date],
    bars: pl.DataFrame,
    *,
    suspects: pl.DataFrame,
    members: pl.DataFrame | None,
    rules: UniverseRules,
) -> pl.DataFrame:
    """Judge each asked symbol in each session, as known at its close: symbol, session, reason.

    `reason` is one of REASONS, null for what may trade. `bars` are clean ones, raw, that reach back
    over `rules.liquidity_sessions` before the first session; `suspects` has symbol and session of
    those not trusted yet. `members` has the columns MEMBERS; None takes every symbol in. The rows
    are sorted by session and symbol.
    """
    require_columns(bars, (*_KEY, "close", "volume"), "Clean bars")
    asked = pl.LazyFrame({"symbol": sorted(set(symbols))}, schema={"symbol": pl.String}).join(
        pl.LazyFrame({"session": sorted(set(sessions))}, schema={"session": pl.Date}), how="cross"
    )
    found = (
        asked.join(_measured(bars, sessions, rules), on=_KEY, how="left")
        .join(_flagged(suspects, "is_suspect"), on=_KEY, how="left")
        .join(_flagged(_belonging(members, sessions), "is_member"), on=_KEY, how="left")
    )
    return (
        found.select(*_KEY, reason=_reason(rules, everyone=members is None))
        .sort("session", "symbol")
        .collect()
    )


def version(rules: UniverseRules, members: pl.DataFrame | None) -> str:
    """Name what a universe is made by: twelve hexadecimal digits of its rules and membership."""
    rows = None if members is None else members.sort(members.columns).rows()
    told = json.dumps([rules.model_dump(), rows], default=str, sort_keys=True)
    return sha256(told.encode()).hexdigest()[:12]


def require_room(universe: Sized, top_n: int, bottom_n: int) -> None:
    """Raise SettingsError with the numbers when the universe is too small for the portfolio."""
    if (needed := top_n + bottom_n) > len(universe):
        raise SettingsError(
            f"{top_n} long and {bottom_n} short positions need {needed} symbols, but the universe"
            f" has {len(universe)}: ask for fewer positions or for more symbols."
        )


def _measured(bars: pl.DataFrame, sessions: Sequence[date], rules: UniverseRules) -> pl.LazyFrame:
    """The close of each bar, and the median of what changed hands over the sessions up to it."""
    window = f"{rules.liquidity_sessions}i"
    start = session_window(min(sessions), rules.liquidity_sessions)[0]
    days = sessions_between(start, max(sessions))
    number = {day: place for place, day in enumerate(days)}
    traded = (pl.col("close") * pl.col("volume")).alias("traded")
    return (
        bars.lazy()
        .filter(pl.col("session").is_in(days))
        .select(
            *_KEY,
            "close",
            traded,
            _day=pl.col("session").replace_strict(number, return_dtype=pl.Int64),
        )
        .sort("symbol", "_day")
        .with_columns(liquidity=pl.col("traded").rolling_median_by("_day", window).over("symbol"))
        .select(*_KEY, "close", "liquidity")
    )


def _belonging(members: pl.DataFrame | None, sessions: Sequence[date]) -> pl.DataFrame:
    """The sessions in which each symbol is a member."""
    if members is None:
        return pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date})
    require_columns(members, tuple(MEMBERS), "Members")
    days = pl.DataFrame({"session": sorted(set(sessions))}, schema={"session": pl.Date})
    ends = pl.col("last").is_null() | (pl.col("session") <= pl.col("last"))
    return members.join(days, how="cross").filter(pl.col("session") >= pl.col("first"), ends)


def _flagged(rows: pl.DataFrame, name: str) -> pl.LazyFrame:
    return rows.lazy().select(_KEY).unique().with_columns(pl.lit(value=True).alias(name))


def _reason(rules: UniverseRules, *, everyone: bool) -> pl.Expr:
    held = {
        "not_a_member": pl.lit(value=False) if everyone else pl.col("is_member").is_null(),
        "blocked": pl.col("symbol").is_in(sorted(rules.blocked)),
        "no_bar": pl.col("close").is_null(),
        "suspect": pl.col("is_suspect").fill_null(value=False),
        "below_price": pl.col("close") < rules.min_price,
        "below_liquidity": pl.col("liquidity") < rules.min_dollar_volume,
    }
    return pl.coalesce([pl.when(holds).then(pl.lit(reason)) for reason, holds in held.items()])
