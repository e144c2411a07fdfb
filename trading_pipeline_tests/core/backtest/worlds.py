"""Made-up markets for backtests: prices, splits, dividends, holes, and weights to trade."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl

from trading_pipeline.core.backtest.market import History
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.risk.limits import BreakerRules, RiskLimits
from trading_pipeline_tests.factories import (
    BARS,
    actions_of,
    dividend,
    random_bars,
    sessions_from,
    split,
)

NAME = "any"
HUGE = Decimal(10**13)
FREE = CostModel(
    slippage_bps=Decimal(0), commission_per_share=Decimal(0), minimum_commission=Decimal(0)
)


def _widest() -> RiskLimits:
    """Every limit that is a number as wide as it may be, whichever limits there are."""
    found: dict[str, object] = {}
    for name, described in RiskLimits.model_fields.items():
        if described.annotation in {Decimal, int}:
            most = [rule.le for rule in described.metadata if hasattr(rule, "le")]
            found[name] = described.annotation(most[0] if most else 10**18)
    breaker = BreakerRules(max_daily_loss=Decimal(1), max_drawdown=Decimal(1))
    return RiskLimits(**found, breaker=breaker)


NO_LIMITS = _widest()


def rules(capital: Decimal = HUGE, costs: CostModel = FREE, **changes: object) -> BacktestRules:
    """Rules under which whole shares, roundings and limits do not matter."""
    sizing = SizingRules(capital=capital, max_position_size=capital * 100)
    return BacktestRules(sizing=sizing, limits=NO_LIMITS, costs=costs, **changes)


def world(
    symbols: int, sessions: int, *, seed: int = 1, events: bool = True, holes: bool = False
) -> History:
    """Random bars at whole cents, with splits and dividends, and missing bars but of S0."""
    names = [f"S{number}" for number in range(symbols)]
    days = sessions_from(count=sessions)
    bars = random_bars(names, days, seed=seed, move=0.03).with_columns(
        pl.col("open", "high", "low", "close").round(2)
    )
    random = np.random.default_rng(seed)
    actions = [actions_of()]
    if events:
        for name in names:
            ex_dates = random.choice(days[1:], min(4, sessions - 1), replace=False)
            ratio = float(random.choice([2.0, 3.0, 0.5, 1.5]))
            actions += [split(name, ex_dates[0], ratio)]
            actions += [
                dividend(name, day, round(float(random.uniform(0.1, 2)), 2)) for day in ex_dates[1:]
            ]
    if holes:
        kept = pl.Series(random.random(bars.height) > 0.05)
        bars = bars.filter(kept | (pl.col("symbol") == "S0"))
    return History(bars=bars, actions=actions_of(*actions))


def days_of(history: History) -> list[date]:
    return sessions_from(count=history.bars["session"].n_unique())


def targets(
    table: Sequence[Sequence[float]] | np.ndarray, days: Sequence[date], *, strategy: str = NAME
) -> pl.DataFrame:
    """Target weights from a table (sessions, symbols); a row of NaN is a session without any."""
    rows = [
        (f"S{lane}", day, strategy, float(weight))
        for day, weights in zip(days, table, strict=False)
        for lane, weight in enumerate(weights)
        if not np.isnan(weight)
    ]
    schema = {
        "symbol": pl.String,
        "session": pl.Date,
        "strategy": pl.String,
        "target_weight": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def random_weights(sessions: int, symbols: int, seed: int = 1) -> np.ndarray:
    """Longs and shorts that sum to at most 1 each; about a fifth of the sessions has none."""
    random = np.random.default_rng(seed)
    table = np.round(random.uniform(-1, 1, (sessions, symbols)) / symbols, 4)
    table[random.random(table.shape) < 0.2] = 0.0
    table[random.random(sessions) < 0.2] = np.nan
    table[0] = np.round(1 / symbols, 4)
    return table


def flat_world(closes: Sequence[float], opens: Sequence[float] | None = None) -> History:
    """One symbol, S0, with these opens and closes."""
    days = sessions_from(count=len(closes))
    rows = [
        ("S0", day, o, max(o, c), min(o, c), c, 1_000.0, None)
        for day, o, c in zip(days, opens or closes, closes, strict=True)
    ]
    return History(bars=pl.DataFrame(rows, schema=BARS, orient="row"), actions=actions_of())
