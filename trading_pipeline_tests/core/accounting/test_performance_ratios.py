"""Ratios beyond the Sharpe: downside, drawdown, benchmark, and luck among many trials."""

from math import fsum, sqrt
from statistics import NormalDist

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


@pytest.mark.parametrize("count", [10, 100, 1_000])
def test_the_luck_of_many_trials_is_the_mean_of_the_largest_of_so_many_normal_draws(
    count: int,
) -> None:
    """∫ x·N·φ(x)·Φ(x)^(N−1) dx, integrated; the formula is an approximation of it."""
    normal, step = NormalDist(), 0.001
    grid = [-8 + step * at for at in range(16_000)]
    mean = fsum(x * count * normal.pdf(x) * normal.cdf(x) ** (count - 1) for x in grid) * step
    half = sqrt((count - 1) / count)
    trials = [half, -half] * (count // 2)  # of variance 1
    assert luckiest_sharpe(trials) == pytest.approx(mean, rel=0.025)


def test_the_probability_of_a_ratio_is_right_as_often_as_it_says() -> None:
    """Returns with a tail to the right, whose true ratio is known: 5% of samples say 95%."""
    ratio, sessions, samples, shape = 0.3, 400, 4_000, 4.0
    random = np.random.default_rng(2)
    draws = ratio + (random.gamma(shape, size=(samples, sessions)) - shape) / sqrt(shape)
    found = draws.mean(axis=1) / draws.std(axis=1, ddof=1)
    given = {"sessions": sessions, "skewness": 2 / sqrt(shape), "kurtosis": 3 + 6 / shape}
    said = np.array([probabilistic_sharpe(one, ratio, **given) for one in found])
    for level in (0.05, 0.5, 0.95):
        assert (said < level).mean() == pytest.approx(level, abs=0.02)
    as_if_normal = [
        probabilistic_sharpe(one, ratio, sessions=sessions, skewness=0.0, kurtosis=3.0)
        for one in found
    ]
    assert abs((np.array(as_if_normal) > 0.95).mean() - 0.05) > 0.01, "the shape matters"


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
