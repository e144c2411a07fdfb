"""Times another engine on the benchmark's own market; run by `backtest.py` in its environment."""

import json
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")


def main() -> None:
    """Print the seconds of the second run: the first one compiles."""
    name, symbols, sessions, held, cost = sys.argv[1:]
    close, weights = market(int(symbols), int(sessions), int(held))
    days = pd.bdate_range("2010-01-04", periods=len(close))
    names = [f"S{lane}" for lane in range(close.shape[1])]
    prices = pd.DataFrame(close, index=days, columns=names)
    table = pd.DataFrame(weights, index=days, columns=names)
    run = {"vectorbt": by_vectorbt, "bt": by_bt}[name]
    if name == "vectorbt":
        run(prices, table, float(cost))
    wall, cpu = time.perf_counter(), time.process_time()
    run(prices, table, float(cost))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"version": version(name), "wall": wall, "cpu": cpu}))


def market(symbols: int, sessions: int, held: int) -> tuple[np.ndarray, np.ndarray]:
    """The prices and weights of `backtest._market`."""
    random = np.random.default_rng(8)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.015, (sessions, symbols)), axis=0))
    place = random.random((sessions, symbols)).argsort(axis=1)
    weights = np.where(place < held, 1 / held, np.where(place >= symbols - held, -1 / held, 0.0))
    return close, weights


def by_vectorbt(prices: pd.DataFrame, weights: pd.DataFrame, cost: float) -> object:
    """Equity of orders to target percents at each close."""
    import vectorbt  # noqa: PLC0415 - heavy

    return vectorbt.Portfolio.from_orders(
        prices,
        size=weights,
        size_type="targetpercent",
        group_by=True,
        cash_sharing=True,
        call_seq="auto",
        init_cash=1e6,
        freq="1D",
        fees=cost,
    ).value()


def by_bt(prices: pd.DataFrame, weights: pd.DataFrame, cost: float) -> object:
    """The same by its algorithms; its commission function takes quantity and price."""
    import bt  # noqa: PLC0415 - heavy

    strategy = bt.Strategy("s", [bt.algos.WeighTarget(weights), bt.algos.Rebalance()])
    test = bt.Backtest(
        strategy,
        prices,
        integer_positions=False,
        progress_bar=False,
        commissions=lambda quantity, price: abs(quantity) * price * cost,
    )
    return bt.run(test).prices


if __name__ == "__main__":
    main()
