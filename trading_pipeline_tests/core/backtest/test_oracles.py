"""Equity and figures against other libraries, as golden/backtest_oracles.py asked them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading_pipeline.core.accounting.performance import (
    YEAR,
    calmar,
    luckiest_sharpe,
    performance,
    probabilistic_sharpe,
    profit_factor,
    regression,
    sortino,
)
from trading_pipeline.core.backtest.vectorized import by_returns

GOLDEN = Path(__file__).parents[2] / "golden" / "backtest_oracles.json"
FOUND: dict[str, Any] = json.loads(GOLDEN.read_text())
SERIES: list[float] = FOUND["returns"]


def ours() -> dict[str, float | None]:
    its, line = performance(SERIES), regression(SERIES, FOUND["benchmark"])
    assert line is not None
    return {
        "total_return": its.total_return,
        "annualized_return": its.annualized_return,
        "volatility": its.volatility,
        "sharpe": its.sharpe,
        "sortino": sortino(SERIES),
        "max_drawdown": its.max_drawdown,
        "calmar": calmar(SERIES),
        "profit_factor": profit_factor(SERIES),
        "average_win": its.average_win,
        "average_loss": its.average_loss,
        "beta": line.beta,
        "alpha": line.alpha,
        "daily_alpha": line.alpha / YEAR,
    }


@pytest.mark.parametrize("library", ["vectorbt", "bt"])
def test_the_equity_curve_is_that_of_another_engine(library: str) -> None:
    """Free of charge, in fractions of shares: to 1e-12 of it, every session."""
    close, weights = (np.array(FOUND[name]) for name in ("close", "weights"))
    returns = np.vstack([np.zeros(close.shape[1]), close[1:] / close[:-1] - 1])
    equity = np.cumprod(1 + by_returns(weights, returns))
    np.testing.assert_allclose(equity, np.array(FOUND[library]), rtol=1e-12)
    assert abs(equity - 1).max() > 0.01


@pytest.mark.parametrize("library", ["quantstats", "empyrical"])
def test_figures_are_those_of_another_library_where_definitions_agree(library: str) -> None:
    mine = ours()
    for name, theirs in FOUND[library].items():
        assert mine[name] == pytest.approx(theirs, rel=1e-9, abs=1e-15), name


def test_luck_and_deflation_are_those_of_another_library() -> None:
    case = FOUND["luck"]
    half = (case["variance"] * (case["trials"] - 1) / case["trials"]) ** 0.5
    luck = luckiest_sharpe([half, -half] * (case["trials"] // 2))
    assert luck == pytest.approx(case["luck"], rel=1e-9)
    shape = {name: case[name] for name in ("sessions", "skewness", "kurtosis")}
    found = probabilistic_sharpe(case["ratio"], luck, **shape)
    assert found == pytest.approx(case["deflated"], rel=1e-9)
