"""The breaker: what trips it, and that it is told once."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting import performance
from trading_pipeline.core.risk.breaker import Breaker, Value, Vitals, daily_loss, drawdown, step
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline_tests.factories import FIRST, sessions_from

RULES = BreakerRules()


def values(*navs: str | int, cash_in: Sequence[int] = ()) -> list[Value]:
    put_in = [*cash_in, *[100_000] * (len(navs) - len(cash_in))]
    return [
        Value(session=session, nav=Decimal(nav), cash_in=Decimal(cash))
        for session, nav, cash in zip(sessions_from(FIRST, len(navs)), navs, put_in, strict=True)
    ]


def codes(breaker: Breaker) -> list[str]:
    return [trip.code for trip in breaker.trips]


@pytest.mark.parametrize(
    ("navs", "code"),
    [
        ((100_000, "95000.01"), []),
        ((100_000, 95_000), ["daily_loss"]),
        ((100_000, 94_900), ["daily_loss"]),
        ((100_000, 96_000, 93_000, "90000.01"), []),
        ((100_000, 96_000, 93_000, 90_000), ["drawdown"]),
        ((100_000, 90_000), ["daily_loss", "drawdown"]),
        ((100_000, 120_000), []),
        ((100_000,), []),
        ((), []),
    ],
)
def test_losses_trip_at_their_limits(navs: tuple[int, ...], code: list[str]) -> None:
    assert codes(step(Breaker(), Vitals(values=values(*navs)), RULES)) == code


def test_a_trip_says_what_the_numbers_are() -> None:
    (trip,) = step(Breaker(), Vitals(values=values(100_000, 94_900)), RULES).trips
    assert trip.sentence == "The account lost 5.10% in 2012-01-04: the limit is 5.00%."
    assert (trip.anchor, trip.value) == ("2012-01-04", Decimal("0.051"))
    assert trip.state is TradingState.REDUCING


def test_a_loss_over_sessions_in_which_nothing_was_valued_says_since_when() -> None:
    before, _, after = values(100_000, 100_000, 94_900)
    (trip,) = step(Breaker(), Vitals(values=[before, after]), RULES).trips
    assert trip.sentence == "The account lost 5.10% since 2012-01-03: the limit is 5.00%."


def test_cash_taken_out_is_no_loss_and_cash_put_in_hides_none() -> None:
    assert daily_loss(values(100_000, 90_000, cash_in=[100_000, 90_000])) == 0
    assert daily_loss(values(100_000, 100_000, cash_in=[100_000, 106_000])) == Decimal("0.06")


def test_a_peak_moves_with_cash_put_in_and_taken_out() -> None:
    fall, peak = drawdown(values(100_000, 90_000, 190_000, cash_in=[100_000, 100_000, 200_000]))
    assert (fall, str(peak)) == (Decimal("0.1"), "2012-01-03")
    fall, peak = drawdown(values(100_000, 110_000, 44_000, cash_in=[100_000, 100_000, 45_000]))
    assert fall == Decimal("0.1")
    assert str(peak) == "2012-01-04"


def test_an_account_worth_nothing_that_loses_has_lost_everything() -> None:
    assert daily_loss(values(0, -1)) == 1
    assert daily_loss(values(0, 0)) == 0


def test_a_trip_is_told_once_and_again_only_when_it_has_grown_by_its_limit() -> None:
    first = step(Breaker(), Vitals(values=values(100_000, 94_900)), RULES)
    same = step(first, Vitals(values=values(100_000, 94_000)), RULES)
    assert (codes(same), same.told) == ([], first.told)
    worse = step(same, Vitals(values=values(100_000, 89_800)), RULES)
    assert codes(worse) == ["daily_loss", "drawdown"]


def test_what_is_over_is_forgotten_and_trips_anew() -> None:
    tripped = step(Breaker(), Vitals(values=(), broker_errors=3), RULES)
    over = step(tripped, Vitals(values=(), broker_errors=0), RULES)
    assert over.told == {}
    assert codes(step(over, Vitals(values=(), broker_errors=3), RULES)) == ["broker_errors"]


def test_the_loss_of_another_session_is_another_trip() -> None:
    first = step(Breaker(), Vitals(values=values(100_000, 94_900)), RULES)
    second = step(first, Vitals(values=values(100_000, 94_900, 90_100)), RULES)
    assert "daily_loss" in codes(second)


def test_breaks_halt_because_it_is_not_known_what_reduces() -> None:
    broken = [f"1 share of {symbol} against 2" for symbol in ("IBM", "MSFT", "AAPL")]
    assert step(Breaker(), Vitals(values=(), breaks=broken[:2]), RULES).trips == ()
    (trip,) = step(Breaker(), Vitals(values=(), breaks=broken), RULES).trips
    assert trip.state is TradingState.HALTED
    cash = Vitals(values=(), breaks=["1 dollar of cash against 2"], is_untied=True)
    assert codes(step(Breaker(), cash, RULES)) == ["reconciliation"]
    assert trip.sentence == f"Our book and the broker's differ: {'; '.join(broken)}."


@pytest.mark.parametrize(("answered", "rejected", "trips"), [(3, 3, 0), (4, 2, 1), (9, 4, 0)])
def test_a_rate_is_judged_on_enough_orders_only(answered: int, rejected: int, trips: int) -> None:
    vitals = Vitals(values=(), answered=answered, rejected=rejected)
    assert len(step(Breaker(), vitals, RULES).trips) == trips


navs = st.lists(st.integers(50_000, 150_000), min_size=1, max_size=12)


@given(navs)
def test_drawdown_is_that_of_the_performance_report(series: list[int]) -> None:
    fall, peak = drawdown(values(*series))
    returns = performance.returns([Decimal(nav) for nav in series])
    assert float(fall) == pytest.approx([0.0, *performance.drawdowns(returns)][-1], abs=1e-12)
    highest = max(range(len(series)), key=lambda place: (series[place], place))
    assert peak == values(*series)[highest].session


@given(navs, st.integers(0, 4), st.lists(st.text(max_size=3), max_size=2))
def test_a_second_look_at_the_same_is_silent(
    series: list[int], errors: int, breaks: list[str]
) -> None:
    vitals = Vitals(values=values(*series), broker_errors=errors, breaks=breaks)
    once = step(Breaker(), vitals, RULES)
    assert step(once, vitals, RULES) == replace(once, trips=())
