"""Ratios beyond the Sharpe: downside, drawdown, benchmark, and luck among many trials."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.accounting.performance import (
    YEAR,
    calmar,
    deflated_sharpe,
    luckiest_sharpe,
    probabilistic_sharpe,
    profit_factor,
    regression,
    sharpe,
    sortino,
)
from trading_pipeline.errors import TradingError

SERIES = [0.02, -0.01, 0.03, -0.02, 0.01]


def random_returns(seed: int, count: int = 500, mean: float = 0.0) -> list[float]:
    return np.random.default_rng(seed).normal(mean, 0.01, count).tolist()


def test_sortino_counts_losses_only() -> None:
    downside = sqrt((0.01**2 + 0.02**2) / 5)
    assert sortino(SERIES) == pytest.approx(0.006 / downside * sqrt(252))
    assert sortino([0.01, 0.02]) is None
    assert sortino([]) is None


def test_calmar_is_the_years_return_over_the_deepest_fall() -> None:
    growth = 1.02 * 0.99 * 1.03 * 0.98 * 1.01
    assert calmar(SERIES) == pytest.approx((growth ** (252 / 5) - 1) / 0.02)
    assert calmar([0.01]) is None
    assert calmar([]) is None


def test_profit_factor_is_wins_over_losses() -> None:
    assert profit_factor(SERIES) == pytest.approx(2.0)
    assert profit_factor([0.01]) is None
    assert profit_factor([-0.01]) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(-2, 2))
def test_regression_equals_least_squares(seed: int, slope: float) -> None:
    random = np.random.default_rng(seed)
    market = random.normal(0.0003, 0.01, 300)
    series = 0.0002 + slope * market + random.normal(0, 0.005, 300)
    found = regression(series.tolist(), market.tolist())
    assert found is not None
    design = np.column_stack([np.ones(300), market])
    (alpha, beta), residual, *_ = np.linalg.lstsq(design, series)
    error = sqrt(residual[0] / 298 * np.linalg.inv(design.T @ design)[0, 0])
    assert found.beta == pytest.approx(beta, rel=1e-9, abs=1e-12)
    assert found.alpha == pytest.approx(alpha * 252, rel=1e-9, abs=1e-12)
    assert found.correlation == pytest.approx(np.corrcoef(series, market)[0, 1], rel=1e-6, abs=1e-9)
    assert found.alpha_interval == pytest.approx(
        ((alpha - 1.959963984540054 * error) * 252, (alpha + 1.959963984540054 * error) * 252)
    )


def test_a_benchmark_that_never_moves_explains_nothing() -> None:
    assert regression(SERIES, [0.001] * 5) is None
    assert regression([0.1, 0.2], [0.1, 0.2]) is None
    with pytest.raises(TradingError, match="5 returns and 4 of a benchmark"):
        regression(SERIES, [0.0] * 4)


def test_the_papers_own_example_of_luck_and_of_its_deflation() -> None:
    """100 trials of variance 1/2 and 1 250 sessions of 250 a year: 0.1132 and then 0.9004."""
    half = sqrt(0.5 * 99 / 100)
    trials = [half, -half] * 50
    luck = luckiest_sharpe(trials) / sqrt(250)
    assert luck == pytest.approx(0.1132, abs=5e-5)
    found = probabilistic_sharpe(2.5 / sqrt(250), luck, sessions=1250, skewness=-3.0, kurtosis=10.0)
    assert found == pytest.approx(0.9004, abs=5e-5)


def test_a_single_trial_needs_no_deflation() -> None:
    series = random_returns(1, mean=0.001)
    ratio = sharpe(series)
    assert ratio is not None
    assert luckiest_sharpe([ratio]) == 0
    alone = deflated_sharpe(series, [ratio])
    assert alone is not None
    assert alone > 0.9


def test_the_best_of_many_tries_without_skill_is_found_out() -> None:
    tries = [random_returns(seed) for seed in range(200)]
    ratios = [sharpe(series) or 0.0 for series in tries]
    best = int(np.argmax(ratios))
    alone = deflated_sharpe(tries[best], [ratios[best]])
    deflated = deflated_sharpe(tries[best], ratios)
    assert alone is not None
    assert deflated is not None
    assert alone > 0.99
    assert deflated < 0.9
    assert luckiest_sharpe(ratios) == pytest.approx(max(ratios), rel=0.25)
    assert deflated_sharpe([0.01] * 5, ratios) is None
    assert YEAR == 252
