"""Makes backtest_oracles.json: what other libraries make of the same prices, weights and returns.

Run in an environment of their own, from the project's folder:

    uv run --no-project --with vectorbt==1.2.0 --with bt==1.4.1 --with quantstats==0.0.86 \
      --with empyrical-reloaded==0.7.1 trading_pipeline_tests/golden/backtest_oracles.py
"""

import json
import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

PATH = Path(__file__).with_name("backtest_oracles.json")
SESSIONS, SYMBOLS = 150, 6


def main() -> None:
    """Draw prices and weights, ask every library, and write all of it."""
    random = np.random.default_rng(8)
    close = np.round(50 * np.exp(np.cumsum(random.normal(0, 0.015, (SESSIONS, SYMBOLS)), 0)), 2)
    weights = random.uniform(-1, 1, (SESSIONS, SYMBOLS))
    weights -= weights.mean(axis=1, keepdims=True)  # vectorbt lends no cash
    weights = np.round(weights / abs(weights).sum(axis=1, keepdims=True), 3)
    days = pd.bdate_range("2012-01-02", periods=SESSIONS)
    names = [f"S{lane}" for lane in range(SYMBOLS)]
    prices = pd.DataFrame(close, index=days, columns=names)
    table = pd.DataFrame(weights, index=days, columns=names)
    market = pd.Series(random.normal(0.0004, 0.01, SESSIONS - 1), index=days[1:])
    equity = by_vectorbt(prices, table)
    series = pd.Series(equity[1:] / equity[:-1] - 1, index=days[1:])
    libraries = ("vectorbt", "bt", "quantstats", "empyrical-reloaded")
    document = {
        "versions": {name: version(name) for name in libraries},
        "close": close.tolist(),
        "weights": weights.tolist(),
        "vectorbt": equity.tolist(),
        "bt": by_bt(prices, table).tolist(),
        "returns": series.tolist(),
        "benchmark": market.tolist(),
        "quantstats": by_quantstats(series, market),
        "empyrical": by_empyrical(series, market),
        "luck": by_vectorbts_luck(),
    }
    PATH.write_text(json.dumps(document) + "\n")


def by_vectorbt(prices: pd.DataFrame, weights: pd.DataFrame) -> np.ndarray:
    """Equity from 1, traded to the weights at each close, free of charge."""
    import vectorbt  # noqa: PLC0415 - heavy

    made = vectorbt.Portfolio.from_orders(
        prices,
        size=weights,
        size_type="targetpercent",
        group_by=True,
        cash_sharing=True,
        call_seq="auto",
        init_cash=1e6,
        freq="1D",
    )
    return made.value().to_numpy() / 1e6


def by_vectorbts_luck() -> dict[str, float]:
    """Its deflated Sharpe ratio of a case, and what luck alone shows in it; no ratio annualized."""
    from vectorbt.returns import metrics  # noqa: PLC0415 - heavy

    case = {"ratio": 0.16, "variance": 0.002, "trials": 100, "sessions": 1250}
    shape = {"skewness": -3.0, "kurtosis": 10.0}
    luck = metrics.approx_exp_max_sharpe(0.0, case["variance"], case["trials"])
    deflated = metrics.deflated_sharpe_ratio(
        est_sharpe=case["ratio"],
        var_sharpe=case["variance"],
        nb_trials=case["trials"],
        backtest_horizon=case["sessions"],
        skew=shape["skewness"],
        kurtosis=shape["kurtosis"],
    )
    return {**case, **shape, "luck": float(luck), "deflated": float(deflated)}


def by_bt(prices: pd.DataFrame, weights: pd.DataFrame) -> np.ndarray:
    """The same; its series has one row in front, and starts at 100."""
    import bt  # noqa: PLC0415 - heavy

    strategy = bt.Strategy("s", [bt.algos.WeighTarget(weights), bt.algos.Rebalance()])
    test = bt.Backtest(strategy, prices, integer_positions=False, progress_bar=False)
    return bt.run(test).prices["s"].to_numpy()[1:] / 100


def by_quantstats(series: pd.Series, market: pd.Series) -> dict[str, float]:
    """Its figures where its definition is ours."""
    from quantstats import stats  # noqa: PLC0415 - heavy

    greeks = stats.greeks(series, market, periods=252)
    return {
        "total_return": float(stats.comp(series)),
        "annualized_return": float(stats.cagr(series, periods=252)),
        "volatility": float(stats.volatility(series, periods=252)),
        "sharpe": float(stats.sharpe(series, periods=252)),
        "sortino": float(stats.sortino(series, periods=252)),
        "max_drawdown": -float(stats.max_drawdown(series)),
        "profit_factor": float(stats.profit_factor(series)),
        "average_win": float(stats.avg_win(series)),
        "average_loss": float(stats.avg_loss(series)),
        "beta": float(greeks["beta"]),
        "alpha": float(greeks["alpha"]),
    }


def by_empyrical(series: pd.Series, market: pd.Series) -> dict[str, float]:
    """Its figures where its definition is ours."""
    import empyrical  # noqa: PLC0415 - heavy

    return {
        "total_return": float(empyrical.cum_returns_final(series)),
        "annualized_return": float(empyrical.annual_return(series)),
        "volatility": float(empyrical.annual_volatility(series)),
        "sharpe": float(empyrical.sharpe_ratio(series)),
        "sortino": float(empyrical.sortino_ratio(series)),
        "max_drawdown": -float(empyrical.max_drawdown(series)),
        "calmar": float(empyrical.calmar_ratio(series)),
        "beta": float(empyrical.beta(series, market)),
        "daily_alpha": math.expm1(math.log1p(float(empyrical.alpha(series, market))) / 252),
    }


if __name__ == "__main__":
    main()
