"""Halts over time: who stops, who releases, and the quiet period in between."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.core.risk.states import OPENING, HaltEvent, is_stricter, quiet_until, standing

AT = datetime(2013, 3, 1, 15, 0, tzinfo=UTC)
RULES = BreakerRules(quiet_minutes=5)
ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED


def event(state: TradingState, minute: float = 0, who: str = "ada") -> HaltEvent:
    at = AT + timedelta(minutes=minute)
    return HaltEvent(state=state, who=who, reason="drill.", at=at)


def at(minute: float) -> datetime:
    return AT + timedelta(minutes=minute)


def test_no_event_is_halted() -> None:
    assert standing([], AT, RULES).state is HALTED


def test_a_new_ledger_is_active_at_once() -> None:
    assert standing([event(ACTIVE, who=OPENING)], AT, RULES).state is ACTIVE


def test_recovery_is_release_then_quiet_then_active() -> None:
    events = [event(HALTED), event(ACTIVE, 10)]
    assert standing(events[:1], at(9_999), RULES).state is HALTED
    quiet = standing(events, at(14.9), RULES)
    assert quiet.state is REDUCING
    assert quiet.reason == "Released by ada, quiet until 2013-03-01 15:15:00 UTC: drill."
    assert quiet_until(events[1], RULES) == at(15)
    assert standing(events, at(15), RULES) == events[1]


def test_a_halt_in_the_quiet_period_begins_anew() -> None:
    events = [event(HALTED), event(ACTIVE, 10), event(REDUCING, 12, "breaker"), event(ACTIVE, 20)]
    assert standing(events[:3], at(99), RULES).state is REDUCING
    assert standing(events, at(24), RULES).state is REDUCING
    assert standing(events, at(25), RULES).state is ACTIVE


def test_a_release_that_bears_no_time_or_one_to_come_is_not_over() -> None:
    no_time = HaltEvent(state=ACTIVE, who="ada", reason="drill.", at=None)
    assert standing([no_time], AT, RULES).state is REDUCING
    assert standing([event(ACTIVE, 60)], AT, RULES).state is REDUCING


def test_without_a_quiet_period_a_release_is_active_at_once() -> None:
    rules = BreakerRules(quiet_minutes=0)
    assert standing([event(HALTED), event(ACTIVE, 1)], at(1), rules).state is ACTIVE


moments = st.lists(
    st.tuples(
        st.sampled_from(TradingState), st.integers(0, 30), st.sampled_from(["ada", "breaker"])
    ),
    min_size=1,
    max_size=6,
)


@given(moments, st.integers(0, 40), st.integers(0, 10))
def test_trading_is_active_exactly_when_the_last_word_was_a_release_long_enough_ago(
    steps: list[tuple[TradingState, int, str]], minute: int, quiet: int
) -> None:
    events = [event(state, when, who) for state, when, who in steps]
    found = standing(events, at(minute), BreakerRules(quiet_minutes=quiet))
    state, when, _ = steps[-1]
    assert (found.state is ACTIVE) == (state is ACTIVE and minute - when >= quiet)
    assert not is_stricter(state, found.state)


def test_halted_is_stricter_than_reducing_is_stricter_than_active() -> None:
    assert is_stricter(HALTED, REDUCING)
    assert is_stricter(REDUCING, ACTIVE)
    assert not is_stricter(REDUCING, REDUCING)
    assert not is_stricter(ACTIVE, HALTED)
