"""Orders at a loopback Alpaca and in the ledger, and updates of them as a stream tells them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from trading_pipeline.adapters.alpaca_broker import AlpacaBroker, update_of
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import Order, OrderState, Side, move
from trading_pipeline.core.market.calendar import next_session, session_open
from trading_pipeline.flows.send import send
from trading_pipeline_tests.alpaca_twin import AlpacaTwin
from trading_pipeline_tests.fakes import NOW, SESSION, make_decision, make_entry, make_order

OPEN_AT = session_open(next_session(SESSION))
OPENED = OPEN_AT + timedelta(minutes=1)
D = Decimal


def place(ledger: Ledger, broker: AlpacaBroker, *symbols: str) -> list[Order]:
    """Orders to buy ten shares of each, on record and at the broker."""
    orders = [
        make_order(symbol, Side.BUY, sequence=number)
        for number, symbol in enumerate(symbols, start=1)
    ]
    ledger.append_cash_entries([make_entry()])
    ledger.record_decision(make_decision(), orders)
    for order in orders:
        submitting = move(order, OrderState.SUBMITTING)
        ledger.append_event(submitting, at=NOW)
        send(ledger, broker, submitting, now=NOW)
    return orders


def state_of(ledger: Ledger, order: Order) -> tuple[OrderState, Decimal, Decimal | None]:
    """Where the order stands in the ledger: state, filled shares, average price."""
    (held,) = ledger.orders(client_order_ids=[order.client_order_id])
    return held.state, held.filled_quantity, held.average_fill_price


def told(twin: AlpacaTwin, order: Order) -> list[Any]:
    """Every update of an order, oldest first, as values."""
    return [
        update_of(update)
        for update in twin.exchange.updates
        if update["order"]["client_order_id"] == order.client_order_id
    ]


def fill_in_two(twin: AlpacaTwin, name: str) -> None:
    """Fill four shares, then six, in an open market."""
    twin.exchange.move_to(OPENED)
    twin.exchange.fill(name, D(4), D("100.01"))
    twin.exchange.fill(name, D(6), D("100.02"))
