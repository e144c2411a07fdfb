"""Backtests: the dense mode beside vectorbt and bt, the event mode, and sweeps.

The other engines need environments of their own: VECTORBT_PYTHON and BT_PYTHON name their
interpreters; without one that figure is left out and the note says so.
"""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.backtest.board import Board
from trading_pipeline.core.backtest.engine import backtest
from trading_pipeline.core.backtest.market import History
from trading_pipeline.core.backtest.panel import dense
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.backtest.vectorized import by_returns
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.core.strategies import StrategyRules, strategies
from trading_pipeline.core.strategies.as_of import Known, Prices
from trading_pipeline.core.strategies.base import Strategy
from trading_pipeline.flows.backtest import Study
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.sweep import World
from trading_pipeline_tests.benchmarks.features import both
from trading_pipeline_tests.benchmarks.harness import RUNS, Figure, median
from trading_pipeline_tests.core.backtest.worlds import rules
from trading_pipeline_tests.factories import actions_of, dividend, random_bars, split

SYMBOLS, SESSIONS, HELD = 500, 2_520, 50
COST = 0.0005
ENGINES = Path(__file__).with_name("backtest_engines.py")
PATIENCE = 420


def figures() -> list[Figure]:
    """All of them."""
    close, weights = _market()
    returns = np.vstack([np.zeros(SYMBOLS), close[1:] / close[:-1] - 1])
    work = partial(by_returns, weights, returns, cost=COST)
    mine = Figure(
        name="vectorized backtest",
        seconds=median(work),
        limit=None,
        note=f"{SYMBOLS} symbols × {SESSIONS} sessions with costs",
    )
    return [mine, *_peers(work), _event(), *_sweep()]


def _market() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.015, (SESSIONS, SYMBOLS)), axis=0))
    place = random.random((SESSIONS, SYMBOLS)).argsort(axis=1)
    weights = np.where(place < HELD, 1 / HELD, np.where(place >= SYMBOLS - HELD, -1 / HELD, 0.0))
    return close, weights


def _peers(work: Callable[[], object]) -> list[Figure]:
    """Each engine in an environment of its own, beside our time of the very same minute."""
    found: list[Figure] = []
    for name, least in (("vectorbt", 50), ("bt", 500)):
        python = os.environ.get(f"{name.upper()}_PYTHON", "")
        if not Path(python).is_file():
            why = f"left out: {name.upper()}_PYTHON names no interpreter with {name}"
            found.append(Figure(name=f"backtest by {name}", seconds=0.0, limit=None, note=why))
            continue
        ours, cpu = both(work, RUNS)
        its = _peer(python, name)
        found.append(
            Figure(
                name=f"vectorized against {name}",
                seconds=ours,
                limit=its.wall / least,
                ratio=its.wall / ours,
                ratio_to=f"{name} {its.version}",
                note=f"{name} took {its.wall:.2f} s; CPU {its.cpu / cpu:,.0f}× less; "
                f"at least {least} times faster",
            )
        )
    return found


class _Peer(NamedTuple):
    version: str
    wall: float
    cpu: float


def _peer(python: str, name: str) -> _Peer:
    """What the other engine takes for the same prices, weights and costs."""
    size = [str(number) for number in (SYMBOLS, SESSIONS, HELD, COST)]
    command = [python, str(ENGINES), name, *size]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return _Peer(**json.loads(done.stdout.splitlines()[-1]))


def _event() -> Figure:
    """The exact mode: every order planned, judged, filled and booked."""
    history, days = _history(50)
    targets = _targets(history.bars, days)
    fills = 0

    def run() -> None:
        nonlocal fills
        fills = len(backtest(targets, history, rules(Decimal(10**6), CostModel())).fills)

    seconds, cpu = both(run, 1)
    note = f"CPU {cpu:.0f} s; 50 symbols × {len(days)} sessions, {fills:,} fills"
    return Figure(name="event backtest", seconds=seconds, limit=60.0, note=note)


def _sweep() -> list[Figure]:
    """200 parameter sets of each strategy by rules over the panel, from bars to returns."""
    history, days = _history(SYMBOLS)
    symbols = sorted(history.bars["symbol"].unique())
    size = f"{SYMBOLS} symbols × {SESSIONS} sessions"
    found: list[Figure] = []
    for name, varied in _VARIED.items():
        sets = [StrategyRules.model_validate({name: changes}) for changes in varied]
        among = [strategies(rules) for rules in sets]
        tops = range(5, 5 + 5 * (200 // len(among)), 5)
        trials = [({}, _study(name, one, top, days)) for one in among for top in tops]

        def run(trials: list[tuple[dict[str, str], Study]] = trials) -> None:
            panel = dense(history.bars, history.actions, sessions=days, symbols=symbols)
            world = World(lake=Lake(Path()), panel=panel, board=Board(_known(history), panel))
            assert len(list(world.tried(trials))) == 200

        seconds, cpu = both(run, 1)
        note = f"CPU {cpu:.0f} s; {len(among)} sets of rules × {len(tops)} sizes, {size}"
        found.append(Figure(name=f"sweep of 200, {name}", seconds=seconds, limit=60.0, note=note))
    return found


_VARIED: Mapping[str, list[dict[str, float]]] = {
    "relative_momentum": [{"since": since} for since in range(60, 260)],
    "momentum": [
        {"min_adx": 15 + step, "min_roc": roc} for step in range(10) for roc in (2, 4, 6, 8)
    ],
    "mean_reversion": [
        {"rsi_low": 20 + step, "zscore_entry": 1.5 + z / 4} for step in range(10) for z in range(4)
    ],
}
"""The sets of rules of each strategy; each is then tried with portfolios of several sizes."""


def _study(name: str, among: Mapping[str, Strategy], top: int, days: list[date]) -> Study:
    return Study(
        cast=Cast(name=name, symbols=(), convention="crsp", among=among),
        first=days[0],
        last=days[-1],
        allocation=AllocationRules(names=ConstructionRules(top_n=top, bottom_n=top)),
        rules=BacktestRules(),
    )


def _known(history: History) -> Known:
    nothing = pl.DataFrame()
    return Known(
        universe=history.bars.select("symbol", "session"),
        predictions=nothing,
        features=nothing,
        prices=Prices(bars=history.bars, actions=history.actions, convention="crsp"),
    )


def _history(symbols: int) -> tuple[History, list[date]]:
    days = sessions_between(date(2010, 1, 4), date(2020, 12, 31))[:SESSIONS]
    names = [f"S{number:03}" for number in range(symbols)]
    bars = random_bars(names, days, seed=3, move=0.015)
    actions = actions_of(
        *(split(name, days[500 + lane], 2.0) for lane, name in enumerate(names[::5])),
        *(dividend(name, days[700 + lane], 0.1) for lane, name in enumerate(names[::3])),
    )
    return History(bars=bars, actions=actions), days


def _targets(bars: pl.DataFrame, days: list[date]) -> pl.DataFrame:
    random = np.random.default_rng(5)
    names = sorted(bars["symbol"].unique())
    rows = [
        (name, day, "any", 0.1 if place < 10 else -0.1 if place >= len(names) - 10 else 0.0)
        for day in days
        for place, name in enumerate(random.permutation(names))
    ]
    columns = ["symbol", "session", "strategy", "target_weight"]
    return pl.DataFrame(rows, schema=columns, orient="row")
