"""Live prices of the holdings: quotes of this session, and what the breaker makes of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import Book, Position
from trading_pipeline.core.accounting.pnl import Mark, mark
from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.market.calendar import session_open
from trading_pipeline.core.market.quotes import Quote
from trading_pipeline.core.risk.limits import BreakerRules
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.live_marks import live_prices
from trading_pipeline.flows.risk_monitor import vitals_of, watch
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    filled,
    make_decision,
    make_entry,
    make_fill,
    make_order,
)

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""

TODAY = NOW.date()
NOON = session_open(TODAY) + timedelta(hours=2)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def holding(ledger: Ledger) -> Ledger:
    """500 shares of AAPL and 10 of IBM, bought at 100 and worth 100 at the last snapshot."""
    orders = [make_order("AAPL", quantity=Decimal(500)), make_order("IBM", sequence=2)]
    ledger.append_cash_entries([make_entry()])
    ledger.record_decision(make_decision(), orders)
    for order in orders:
        buy(ledger, order)
    marks = {name: Mark(price=Decimal(100), source="close") for name in ("AAPL", "IBM")}
    positions = {
        o.symbol: Position(symbol=o.symbol, quantity=o.quantity, cost=o.quantity * 100)
        for o in orders
    }
    book = Book(cash=Decimal(49_000), cash_in=Decimal(100_000), positions=positions)
    ledger.append_snapshot(mark(book, marks, SESSION), run_id="r", at=NOW)
    return ledger


def buy(ledger: Ledger, order: Order) -> None:
    free = {"price": Decimal(100), "commission": Decimal(0)}
    fill = make_fill(order, order.quantity, **free)
    ledger.append(at=NOW, orders=filled(order, fill), fills=[fill])


def quoted(at: datetime, **mids: float) -> Any:
    def latest(symbols: Sequence[str]) -> Mapping[str, Quote]:
        nanoseconds = int(at.timestamp()) * 10**9
        found = {s: Quote(s, nanoseconds, m - 0.5, m + 0.5, 1, 1, "V", 1) for s, m in mids.items()}
        return {symbol: quote for symbol, quote in found.items() if symbol in symbols}

    return latest


def test_a_quote_of_this_session_goes_before_the_last_snapshot(holding: Ledger) -> None:
    found = live_prices(holding, quoted(NOON, AAPL=90, MSFT=7), now=NOON + MINUTE)
    assert found is not None
    assert found.marks["AAPL"] == Mark(price=Decimal(90), source="quote")
    assert found.marks["IBM"] == Mark(price=Decimal(100), source="close")
    assert (found.session, found.made_at) == (TODAY, NOON)


def test_there_is_no_live_price_while_the_market_is_closed_or_silent(holding: Ledger) -> None:
    def silent(symbols: Sequence[str]) -> Mapping[str, Quote]:
        raise TransientError("Redis does not answer.")

    night = datetime(TODAY.year, TODAY.month, TODAY.day, 23, 0, tzinfo=UTC)
    assert live_prices(holding, quoted(NOON, AAPL=90), now=night) is None
    assert live_prices(holding, quoted(NOON - timedelta(days=3), AAPL=90), now=NOON) is None
    assert live_prices(holding, quoted(NOON, MSFT=90), now=NOON) is None
    assert live_prices(holding, silent, now=NOON) is None


def test_the_breaker_trips_on_a_loss_of_now_and_on_quotes_that_stopped(
    holding: Ledger, broker: SimulatedBroker
) -> None:
    rules = BreakerRules(max_breaks=1_000)
    within = live_prices(holding, quoted(NOON, AAPL=90.1), now=NOON)
    assert watch(holding, broker, rules=rules, now=NOON, prices=within).trips == ()
    over = live_prices(holding, quoted(NOON, AAPL=89.8), now=NOON)
    (trip,) = watch(holding, broker, rules=rules, now=NOON, prices=over).trips
    assert (trip.code, trip.value) == ("daily_loss", Decimal("0.051"))
    later = NOON + 30 * MINUTE
    stopped = live_prices(holding, quoted(NOON, AAPL=90.1), now=later)
    assert vitals_of(holding, broker, rules=rules, now=later, prices=stopped).minutes_behind == 30
