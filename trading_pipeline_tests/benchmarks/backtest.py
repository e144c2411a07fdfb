"""Backtests: the dense modes beside vectorbt and bt, the event mode, and a sweep."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from trading_pipeline.core.backtest.engine import backtest
from trading_pipeline.core.backtest.market import History
from trading_pipeline.core.backtest.vectorized import by_returns, by_shares, dense, on_grid
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.portfolio.construction import ConstructionRules, weigh_dense
from trading_pipeline.core.strategies import relative_momentum
from trading_pipeline.core.strategies.momentum import MomentumRules
from trading_pipeline.core.strategies.momentum import strategy as momentum
from trading_pipeline_tests.benchmarks.harness import Figure, median, timed
from trading_pipeline_tests.core.backtest.worlds import rules
from trading_pipeline_tests.factories import actions_of, dividend, random_bars, split

SYMBOLS, SESSIONS, HELD = 500, 2_520, 50
COST = 0.0005
PEERS = {"vectorbt": "1.2.0", "bt": "1.4.1"}
ENGINES = Path(__file__).with_name("backtest_engines.py")
PATIENCE = 420


def figures() -> list[Figure]:
    """All of them; another engine that cannot be had is a figure without seconds, and says why."""
    close, weights = _market()
    returns = np.vstack([np.zeros(SYMBOLS), close[1:] / close[:-1] - 1])
    ours = median(lambda: by_returns(weights, returns, cost=COST))
    mine = Figure(
        name="vectorized backtest",
        seconds=ours,
        limit=None,
        note=f"{SYMBOLS} symbols × {SESSIONS} sessions with costs",
    )
    return [mine, *_peers(ours), _event(), *_sweep()]


def _market() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.015, (SESSIONS, SYMBOLS)), axis=0))
    place = random.random((SESSIONS, SYMBOLS)).argsort(axis=1)
    weights = np.where(place < HELD, 1 / HELD, np.where(place >= SYMBOLS - HELD, -1 / HELD, 0.0))
    return close, weights


def _peers(ours: float) -> list[Figure]:
    """Each engine in an environment of its own, beside our time of the very same run."""
    found: list[Figure] = []
    for name, least in (("vectorbt", 50), ("bt", 500)):
        seconds, why = _peer(name)
        if seconds is None:
            found.append(
                Figure(name=f"vectorized against {name}", seconds=0.0, limit=None, note=why)
            )
            continue
        ratio = seconds / ours
        found.append(
            Figure(
                name=f"vectorized against {name}",
                seconds=ours,
                limit=seconds / least,
                ratio=ratio,
                ratio_to=f"{name} {PEERS[name]}",
                note=f"{name} took {seconds:.2f} s; at least {least} times faster",
            )
        )
    return found


def _peer(name: str) -> tuple[float | None, str]:
    uv = Path(sys.executable).with_name("uv")
    command = [
        str(uv if uv.exists() else "uv"), "run", "--no-project", "--python", sys.executable,
        "--with", f"{name}=={PEERS[name]}", "--with", "numpy<2.5",
        str(ENGINES), name, str(SYMBOLS), str(SESSIONS), str(HELD), str(COST),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"skipped: {name} could not be run: {error}"[:200]
    if done.returncode:
        return None, f"skipped: {name} cannot be had: {done.stderr.strip()[-150:]}"
    answer: Mapping[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer["seconds"], ""


def _event() -> Figure:
    """The exact mode: every order planned, judged, filled and booked."""
    history, days = _history(50)
    targets = _targets(history.bars, days)
    fills = 0

    def run() -> None:
        nonlocal fills
        fills = len(backtest(targets, history, rules(Decimal(10**6), CostModel())).fills)

    seconds = timed(run)
    note = f"50 symbols × {len(days)} sessions, {fills:,} fills"
    return Figure(name="event backtest", seconds=seconds, limit=60.0, note=note)


def _sweep() -> list[Figure]:
    """200 parameter sets of two strategies over the panel, from bars to net asset values."""
    history, days = _history(SYMBOLS)
    symbols = sorted(history.bars["symbol"].unique())
    panel = dense(history.bars, history.actions, sessions=days, symbols=symbols)
    nothing = pl.DataFrame()

    def past() -> None:
        for since in range(60, 260, 10):
            made = relative_momentum.RelativeMomentumRules(since=since)
            said = relative_momentum.strategy(made)(nothing, nothing, history.bars)
            scores = on_grid(said, "score", panel)
            for top in range(5, 55, 5):
                by_shares(weigh_dense(scores, ConstructionRules(top_n=top, bottom_n=top)), panel)

    def trend() -> None:
        for adx in range(10):
            said = momentum(MomentumRules(min_adx=10 + adx))(nothing, nothing, history.bars)
            scores = on_grid(said, "score", panel)
            by_shares(weigh_dense(scores, ConstructionRules(top_n=20, bottom_n=20)), panel)

    size = f"{SYMBOLS} symbols × {SESSIONS} sessions"
    return [
        Figure(name="sweep of 200", seconds=timed(past), limit=60.0, note=f"20 rules × 10, {size}"),
        Figure(name="sweep of 10 slow rules", seconds=timed(trend), limit=None, note=size),
    ]


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
