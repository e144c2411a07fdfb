"""A vendor as the books may follow it: without the actions that the prices contradict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.announcements import EARLIER, compare, credible
from trading_pipeline.core.market.calendar import session_on_or_after, session_window
from trading_pipeline.core.market.corporate_actions import on_sessions
from trading_pipeline.flows.ports import MarketData

_ACTION: Final = ["symbol", "ex_date", "kind"]


@dataclass(frozen=True, slots=True)
class CredibleVendor:
    """The same bars, and the corporate actions that no check speaks against.

    What the lake has checked counts as it was checked there; the rest is compared with the vendor's
    own bars. An action of a session without a bar is not contradicted. Satisfies `MarketData`.
    """

    vendor: MarketData
    lake: Lake

    @property
    def name(self) -> str:
        """The vendor's own name."""
        return self.vendor.name

    def symbols(self) -> frozenset[str] | None:
        """Every symbol the vendor can deliver, or None when that cannot be listed."""
        return self.vendor.symbols()

    def last_session(self) -> date | None:
        """The newest session the vendor holds, or None when it delivers up to the present."""
        return self.vendor.last_session()

    def bars(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """The vendor's raw bars of the sessions first…last."""
        return self.vendor.bars(symbols, first, last)

    def corporate_actions(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """The vendor's corporate actions with an ex-date in first…last that nothing refutes."""
        told = self.vendor.corporate_actions(symbols, first, last)
        if told.is_empty():
            return told
        through = session_on_or_after(last)
        checks = self.lake.read("action_checks", first, through, symbols=symbols)
        found = credible(told, checks)
        unchecked = found.join(checks, on=_ACTION, how="anti")
        return credible(found, self._compared(unchecked)) if unchecked.height else found

    def _compared(self, actions: pl.DataFrame) -> pl.DataFrame:
        placed = on_sessions(actions)
        sessions: list[date] = placed["session"].to_list()
        first, last = min(sessions), max(sessions)
        start = session_window(first, EARLIER.days + 1)[0]
        bars = self.vendor.bars(placed["symbol"].unique().sort().to_list(), start, last)
        return compare(bars, placed)
