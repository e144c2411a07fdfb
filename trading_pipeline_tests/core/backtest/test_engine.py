"""The event mode: the trading day replayed, exactly."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.accounting.book import EntryKind
from trading_pipeline.core.accounting.performance import returns, sharpe_interval
from trading_pipeline.core.backtest.costs import Frictions
from trading_pipeline.core.backtest.engine import Backtest, backtest
from trading_pipeline.core.backtest.market import History
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.portfolio.construction import ConstructionRules, rank, weigh
from trading_pipeline.errors import MissingDataError, SchemaError
from trading_pipeline_tests.core.backtest.worlds import (
    FREE,
    NO_LIMITS,
    days_of,
    flat_world,
    random_weights,
    rules,
    targets,
    world,
)
from trading_pipeline_tests.factories import actions_of, dividend, random_bars, sessions_from, split

THOUSAND = Decimal(1_000)


def navs(found: Backtest) -> list[float]:
    return [float(nav) for nav in found.navs]


def bought(history: History, weight: float = 1.0, **changes: object) -> Backtest:
    """Buy S0 on the first session, and hold it."""
    made = rules(THOUSAND, **changes)
    return backtest(targets([[weight]], days_of(history)), history, made)


def test_decided_at_the_close_filled_at_the_next_open() -> None:
    found = bought(flat_world([100.0, 120.0, 130.0], opens=[90.0, 110.0, 125.0]))
    (fill,) = found.fills
    assert (fill.session, fill.quantity, fill.price) == (found.sessions[1], 10, 110)
    # 10 shares sized at the close of 100, paid 110 each, worth 120 and then 130
    assert navs(found) == [1000, 1100, 1200]


def test_costs_are_those_of_the_simulated_broker() -> None:
    costs = CostModel(
        slippage_bps=Decimal(10),
        commission_per_share=Decimal("0.01"),
        minimum_commission=Decimal("0.50"),
    )
    found = bought(flat_world([100.0, 100.0]), costs=costs)
    assert found.fills[0].price == Decimal("100.1000")
    assert found.navs[-1] == 1000 - Decimal("1.00") - Decimal("0.50")


def test_dividends_and_splits_fall_on_what_is_held() -> None:
    history = flat_world([100.0, 100.0, 50.0, 49.0])
    days = days_of(history)
    events = actions_of(split("S0", days[2], 2.0), dividend("S0", days[3], 1.0))
    found = bought(replace(history, actions=events))
    assert navs(found) == [1000, 1000, 1000, 1000]
    assert found.pnls[-1].positions[0].quantity == 20
    assert found.pnls[-1].positions[0].dividends == 20


def test_a_short_owes_the_dividend() -> None:
    history = flat_world([100.0, 100.0, 99.0])
    owed = actions_of(dividend("S0", days_of(history)[2], 1.0))
    found = bought(replace(history, actions=owed), weight=-1.0)
    assert found.pnls[-1].positions[0].dividends == -10
    assert navs(found) == [1000, 1000, 1000]


def test_a_session_without_targets_holds_and_one_with_zeros_closes() -> None:
    history = flat_world([100.0] * 5)
    table = [[1.0], [np.nan], [np.nan], [0.0]]
    found = backtest(targets(table, days_of(history)), history, rules(THOUSAND))
    assert [fill.signed_quantity for fill in found.fills] == [10, -10]
    assert [fill.session for fill in found.fills] == [found.sessions[1], found.sessions[4]]


def test_blocked_and_expired_orders_are_kept_with_their_reasons() -> None:
    history = flat_world([100.0, 100.0, 100.0])
    small = NO_LIMITS.model_copy(update={"max_order_value": Decimal(999)})
    blocked = backtest(
        targets([[1.0]], days_of(history)),
        history,
        rules(THOUSAND).model_copy(update={"limits": small}),
    )
    assert [(o.state, o.code) for o in blocked.orders] == [(OrderState.BLOCKED, "order_value")]
    second = pl.col("session") == days_of(history)[1]
    gap = replace(history, bars=history.bars.filter(~second))
    expired = backtest(targets([[1.0]], days_of(history)), gap, rules(THOUSAND))
    assert [order.state for order in expired.orders] == [OrderState.EXPIRED]
    assert "no opening price" in str(expired.orders[0].reason)


def test_the_orders_of_the_last_session_wait() -> None:
    history = flat_world([100.0, 100.0])
    found = backtest(targets([[0.0], [1.0]], days_of(history)), history, rules(THOUSAND))
    assert [order.state for order in found.orders] == [OrderState.PLANNED]
    assert found.fills == ()


def test_a_symbol_that_trades_no_more_is_closed_after_ten_sessions() -> None:
    days = sessions_from(count=20)
    bars = random_bars(["S0", "S1"], days).with_columns(pl.col("close").round(2))
    gone = bars.filter((pl.col("symbol") == "S1") | (pl.col("session") <= days[4]))
    history = History(bars=gone, actions=actions_of())
    made = rules(Decimal(100_000), delisting_return=Decimal("-0.30"))
    found = backtest(targets([[0.5, 0.0]], days), history, made)
    close = gone.filter(pl.col("symbol") == "S0")["close"][-1]
    delisting = found.fills[-1]
    assert delisting.session == days[14]
    assert delisting.price == (Decimal(repr(close)) * Decimal("0.70")).quantize(Decimal("0.0001"))
    assert found.pnls[13].positions[0].source == f"close of {days[4]}"
    assert not found.pnls[14].open_positions


def test_compounding_sizes_by_what_there_is() -> None:
    history = flat_world([100.0, 100.0, 200.0, 200.0, 200.0])
    table = [[1.0], [1.0], [1.0], [1.0]]
    fixed = backtest(targets(table, days_of(history)), history, rules(THOUSAND))
    grown = backtest(targets(table, days_of(history)), history, rules(THOUSAND, compound=True))
    assert [p.positions[0].quantity for p in fixed.pnls[1:]] == [10, 10, 5, 5]
    assert [p.positions[0].quantity for p in grown.pnls[1:]] == [10, 10, 10, 10]


def test_later_bars_change_nothing_that_was_done_before() -> None:
    history = world(3, 60, holes=True)
    days = days_of(history)
    wanted = targets(random_weights(60, 3), days)
    whole = backtest(wanted, history, BacktestRules())
    for cut in (days[20], days[41]):
        known = pl.col("session") <= cut
        past = History(
            bars=history.bars.filter(known),
            actions=history.actions.filter(pl.col("ex_date") <= cut),
        )
        part = backtest(wanted.filter(known), past, BacktestRules())
        assert part.pnls == tuple(pnl for pnl in whole.pnls if pnl.session <= cut)
        assert part.entries == tuple(entry for entry in whole.entries if entry.session <= cut)
        ids = [order.client_order_id for order in whole.orders if order.session <= cut]
        assert [order.client_order_id for order in part.orders] == ids


def test_the_order_of_rows_never_matters() -> None:
    history = world(3, 40, holes=True)
    wanted = targets(random_weights(40, 3), days_of(history))
    shuffled = History(
        bars=history.bars.sample(fraction=1, shuffle=True, seed=1),
        actions=history.actions.sample(fraction=1, shuffle=True, seed=2),
    )
    assert backtest(wanted.sample(fraction=1, shuffle=True, seed=3), shuffled) == (
        backtest(wanted, history)
    )


def test_buying_and_holding_earns_the_total_return_with_dividends() -> None:
    history = world(1, 250, seed=4)
    days = days_of(history)
    made = rules(Decimal(10**15))
    found = backtest(targets([[1.0]], days), history, made)
    bars = history.bars.sort("session")
    shares = 1 / bars["close"][0]
    cash = 1 - shares * bars["open"][1]
    for at in range(2, len(days)):
        for row in history.actions.filter(ex_date=days[at]).sort("kind").iter_rows(named=True):
            cash += shares * row["dividend"]
            shares *= row["split_ratio"]
    expected = cash + shares * bars["close"][-1]
    assert float(found.navs[-1] / 10**15) == pytest.approx(expected, rel=1e-9)


def scores_at_random(days: list[date], symbols: int, seed: int, every: int) -> pl.DataFrame:
    """Random scores; each stays for `every` sessions."""
    fresh = np.random.default_rng(seed).standard_normal((len(days) // every + 1, symbols))
    table = np.repeat(fresh, every, axis=0)[: len(days)]
    frame = pl.DataFrame(
        {
            "symbol": np.tile([f"S{number}" for number in range(symbols)], len(days)),
            "session": np.repeat(np.array(days, dtype="datetime64[D]"), symbols),
            "score": table.ravel(),
        }
    )
    return weigh(rank(frame, strategy="any"), ConstructionRules(top_n=3, bottom_n=3))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_scores_earn_nothing_that_luck_does_not_explain(seed: int) -> None:
    history = world(12, 250, seed=100 + seed)
    wanted = scores_at_random(days_of(history), 12, seed, every=20)
    found = backtest(wanted, history, rules(Decimal(1_000_000), CostModel()))
    interval = sharpe_interval(returns(found.navs))
    assert interval is not None
    assert interval[0] < 0 < interval[1]


def test_knowing_tomorrow_would_earn_more_than_luck_explains() -> None:
    """The counterpart: the same test does tell a peeking strategy from a random one."""
    history = world(12, 250, seed=101, events=False)
    ahead = pl.col("open").shift(-2) / pl.col("open").shift(-1) - 1
    scored = (
        history.bars.sort("session").with_columns(score=ahead.over("symbol")).drop_nulls("score")
    )
    signals = rank(scored.select("symbol", "session", "score"), strategy="any")
    wanted = weigh(signals, ConstructionRules(top_n=3, bottom_n=3))
    found = backtest(wanted, history, rules(Decimal(1_000_000), CostModel()))
    interval = sharpe_interval(returns(found.navs))
    assert interval is not None
    assert interval[0] > 0


def test_frictions_are_paid() -> None:
    history = world(2, 60, events=False)
    wanted = targets([[0.5, -0.5]], days_of(history))
    free = backtest(wanted, history, rules(Decimal(100_000))).navs[-1]
    short = FREE.model_copy(update={"borrow_rate": Decimal("0.05")})
    for costs, friction in ((FREE, Frictions(spread_bps=Decimal(10))), (short, Frictions())):
        made = rules(Decimal(100_000), costs, frictions=friction)
        assert backtest(wanted, history, made).navs[-1] < free
    earning = rules(Decimal(100_000), FREE, frictions=Frictions(cash_rate=Decimal("0.05")))
    found = backtest(wanted, history, earning)
    assert found.navs[-1] > free
    assert {e.kind for e in found.entries if e not in found.fills} == {
        EntryKind.DEPOSIT, EntryKind.INTEREST,
    }  # fmt: skip


def test_volume_lets_only_its_share_fill_and_the_rest_is_ordered_again() -> None:
    history = flat_world([100.0] * 4)  # 1 000 shares a session
    made = rules(Decimal(40_000), CostModel(max_participation=Decimal("0.25")))
    table = [[1.0], [1.0], [1.0]]
    found = backtest(targets(table, days_of(history)), history, made)
    assert [fill.quantity for fill in found.fills] == [250, 150]
    assert found.orders[0].state is OrderState.EXPIRED
    assert found.orders[0].filled_quantity == 250


def test_what_cannot_be_replayed_is_said() -> None:
    history = flat_world([100.0, 100.0])
    days = days_of(history)
    with pytest.raises(MissingDataError, match="no target weights"):
        backtest(targets([[1.0]], days).clear(), history)
    two = pl.concat([targets([[1.0]], days), targets([[1.0]], days, strategy="other")])
    with pytest.raises(SchemaError, match="any, other"):
        backtest(two, history)
    with pytest.raises(MissingDataError, match="no bar on or after 2013"):
        backtest(targets([[1.0]], [date(2013, 1, 2)]), history)
