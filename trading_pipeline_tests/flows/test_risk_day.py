"""Whole days through the real order path: one that loses too much, one with a suspect holding."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import Order, OrderState
from trading_pipeline.core.risk.limits import BreakerRules, RiskLimits, TradingState
from trading_pipeline.flows.audit import audit
from trading_pipeline.flows.day import Desk, place_orders, take_fills, value_book
from trading_pipeline.flows.halt import release
from trading_pipeline.flows.risk_monitor import alerts, watch
from trading_pipeline_tests.factories import bars_of, sessions_from
from trading_pipeline_tests.fakes import (
    SESSION,
    STRATEGY,
    FrameVendor,
    make_mandate,
    targets_of,
)

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""

DAYS = sessions_from(SESSION, 7)
MINUTE = timedelta(minutes=1)
EVENING = datetime(2012, 7, 2, 22, 0, tzinfo=UTC)
"""When all of these sessions have closed."""

FREE = CostModel(
    slippage_bps=Decimal(0), commission_per_share=Decimal(0), minimum_commission=Decimal(0)
)
FALL = 87.25
"""What both holdings of 20 000 dollars close at after opening at 100: 5 100 dollars are lost."""

CLOSES = bars_of(
    {
        "AAPL": [100.0, *[FALL] * 6],
        "IBM": [100.0, *[FALL] * 6],
        "MSFT": [50.0] * 7,
    },
    first=SESSION,
)
LOSING = (pl.col("session") == DAYS[1]) & (pl.col("symbol") != "MSFT")
BARS = CLOSES.with_columns(pl.when(LOSING).then(100.0).otherwise("open").alias("open"))
BOTH = {"AAPL": 0.5, "IBM": 0.5, "MSFT": 0.0}
TURNED = {"AAPL": 0.0, "IBM": 0.5, "MSFT": 0.5}
"""Sell what is held of AAPL, which reduces; buy MSFT, which increases."""


@pytest.fixture
def desk(ledger: Ledger, tmp_path: Path) -> Iterator[Desk]:
    """A lake with the bars, and targets that are held for a day and then turned."""
    lake = Lake(tmp_path / "lake")
    lake.write("clean_bars", BARS, DAYS)
    targets = [targets_of(DAYS[0], **BOTH), *(targets_of(day, **TURNED) for day in DAYS[1:])]
    lake.write("target_weights", pl.concat(targets), DAYS)
    broker = SimulatedBroker(tmp_path / "broker.db", FREE, Decimal(100_000))
    yield Desk(lake=lake, vendor=FrameVendor(BARS), ledger=ledger, broker=broker)
    broker.close()


def day(desk: Desk, number: int, now: datetime = EVENING) -> dict[str, Order]:
    """Place the orders of a session, and value the book once they are filled."""
    done = place_orders(desk, make_mandate(DAYS[number]), now=now)
    take_fills(desk, DAYS[number], now=now)
    value_book(desk, DAYS[number], now=now, run_id="r")
    return {order.symbol: order for order in done.orders}


def test_a_day_that_loses_five_per_cent_stops_what_increases_until_it_is_released(
    desk: Desk, ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert {order.state for order in day(desk, 0).values()} == {OrderState.ACCEPTED}
    with caplog.at_level(logging.ERROR):
        orders = day(desk, 1)
        loss = f"The account lost 5.10% in {DAYS[1]}: the limit is 5.00%."
        assert (orders["MSFT"].state, orders["MSFT"].code) == (OrderState.BLOCKED, "breaker")
        assert orders["MSFT"].reason == f"The breaker made trading reducing: {loss}"
        assert orders["AAPL"].state is OrderState.ACCEPTED  # it only reduces
        (told,) = alerts(desk.ledger)
        assert (told.code, told.sentence, told.session) == ("daily_loss", loss, DAYS[1])

        restarted = replace(desk, ledger=Ledger(ledger_url))
        assert day(restarted, 2, EVENING + 9_999 * MINUTE)["MSFT"].code == "breaker"
        rules = BreakerRules()
        for _ in range(3):
            watch(restarted.ledger, desk.broker, rules=rules, now=EVENING + 9_999 * MINUTE)
        assert len(alerts(restarted.ledger)) == 1
    assert [record.message for record in caplog.records] == ["breaker tripped"]

    at = EVENING + 10_000 * MINUTE
    release(restarted.ledger, who="ada", reason="Hedged.", now=at, rules=rules)
    quiet = day(restarted, 3, at + 4 * MINUTE)["MSFT"]
    assert quiet.code == "trading_state"
    assert str(quiet.reason).startswith("Trading is reducing: Released by ada, quiet until")
    assert day(restarted, 4, at + 5 * MINUTE)["MSFT"].state is OrderState.ACCEPTED
    assert len(alerts(restarted.ledger)) == 1
    restarted.ledger.close()


def test_a_trip_takes_back_what_would_increase_and_is_still_out(desk: Desk) -> None:
    day(desk, 0)
    place_orders(desk, make_mandate(DAYS[1], limits=TOLERANT), now=EVENING)
    found = watch(desk.ledger, desk.broker, rules=BreakerRules(), now=EVENING)
    assert [trip.code for trip in found.trips] == ["daily_loss"]
    assert {order.symbol for order in found.withdrawn.canceled} == {"IBM", "MSFT"}
    assert found.withdrawn.standing == ()
    assert found.standing.state is TradingState.REDUCING


TOLERANT = RiskLimits(breaker=BreakerRules(max_daily_loss=Decimal("0.06")))


def test_a_holding_whose_bar_is_suspect_is_neither_sold_nor_bought(desk: Desk) -> None:
    day(desk, 0)
    odd = BARS.filter(pl.col("symbol") == "AAPL", pl.col("session") == DAYS[1])
    aside = odd.with_columns(reason=pl.lit("suspect_move_0.13"))
    desk.lake.write("quarantined_bars", aside, [DAYS[1]])
    mandate = make_mandate(DAYS[1], limits=TOLERANT)
    done = place_orders(desk, mandate, now=EVENING)
    assert {order.symbol for order in done.orders} == {"IBM", "MSFT"}
    assert done.skips["AAPL"] == "suspended"
    assert take_fills(desk, DAYS[1], now=EVENING).fills
    assert desk.broker.account().positions["AAPL"] == 200
    after = place_orders(desk, make_mandate(DAYS[2], limits=TOLERANT), now=EVENING)
    assert ("AAPL", "sell") in [(order.symbol, order.side) for order in after.orders]


def test_orders_that_are_out_are_judged_once_more(desk: Desk) -> None:
    place_orders(desk, make_mandate(DAYS[0]), now=EVENING)
    decided = (STRATEGY, DAYS[0])
    assert audit(desk.ledger, desk.lake, decided, limits=RiskLimits(), now=EVENING) == []
    tight = RiskLimits(max_gross_exposure=Decimal("0.3"))
    (wrong,) = audit(desk.ledger, desk.lake, decided, limits=tight, now=EVENING)
    assert wrong.endswith(
        "All positions together would be worth 40,000.00 dollars: the limit is 30,000.00."
    )
    take_fills(desk, DAYS[0], now=EVENING)
    assert audit(desk.ledger, desk.lake, decided, limits=tight, now=EVENING) == []
