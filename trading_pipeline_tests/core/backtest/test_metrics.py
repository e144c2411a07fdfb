"""All figures of a backtest."""

from decimal import Decimal

import pytest

from trading_pipeline.core.accounting.performance import performance, returns, sharpe
from trading_pipeline.core.backtest.engine import backtest
from trading_pipeline.core.backtest.metrics import metrics, turnover
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.backtest.worlds import (
    days_of,
    flat_world,
    random_weights,
    rules,
    targets,
    world,
)

HISTORY = world(3, 80, seed=6)
FOUND = backtest(
    targets(random_weights(80, 3, 6), days_of(HISTORY)), HISTORY, rules(Decimal(10**6), CostModel())
)


def test_they_are_those_of_the_net_asset_values() -> None:
    series = returns(FOUND.navs)
    found = metrics(FOUND)
    assert found.performance == performance(series)
    assert found.performance.sessions == 79
    assert found.fills == len(FOUND.fills)
    assert found.fees == pytest.approx(float(FOUND.pnls[-1].fees) / 10**6)
    assert (found.benchmark, found.deflated_sharpe) == (None, None)


def test_turnover_counts_buying_and_selling() -> None:
    history = flat_world([100.0] * 5)
    event = backtest(
        targets([[0.5], [0.5], [0.0]], days_of(history)), history, rules(Decimal(1_000))
    )
    found = metrics(event)
    assert turnover(event.fills, event.navs) == pytest.approx(1.0 / 4 * 252)
    assert found.gross_exposure == pytest.approx(2 * 0.5 / 5)
    assert found.net_exposure == found.gross_exposure
    assert turnover([], [Decimal(1)]) is None


def test_a_benchmark_and_the_number_of_trials_are_taken_into_account() -> None:
    series = returns(FOUND.navs)
    ratio = sharpe(series) or 0.0
    found = metrics(FOUND, benchmark=series, trials=[ratio, -ratio, 0.5])
    assert found.benchmark is not None
    assert found.benchmark.beta == pytest.approx(1)
    assert found.benchmark.alpha == pytest.approx(0, abs=1e-12)
    alone = metrics(FOUND, trials=[ratio])
    assert found.deflated_sharpe is not None
    assert alone.deflated_sharpe is not None
    assert found.deflated_sharpe < alone.deflated_sharpe
    with pytest.raises(TradingError, match="benchmark has 1 returns and the backtest 79"):
        metrics(FOUND, benchmark=[0.1])
