"""What past sessions brought: prices, splits and dividends."""

from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from trading_pipeline.core.execution.markets import exact_ratio, markets
from trading_pipeline_tests.core.backtest.worlds import days_of, flat_world
from trading_pipeline_tests.factories import actions_of, dividend, sessions_from, split


def test_prices_are_exact_and_what_is_no_price_is_absent() -> None:
    history = flat_world([100.1, 1.0, 3.0], opens=[99.9, 1.0, 3.0])
    second = pl.col("session") == days_of(history)[1]
    bars = history.bars.with_columns(open=pl.when(second).then(0.0).otherwise("open"))
    first, middle, _ = markets(bars, history.actions, days_of(history))
    assert first.opens == {"S0": Decimal("99.9")}
    assert first.closes == {"S0": Decimal("100.1")}
    assert middle.opens == {}


def test_several_actions_of_a_session_come_together() -> None:
    day = sessions_from(count=3)[1]
    events = actions_of(
        split("S0", day, 2.0), split("S0", day, 1.5), dividend("S0", day, 0.1),
        dividend("S0", day, 0.2), split("S1", day, 0.3333333),
    )  # fmt: skip
    _, found, _ = markets(flat_world([1.0]).bars, events, sessions_from(count=3))
    assert found.splits["S0"] == 3
    assert found.dividends == {"S0": Decimal("0.3")}
    assert found.splits["S1"] == Decimal(1) / Decimal(3)


def test_an_ex_date_on_which_the_exchange_is_closed_takes_effect_in_the_next_session() -> None:
    saturday, monday = date(2012, 1, 7), date(2012, 1, 9)
    (found,) = markets(flat_world([1.0]).bars, dividend("S0", saturday, 0.5), [monday])
    assert found.dividends == {"S0": Decimal("0.5")}


def test_actions_from_before_the_calendar_or_beyond_the_sessions_are_left_out() -> None:
    day = sessions_from(count=1)[0]
    events = actions_of(split("S0", date(1987, 6, 16), 2.0), split("S0", date(2040, 1, 2), 2.0))
    (found,) = markets(flat_world([1.0]).bars, events, [day])
    assert found.splits == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0.33333, Decimal(1) / 3),
        (0.333333, Decimal(1) / 3),
        (0.6666667, Decimal(2) / 3),
        (0.66666, Decimal(2) / 3),
        (1.142857, Decimal(8) / 7),
        (0.3333, Decimal("0.3333")),
        (1.0274, Decimal("1.0274")),
        (0.15, Decimal("0.15")),
        (7.0, Decimal(7)),
        (1.0000012, Decimal("1.0000012")),
    ],
)
def test_a_ratio_means_the_small_fraction_that_is_written_so(
    written: float, meant: Decimal
) -> None:
    assert exact_ratio(written) == meant
