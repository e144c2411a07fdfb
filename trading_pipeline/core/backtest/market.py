"""What happened in the past, and what was known of it at each session."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

import polars as pl

from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.market.calendar import FIRST_SESSION

CLOSE: Final = "close"
"""The source of a mark."""

MARK_SESSIONS: Final = 10
"""How many sessions, its own included, a close serves as a mark; after them it is a delisting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened: raw bars to fill and value at, corporate actions, and bars to decide on.

    `clean` are the bars that passed the quality gate, whose closes orders are sized at; by default
    the raw ones. `suspended` are, by session, the symbols neither bought nor sold. `facts` is what
    else the gate is told in a session, as fields of `RiskView`.
    """

    bars: pl.DataFrame
    actions: pl.DataFrame
    clean: pl.DataFrame | None = None
    suspended: Mapping[date, Collection[str]] = field(default_factory=dict[date, Collection[str]])
    facts: Callable[[date], Mapping[str, Any]] | None = None


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
