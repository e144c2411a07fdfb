"""The breaker in a replay: it stops trading as in the live day, and a person is taken to resume."""

from typing import Final

from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.risk.breaker import Breaker, Trip, Value, Vitals, step
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.core.risk.states import is_stricter

SESSIONS: Final = 252
"""Sessions of NAV that the breaker looks at."""


class Watch:
    """What trading may do, and every trip so far.

    What a trip stopped stays so for `resume_after` sessions, or for good where that is None, as
    without a person the live day would.
    """

    def __init__(self, rules: BreakerRules, *, resume_after: int | None) -> None:
        self.state = TradingState.ACTIVE
        self.reason = ""
        self.trips: list[Trip] = []
        self._rules = rules
        self._resume_after = resume_after
        self._values: list[Value] = []
        self._breaker = Breaker()
        self._since = 0

    def look(self, pnl: Pnl) -> None:
        """Take in the value at a session's close, and stop or resume trading."""
        self._values.append(Value(session=pnl.session, nav=pnl.nav, cash_in=pnl.cash_in))
        self._resume()
        if self.state is TradingState.HALTED:
            return
        vitals = Vitals(values=self._values[-SESSIONS:])
        self._breaker = step(self._breaker, vitals, self._rules)
        for trip in self._breaker.trips:
            self.trips.append(trip)
            if is_stricter(trip.state, self.state):
                self.state, self.reason = trip.state, trip.sentence
            self._since = len(self._values)

    def _resume(self) -> None:
        waited = len(self._values) - self._since
        if self._resume_after is not None and waited >= self._resume_after:
            self.state, self.reason = TradingState.ACTIVE, ""
