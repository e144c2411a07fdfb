"""Trading states over time: what the halts said last, and the staged way back to ACTIVE.

HALTED or REDUCING lasts until a person releases it, which is an event ACTIVE. From then on a quiet
period allows reducing orders only; after it trading is ACTIVE by itself, unless a new event came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trading_pipeline.core.risk.limits import BreakerRules, TradingState

OPENING: Final = "migration"
"""Who wrote a ledger's first event: nothing was stopped before it, so nothing has to calm down."""

_STRICTNESS: Final = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltEvent:
    """That trading is `state` from `at` on (aware UTC), by whose word and why."""

    state: TradingState
    who: str
    reason: str
    at: datetime | None


def standing(events: Sequence[HaltEvent], now: datetime, rules: BreakerRules) -> HaltEvent:
    """Return what trading may do at `now`, from the events oldest first; no event is HALTED.

    Only the last event counts. A release counts as REDUCING until `rules.quiet_minutes` after it;
    one that bears no time, or a time to come, does not count as over.
    """
    if not events:
        reason = "No trading state is known."
        return HaltEvent(state=TradingState.HALTED, who="ledger", reason=reason, at=None)
    last = events[-1]
    if last.state is not TradingState.ACTIVE or last.who == OPENING:
        return last
    until = quiet_until(last, rules)
    if until is not None and now >= until:
        return last
    when = f"{until:%Y-%m-%d %H:%M:%S} UTC" if until else "an unknown time"
    reason = f"Released by {last.who}, quiet until {when}: {last.reason}"
    return HaltEvent(state=TradingState.REDUCING, who=last.who, reason=reason, at=last.at)


def quiet_until(release: HaltEvent, rules: BreakerRules) -> datetime | None:
    """Return when the quiet period after a release ends; None when its time is not known."""
    return release.at + timedelta(minutes=rules.quiet_minutes) if release.at else None


def is_stricter(state: TradingState, than: TradingState) -> bool:
    """Whether fewer orders may go in `state`: HALTED before REDUCING before ACTIVE."""
    return _STRICTNESS[state] > _STRICTNESS[than]
