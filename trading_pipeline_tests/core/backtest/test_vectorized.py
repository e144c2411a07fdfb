"""The dense modes: equal to the event mode, and to a few lines of plain Python."""

from collections.abc import Iterable
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.accounting.performance import sharpe_interval
from trading_pipeline.core.backtest.engine import backtest
from trading_pipeline.core.backtest.market import History
from trading_pipeline.core.backtest.panel import Panel, dense, weights_on
from trading_pipeline.core.backtest.vectorized import by_returns, by_shares
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.errors import SchemaError
from trading_pipeline_tests.core.backtest.worlds import (
    HUGE,
    days_of,
    flat_world,
    random_weights,
    rules,
    targets,
    world,
)

TEN = CostModel(
    slippage_bps=Decimal(100),
    commission_per_share=Decimal("0.02"),
    minimum_commission=Decimal(0),
)

FRICTIONS: dict[str, tuple[str | None, dict[str, object]]] = {
    "commission": ("costs", {"commission_per_share": Decimal("0.05")}),
    "spread": ("frictions", {"spread_bps": Decimal(40)}),
    "impact": ("frictions", {"impact": 0.8}),
    "borrow": ("costs", {"borrow_rate": Decimal("0.3")}),
    "interest": ("frictions", {"cash_rate": Decimal("0.1")}),
    "capacity": ("costs", {"max_participation": Decimal("0.00002")}),
    "delisting": (None, {"delisting_return": Decimal("-0.4")}),
}


def panel_of(history: History) -> Panel:
    symbols = sorted(history.bars["symbol"].unique())
    return dense(history.bars, history.actions, sessions=days_of(history), symbols=symbols)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans(), st.booleans())
def test_by_shares_equals_the_event_mode_where_whole_shares_do_not_matter(
    seed: int, compound: bool, holes: bool, costly: bool
) -> None:
    history = world(3, 30, seed=seed, holes=holes)
    wanted = targets(random_weights(30, 3, seed) / 2, days_of(history))
    made = rules(HUGE, TEN if costly else rules().costs, compound=compound)
    panel = panel_of(history)
    fast = by_shares(weights_on(wanted, panel), panel, made)
    exact = np.array([float(nav) for nav in backtest(wanted, history, made).navs])
    assert fast == pytest.approx(exact, rel=1e-9)
    assert abs(exact / float(HUGE) - 1).max() > 1e-4


@pytest.mark.parametrize("which", FRICTIONS)
def test_every_friction_costs_the_same_in_both_modes(which: str) -> None:
    fast, exact, free = in_both_modes(7, [which])
    assert fast == pytest.approx(exact, rel=1e-6)
    assert abs(free / exact - 1).max() > 1e-5, "it costs nothing"


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_all_frictions_together_cost_the_same_in_both_modes(seed: int) -> None:
    fast, exact, _ = in_both_modes(seed, FRICTIONS)
    assert fast == pytest.approx(exact, rel=1e-6)


