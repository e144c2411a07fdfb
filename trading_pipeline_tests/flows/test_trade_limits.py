"""Every limit stops an order in the real order path, and two runs at once cannot exceed one."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import Book
from trading_pipeline.core.accounting.pnl import mark
from trading_pipeline.core.execution.account import Account
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.risk.limits import BreakerRules, RiskLimits
from trading_pipeline.core.risk.view import Asset, Returns
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.risk_monitor import watch
from trading_pipeline.flows.risk_view import MarketFacts
from trading_pipeline.flows.trade import Traded, trade
from trading_pipeline_tests.factories import bars_of, sessions_from
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    FrameVendor,
    make_decision,
    make_mandate,
    make_order,
    on_sqlite,
    run_at_once,
    targets_of,
)

MARKS = {"AAPL": Decimal(100), "IBM": Decimal(200)}
VENDOR = FrameVendor(bars_of({"AAPL": [100.0] * 9, "IBM": [200.0] * 9}, first=SESSION))
ALIKE = np.random.default_rng(1).normal(0, 0.01, (60, 1)) @ np.array([[1.0, 1.0]])
ALIKE[:10, 1] *= -1
FACTS = MarketFacts(
    average_volumes={"AAPL": Decimal(10_000), "IBM": Decimal(10_000)},
    sessions_behind={"AAPL": 1, "IBM": 0},
    returns=Returns(symbols=("AAPL", "IBM"), values=ALIKE),
)
TAME = {"max_sessions_behind": 1, "max_mean_correlation": 1, "max_pair_correlation": 1}
"""With these everything passes: 200 AAPL and 100 IBM bought, 20 000 dollars each."""

LAST: dict[str, tuple[object, str]] = {
    "max_order_value": ("19999", "order_value"),
    "max_order_quantity": ("199", "order_quantity"),
    "max_volume_share": ("0.019", "volume_share"),
    "max_position_quantity": ("199", "position_quantity"),
    "max_position_value": ("19999", "position_value"),
    "max_position_share": ("0.19", "position_share"),
    "max_gross_exposure": ("0.19", "gross_exposure"),
    "max_net_exposure": ("0.19", "net_exposure"),
    "max_long_exposure": ("0.19", "long_exposure"),
    "max_short_exposure": ("0.19", "short_exposure"),
    "sectors": ("AAPL=tech", "sector_exposure"),
    "max_sector_exposure": ("0.19", "sector_exposure"),
    "max_concentration": ("0.039", "concentration"),
    "max_turnover": ("0.19", "turnover"),
    "max_orders_per_minute": (1, "minute_rate"),
    "max_orders_per_session": (1, "session_rate"),
    "max_sessions_behind": (0, "fresh_price"),
    "restricted": ("AAPL", "restricted"),
    "max_mean_correlation": ("0.5", "mean_correlation"),
    "max_pair_correlation": ("0.5", "pair_correlation"),
    "correlation_look_back": (45, "mean_correlation"),
}
"""A value of the field that blocks, and the code it blocks with. See below for the other fields."""

MORE: dict[str, dict[str, object]] = {
    "sectors": {"max_sector_exposure": "0.19"},
    "max_sector_exposure": {"sectors": "AAPL=tech"},
    "max_mean_correlation": {"correlation_look_back": 45},
    "max_pair_correlation": {"correlation_look_back": 45},
    "correlation_look_back": {"max_mean_correlation": "0.9"},
}


def run(ledger: Ledger, broker: SimulatedBroker, side: int = 1, **limits: object) -> Traded:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    mandate = make_mandate(
        limits=RiskLimits.model_validate(TAME | limits), facts=FACTS, dry_run=True
    )
    targets = targets_of(SESSION, AAPL=0.5 * side, IBM=0.5 * side)
    return trade(ledger, broker, targets, MARKS, mandate=mandate, now=NOW)


@on_sqlite
@pytest.mark.parametrize("field", sorted(LAST))
def test_each_limit_stops_an_order(field: str, ledger: Ledger, broker: SimulatedBroker) -> None:
    value, code = LAST[field]
    more, side = MORE.get(field, {}), -1 if field == "max_short_exposure" else 1
    base = run(ledger, broker, side, **more)
    assert {order.state for order in base.orders} == {OrderState.PLANNED}
    done = run(ledger, broker, side, **more, **{field: value})
    blocked = [order for order in done.orders if order.state is OrderState.BLOCKED]
    assert {order.code for order in blocked} == {code}


def test_the_walk_visits_every_field() -> None:
    elsewhere = {"max_price_deviation", "max_borrowing", "breaker"}
    assert set(LAST) | elsewhere == set(RiskLimits.model_fields)


@on_sqlite
@pytest.mark.parametrize(("most", "states"), [("0.21", "accepted"), ("0.19", "blocked")])
def test_a_price_that_has_run_away_since_the_decision_stops_an_order(
    ledger: Ledger, broker: SimulatedBroker, most: str, states: str
) -> None:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    mandate = make_mandate(limits=RiskLimits(max_price_deviation=Decimal(most)))
    targets = targets_of(SESSION, AAPL=0.1)
    first = trade(ledger, broker, targets, MARKS, mandate=replace(mandate, dry_run=True), now=NOW)
    ledger.record_decision(first.decision, first.orders)  # and then the process was killed
    moved = {"AAPL": Decimal("83.4")}  # 16.6 below the 100 the order was sized at: a fifth of 83.4
    (order,) = trade(ledger, broker, targets, moved, mandate=mandate, now=NOW).orders
    assert order.state == states
    assert order.code == ("price_collar" if states == "blocked" else None)


@on_sqlite
@pytest.mark.parametrize(("most", "codes"), [("0.6", [None]), ("0.59", [None, "borrowing"])])
def test_too_much_borrowed_cash_stops_an_order(
    ledger: Ledger, broker: SimulatedBroker, most: str, codes: list[str | None]
) -> None:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    wide = dict.fromkeys(("max_order_value", "max_position_value"), 100_000)
    wide |= {"max_position_share": 1, "max_long_exposure": 3, "max_net_exposure": 3}
    limits = RiskLimits.model_validate(wide | {"max_concentration": 3, "max_borrowing": most})
    sizing = SizingRules(max_position_size=Decimal(80_000))
    targets = targets_of(SESSION, AAPL=0.8, IBM=0.8)
    mandate = make_mandate(limits=limits, sizing=sizing)
    orders = trade(ledger, broker, targets, MARKS, mandate=mandate, now=NOW).orders
    assert list(dict.fromkeys(order.code for order in orders)) == codes


@on_sqlite
@pytest.mark.parametrize(("most", "code"), [("0.052", None), ("0.051", "breaker")])
def test_a_reached_rule_of_the_breaker_stops_an_order(
    ledger: Ledger, broker: SimulatedBroker, most: str, code: str | None
) -> None:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    for session, nav in zip(sessions_from(SESSION, 2), (100_000, 94_900), strict=True):
        book = Book(cash=Decimal(nav), cash_in=Decimal(100_000), fees=Decimal(100_000 - nav))
        ledger.append_snapshot(mark(book, {}, session), run_id="r", at=NOW)
    limits = RiskLimits(breaker=BreakerRules(max_daily_loss=Decimal(most)))
    watch(ledger, broker, rules=limits.breaker, now=NOW)
    mandate = make_mandate(limits=limits)
    (order,) = trade(
        ledger, broker, targets_of(SESSION, AAPL=0.1), MARKS, mandate=mandate, now=NOW
    ).orders
    assert order.code == code


class ChoosyBroker:
    """A broker that grants 30 000 dollars and lends no shares of IBM."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker

    def account(self) -> Account:
        return replace(self._broker.account(), buying_power=Decimal(30_000))

    def assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        return {symbol: Asset(shortable=symbol != "IBM") for symbol in symbols}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


