"""What trading costs beyond slippage and commission."""

from datetime import date
from decimal import Decimal
from math import sqrt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting.book import Book, EntryKind, Position
from trading_pipeline.core.backtest.costs import (
    Frictions,
    Liquidity,
    fill_price,
    financing,
    liquidity,
)
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import Side
from trading_pipeline_tests.core.backtest.worlds import FREE, days_of, flat_world
from trading_pipeline_tests.factories import actions_of, random_bars, sessions_from, split
from trading_pipeline_tests.fakes import make_order

KNOWN = Liquidity(dollars=1_000_000.0, volatility=0.02)
HUNDRED = Decimal(100)


def price(side: Side, known: Liquidity | None = KNOWN, quantity: int = 100, **frictions: object):
    order = make_order(side=side, quantity=Decimal(quantity))
    made = Frictions(**frictions)
    return fill_price(order, HUNDRED, costs=FREE, frictions=made, known=known)


def test_half_the_spread_is_paid_each_way() -> None:
    assert price(Side.BUY, spread_bps=Decimal(10)) == Decimal("100.05")
    assert price(Side.SELL, spread_bps=Decimal(10)) == Decimal("99.95")


def test_impact_is_volatility_times_the_root_of_the_share_of_what_trades() -> None:
    # 10 000 dollars of 1 000 000 is a hundredth, whose root is a tenth
    assert float(price(Side.BUY, impact=0.5)) == pytest.approx(100 * (1 + 0.5 * 0.02 * 0.1))
    assert price(Side.BUY, None, impact=0.5) == HUNDRED
    small, large = (price(Side.BUY, quantity=q, impact=1.0) - HUNDRED for q in (100, 400))
    assert float(large / small) == pytest.approx(2)


@given(st.integers(1, 10**9), st.floats(0, 10), st.sampled_from(list(Side)))
def test_a_fill_is_never_better_than_the_open_and_its_price_stays_above_0(
    quantity: int, impact: float, side: Side
) -> None:
    paid = price(side, quantity=quantity, impact=impact)
    assert paid > 0
    assert (paid - HUNDRED) * side.sign >= 0


def test_without_frictions_the_price_is_that_of_the_simulated_broker() -> None:
    assert price(Side.BUY) == FREE.fill_price(HUNDRED, Side.BUY)


def test_interest_and_borrow_fees_are_counted_by_calendar_days() -> None:
    short = Position(symbol="A", quantity=Decimal(-100), cost=Decimal(-5_000))
    long = Position(symbol="B", quantity=Decimal(100), cost=Decimal(5_000))
    book = Book(cash=Decimal(36_000), positions={"A": short, "B": long})
    costs, made = CostModel(borrow_rate=Decimal("0.10")), Frictions(cash_rate=Decimal("0.05"))
    closes = {"A": Decimal(60), "B": Decimal(60)}
    friday, monday = date(2012, 1, 6), date(2012, 1, 9)
    days: dict[str, Any] = {"since": friday, "session": monday}
    found = list(financing(book, closes, **days, costs=costs, frictions=made))
    assert [(entry.symbol, entry.amount) for entry in found] == [
        ("A", Decimal("-5.00")),  # 6 000 · 0.10 · 3/360
        (None, Decimal("15.00")),  # 36 000 · 0.05 · 3/360
    ]
    assert {entry.kind for entry in found} == {EntryKind.BORROW, EntryKind.INTEREST}
    assert list(financing(book, closes, **days, costs=CostModel(), frictions=Frictions())) == []


def test_liquidity_is_what_was_known_at_the_close() -> None:
    days = sessions_from(count=60)
    bars = random_bars(["S0", "S1"], days)
    whole = liquidity(bars, actions_of(), convention="crsp")
    past = liquidity(bars.filter(pl.col("session") <= days[40]), actions_of(), convention="crsp")
    assert past == {day: known for day, known in whole.items() if day <= days[40]}
    assert min(whole) == days[20]
    own = bars.filter(symbol="S0").sort("session")
    closes, volumes = own["close"].to_numpy(), own["volume"].to_numpy()
    moved = closes[1:] / closes[:-1] - 1
    found = whole[days[30]]["S0"]
    assert found.dollars == pytest.approx((closes * volumes)[11:31].mean())
    assert found.volatility == pytest.approx(moved[10:30].std(ddof=1))


def test_a_split_is_no_volatility_and_no_trade() -> None:
    closes = [100.0 + day % 2 for day in range(30)]
    history = flat_world(closes)
    days = days_of(history)
    halved = pl.col("session") >= days[25]
    bars = history.bars.with_columns(
        close=pl.when(halved).then(pl.col("close") / 2).otherwise("close"),
        volume=pl.when(halved).then(pl.col("volume") * 2).otherwise("volume"),
    )
    events = split("S0", days[25], 2.0)
    found = liquidity(bars, events, convention="crsp")[days[29]]["S0"]
    expected = liquidity(history.bars, history.actions, convention="crsp")[days[29]]["S0"]
    assert found.dollars == pytest.approx(expected.dollars)
    assert found.volatility == pytest.approx(expected.volatility)
    assert expected.volatility < 0.02 * sqrt(2)
