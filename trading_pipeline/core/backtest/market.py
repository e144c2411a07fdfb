"""What each past session brought, from bars and corporate actions, and what was known then."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Final

import polars as pl

from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.market.calendar import FIRST_SESSION
from trading_pipeline.core.market.corporate_actions import on_sessions, require_columns

CLOSE: Final = "close"
"""The source of a mark."""

MARK_SESSIONS: Final = 10
"""How many sessions, its own included, a close serves as a mark; after them it is a delisting."""

_RATIO_TOLERANCE: Final = 1e-6
_LONGEST_CLOSURE: Final = timedelta(days=10)

BySession = Mapping[date, Mapping[str, Decimal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened: raw bars to fill and value at, corporate actions, and bars to decide on.

    `clean` are the bars that passed the quality gate, whose closes orders are sized at; by default
    the raw ones.
    """

    bars: pl.DataFrame
    actions: pl.DataFrame
    clean: pl.DataFrame | None = None


class Closes:
    """The newest close of each symbol, and for how many sessions it may serve as a mark."""

    def __init__(self) -> None:
        self.last: dict[str, Decimal] = {}
        self._at: dict[str, tuple[int, date]] = {}
        self._now = 0
        self._session = FIRST_SESSION

    def see(self, session: date, closes: Mapping[str, Decimal]) -> None:
        """Move on to `session`, which brought these closes."""
        self._now += 1
        self._session = session
        self.last.update(closes)
        self._at.update(dict.fromkeys(closes, (self._now, session)))

    def marks(self) -> dict[str, Mark]:
        """Return the closes of the last MARK_SESSIONS sessions, and where each comes from."""
        return {
            symbol: Mark(
                price=self.last[symbol],
                source=CLOSE if seen == self._session else f"{CLOSE} of {seen}",
            )
            for symbol, (at, seen) in self._at.items()
            if self._now - at < MARK_SESSIONS
        }


def markets(
    bars: pl.DataFrame, actions: pl.DataFrame, sessions: Sequence[date]
) -> list[MarketSession]:
    """Return one `MarketSession` for each of the sessions, at least one, in their order.

    `bars` are raw, with symbol, session, open and close; a price that is missing, not finite or not
    above 0 is no price. An ex-date on which the exchange is closed takes effect in the next
    session; several splits of a symbol in one session multiply, several dividends add.
    """
    require_columns(bars, ("symbol", "session", "open", "close"), "Bars")
    asked = bars.filter(pl.col("session").is_in(list(sessions)))
    opens, closes = prices(asked, "open"), prices(asked, "close")
    splits, dividends = actions_by_session(actions, min(sessions), max(sessions))
    none: Mapping[str, Decimal] = {}
    return [
        MarketSession(
            session=session,
            opens=opens.get(session, none),
            closes=closes.get(session, none),
            splits=splits.get(session, none),
            dividends=dividends.get(session, none),
        )
        for session in sessions
    ]


def prices(bars: pl.DataFrame, column: str) -> BySession:
    """Return the usable prices of a column in dollars, exactly as they are written."""
    found: defaultdict[date, dict[str, Decimal]] = defaultdict(dict)
    for symbol, session, price in bars.select("symbol", "session", column).iter_rows():
        if price is not None and isfinite(price) and price > 0:
            found[session][symbol] = Decimal(repr(price))
    return found


def actions_by_session(
    actions: pl.DataFrame, first: date, last: date
) -> tuple[BySession, BySession]:
    """Return splits and dividends by the session of first…last they take effect in."""
    splits: defaultdict[date, dict[str, Decimal]] = defaultdict(dict)
    dividends: defaultdict[date, dict[str, Decimal]] = defaultdict(dict)
    near = pl.col("ex_date").is_between(first - _LONGEST_CLOSURE, last)
    placed = on_sessions(actions.filter(near)).filter(pl.col("session") >= first)
    for row in placed.sort("ex_date", "symbol", "kind").iter_rows(named=True):
        session, symbol = row["session"], row["symbol"]
        if row["kind"] == "split":
            held = splits[session].get(symbol, Decimal(1))
            splits[session][symbol] = held * _ratio(row["split_ratio"])
        else:
            held = dividends[session].get(symbol, Decimal(0))
            dividends[session][symbol] = held + Decimal(repr(row["dividend"]))
    return splits, dividends


def _ratio(ratio: float) -> Decimal:
    """Return a split's ratio, 0.3333333 as the third that it means."""
    near = Fraction(ratio).limit_denominator(100)
    if near and abs(float(near) / ratio - 1) <= _RATIO_TOLERANCE:
        return Decimal(near.numerator) / Decimal(near.denominator)
    return Decimal(repr(ratio))
