"""Performance of a series of net asset values."""

from decimal import Decimal
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting.performance import (
    annualized_return,
    drawdowns,
    performance,
    returns,
    sharpe,
    sharpe_interval,
    total_return,
    volatility,
)
from trading_pipeline.errors import TradingError

UP_DOWN = [0.02, -0.01, 0.02, -0.01]


def navs(*values: float) -> list[Decimal]:
    return [Decimal(str(value)) for value in values]


def test_a_return_is_the_change_over_the_value_before() -> None:
    assert returns(navs(100, 110, 99)) == pytest.approx([0.10, -0.10])


def test_money_put_in_is_no_return() -> None:
    assert returns(navs(100, 160, 150), navs(100, 150, 150)) == pytest.approx([0.10, -0.0625])


def test_one_value_has_no_return() -> None:
    assert returns(navs(100)) == []
    assert returns([]) == []


def test_a_return_on_nothing_is_refused() -> None:
    with pytest.raises(TradingError, match="NAV of 0"):
        returns(navs(100, 0, 5))


def test_series_of_different_length_are_refused() -> None:
    with pytest.raises(TradingError, match="2 NAVs and 1"):
        returns(navs(1, 2), navs(1))


def test_volatility_is_the_sample_deviation_of_a_year() -> None:
    # deviations from 0.005 are ±0.015: variance 4 · 0.015² / 3
    assert volatility(UP_DOWN) == pytest.approx(sqrt(4 * 0.015**2 / 3) * sqrt(252))


def test_sharpe_is_the_arithmetic_mean_over_the_deviation_not_the_compound_return() -> None:
    assert sharpe(UP_DOWN) == pytest.approx(0.005 / sqrt(4 * 0.015**2 / 3) * sqrt(252))


def test_the_interval_of_a_sharpe_of_one_over_a_year_is_nearly_two_each_side() -> None:
    series = [0.01 + (-1) ** t * 0.01 * sqrt(251) for t in range(252)]
    ratio = sharpe(series)
    assert ratio == pytest.approx(1, rel=1e-6)
    interval = sharpe_interval(series)
    assert interval is not None
    assert interval[1] - 1 == pytest.approx(1.96 * sqrt(1 + 1 / 504), abs=1e-3)


def test_constant_returns_have_no_sharpe() -> None:
    assert sharpe([0.001] * 10) is None
    assert sharpe_interval([0.001] * 10) is None


def test_a_doubling_in_half_a_year_is_three_hundred_percent_a_year() -> None:
    assert annualized_return([2 ** (1 / 126) - 1] * 126) == pytest.approx(3.0)


def test_a_year_cannot_be_told_from_a_total_loss() -> None:
    assert annualized_return([-1.0, 0.5]) is None


def test_a_drawdown_counts_from_the_highest_value_the_start_included() -> None:
    assert drawdowns([-0.1, 0.0, 0.5, -0.2]) == pytest.approx([0.1, 0.1, 0.0, 0.2])


def test_all_figures_of_a_series() -> None:
    figures = performance([0.1, -0.1, 0.0, 0.05])
    assert figures.sessions == 4
    assert figures.total_return == pytest.approx(1.1 * 0.9 * 1.05 - 1)
    assert figures.max_drawdown == pytest.approx(0.1)
    assert (figures.win_rate, figures.average_win) == pytest.approx((0.5, 0.075))
    assert figures.average_loss == pytest.approx(-0.1)


def test_figures_that_no_session_can_give_are_none() -> None:
    figures = performance([])
    assert (figures.total_return, figures.max_drawdown) == (0, 0)
    assert figures.sharpe is figures.volatility is figures.win_rate is figures.average_win is None
    assert figures.annualized_return is None


@given(st.lists(st.floats(-0.5, 0.5), max_size=30), st.floats(0.01, 10))
def test_returns_of_navs_give_back_the_series_and_do_not_depend_on_its_scale(
    series: list[float], scale: float
) -> None:
    values = [Decimal(str(scale)) * 1000]
    for r in series:
        values.append(values[-1] * Decimal(str(1 + r)))
    again = returns(values)
    assert again == pytest.approx(series, abs=1e-9)
    assert total_return(again) == pytest.approx(float(values[-1] / values[0]) - 1, abs=1e-9)
    assert all(0 <= fall <= 1 for fall in drawdowns(again))