def in_both_modes(seed: int, which: Iterable[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """NAV in the dense and in the event mode with these frictions, and in the dense without."""
    history, made = vanishing(world(3, 45, seed=seed)), rules(HUGE)
    for group, changes in (FRICTIONS[name] for name in which):
        part = made if group is None else getattr(made, group)
        part = part.model_copy(update=changes)
        made = part if group is None else made.model_copy(update={group: part})
    wanted = targets(random_weights(45, 3, seed) / 2, days_of(history))
    panel = panel_of(history)
    table = weights_on(wanted, panel)
    exact = np.array([float(nav) for nav in backtest(wanted, history, made).navs])
    return by_shares(table, panel, made), exact, by_shares(table, panel, rules(HUGE))


def vanishing(history: History) -> History:
    """The same, but that S2 trades no more after half of the sessions, and volumes are huge."""
    bars, half = history.bars, days_of(history)[22]
    kept = bars.filter((pl.col("symbol") != "S2") | (pl.col("session") <= half))
    return History(bars=kept.with_columns(pl.col("volume") * 1e9), actions=history.actions)


def test_by_shares_keeps_the_cap_of_a_position_and_the_least_commission() -> None:
    history = world(2, 40, seed=3)
    wanted = targets(random_weights(40, 2, 3), days_of(history))
    made = rules(Decimal(10**9))
    sizing = made.sizing.model_copy(update={"max_position_size": Decimal(10**8)})
    costs = CostModel(
        slippage_bps=Decimal(0), commission_per_share=Decimal(0), minimum_commission=Decimal(1_000)
    )
    made = made.model_copy(update={"sizing": sizing, "costs": costs})
    panel = panel_of(history)
    fast = by_shares(weights_on(wanted, panel), panel, made)
    event = backtest(wanted, history, made)
    exact = np.array([float(nav) for nav in event.navs])
    assert fast == pytest.approx(exact, rel=1e-6)
    crossings = {o.client_order_id for o in event.orders}
    assert len(crossings) == len(event.orders)
    assert float(event.pnls[-1].fees) == 1_000 * len(event.fills)


def oracle(weights: np.ndarray, returns: np.ndarray, cost: float) -> list[float]:
    """Dollars in each symbol, followed one by one: no formula of drift or turnover."""
    nav, held, out = 1.0, [0.0] * weights.shape[1], []
    for wanted, moved in zip(weights, returns, strict=True):
        before = nav
        held = [dollars * (1 + r) for dollars, r in zip(held, moved, strict=True)]
        nav += sum(held) - sum(d / (1 + r) for d, r in zip(held, moved, strict=True))
        traded = sum(abs(w * nav - d) for w, d in zip(wanted, held, strict=True))
        nav -= cost * traded
        held = [w * nav for w in wanted]
        out.append(nav / before - 1)
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.0001, 0.002]), st.integers(1, 80))
def test_by_returns_equals_dollars_followed_one_by_one(seed: int, cost: float, rows: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.uniform(-0.3, 0.4, (rows, 5))
    returns = random.normal(0, 0.02, (rows, 5))
    found = by_returns(weights, returns, cost=cost)
    assert found == pytest.approx(np.array(oracle(weights, returns, cost)), rel=1e-10, abs=1e-14)


def test_by_returns_equals_the_event_mode_where_nothing_moves_overnight() -> None:
    """Then the close decided at is the open filled at, and no money is moved in between."""
    closes = np.round(100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.02, 60))), 2)
    history = flat_world(closes.tolist(), opens=[closes[0], *closes[:-1]])
    weight = np.full((60, 1), 0.6)
    made = rules(HUGE, compound=True)
    event = backtest(targets(weight, days_of(history)), history, made)
    nav = np.array([float(v) for v in event.navs]) / float(HUGE)
    panel = panel_of(history)
    assert np.cumprod(1 + by_returns(weight, panel.returns)) == pytest.approx(nav, rel=1e-9)


def test_holding_everything_earns_the_adjusted_close_to_1e9() -> None:
    history = world(1, 250, seed=9)
    days = days_of(history)
    adjusted = adjust(history.bars, history.actions, convention="crsp").sort("session")["close"]
    wealth = np.cumprod(1 + by_returns(np.ones((len(days), 1)), panel_of(history).returns))
    # the crsp factor reinvests a dividend at the close of its ex-date
    assert wealth[-1] == pytest.approx(adjusted[-1] / adjusted[0], rel=1e-9)


def test_returns_stop_in_a_gap_and_catch_up_after_it() -> None:
    history = world(2, 30, events=False)
    days = days_of(history)
    gap = history.bars.filter(
        (pl.col("symbol") == "S0") | ~pl.col("session").is_in([days[0], days[10], days[11]])
    )
    returns = panel_of(History(bars=gap, actions=history.actions)).returns
    closes = gap.filter(symbol="S1").sort("session")["close"]
    assert returns[:2, 1].tolist() == [0, 0]
    assert returns[10:12, 1].tolist() == [0, 0]
    assert returns[12, 1] == pytest.approx(closes[9] / closes[8] - 1)


def test_a_session_without_targets_is_told_from_one_with_zeros() -> None:
    history = world(2, 4)
    panel = panel_of(history)
    wanted = targets([[0.5, np.nan], [np.nan, np.nan], [0.0, 0.0]], days_of(history))
    table = weights_on(wanted, panel)
    assert table[0].tolist() == [0.5, 0.0]
    assert np.isnan(table[[1, 3]]).all()
    assert table[2].tolist() == [0.0, 0.0]


def test_what_does_not_fit_is_refused() -> None:
    history = world(2, 4)
    panel = panel_of(history)
    with pytest.raises(SchemaError, match="S2 has target weights and no prices"):
        weights_on(targets([[0.1, 0.1, 0.1]], days_of(history)), panel)
    with pytest.raises(SchemaError, match="Weights are"):
        by_returns(np.ones((3, 2)), np.ones((3, 3)))
    with pytest.raises(SchemaError, match="missing"):
        by_returns(np.array([[np.nan], [1.0]]), np.zeros((2, 1)))
    twice = pl.concat([history.bars, history.bars.head(1)])
    with pytest.raises(SchemaError, match="open twice"):
        panel_of(History(bars=twice, actions=history.actions))


def test_random_weights_cover_a_sharpe_of_zero_as_often_as_they_should() -> None:
    """A 95 % interval misses in one case of twenty: of 200, some 10, and hardly ever 22."""
    missed = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        net = by_returns(random.normal(0, 0.2, (250, 8)), random.normal(0, 0.01, (250, 8)))
        interval = sharpe_interval(net.tolist())
        assert interval is not None
        missed += not interval[0] < 0 < interval[1]
    assert 0 < missed < 22