@on_sqlite
@pytest.mark.parametrize(("weight", "code"), [(0.2, "buying_power"), (-0.2, "shortable")])
def test_what_the_broker_grants_limits_the_orders(
    ledger: Ledger, broker: SimulatedBroker, weight: float, code: str
) -> None:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    targets = targets_of(SESSION, AAPL=0.2, IBM=weight)
    choosy: Any = ChoosyBroker(broker)
    orders = trade(ledger, choosy, targets, MARKS, mandate=make_mandate(), now=NOW).orders
    assert {order.symbol: order.code for order in orders} == {"AAPL": None, "IBM": code}


def test_what_others_have_on_its_way_takes_buying_power(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    other = replace(make_order("IBM", quantity=Decimal(101)), strategy="other")
    ledger.record_decision(make_decision(strategy="other"), [other])
    choosy: Any = ChoosyBroker(broker)
    orders = trade(
        ledger, choosy, targets_of(SESSION, AAPL=0.2), MARKS, mandate=make_mandate(), now=NOW
    ).orders
    # 30 000 less 10 100 is less than 20 000
    assert {order.symbol: order.code for order in orders}["AAPL"] == "buying_power"


TOGETHER = {
    "max_gross_exposure": "0.3",
    "max_long_exposure": "0.3",
    "max_net_exposure": "0.3",
    "max_turnover": "0.3",
    "max_orders_per_session": "1",
    "max_orders_per_minute": "1",
}
"""Limits that one order of 20 000 dollars respects, and two of them do not."""


def trade_in_process(places: str, number: int) -> str:
    url, path, limit = places.split(" ")
    broker = SimulatedBroker(Path(path), CostModel(), Decimal(100_000))
    name = f"strategy_{number}"
    symbol = ("AAPL", "IBM")[number]
    targets = targets_of(SESSION, **{symbol: 0.5}).with_columns(strategy=pl.lit(name))
    limits = RiskLimits.model_validate({limit: TOGETHER[limit]})
    mandate = make_mandate(strategy=name, limits=limits, shares_account=True)
    done = trade(Ledger(url), broker, targets, MARKS, mandate=mandate, now=NOW)
    mine = [order for order in done.orders if order.symbol == symbol]
    return mine[0].state.value


@pytest.mark.parametrize("limit", sorted(TOGETHER))
def test_two_order_runs_at_once_cannot_exceed_a_limit_together(
    ledger: Ledger, ledger_url: str, broker: SimulatedBroker, tmp_path: Path, limit: str
) -> None:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    broker.account()
    found = run_at_once(trade_in_process, f"{ledger_url} {tmp_path / 'broker.db'} {limit}")
    assert found in (["accepted", "blocked"], ["blocked", "blocked"])
