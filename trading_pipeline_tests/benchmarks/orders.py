"""Sending a large basket through the broker's rate limit: how close to the limit itself."""

import tempfile
import time
from decimal import Decimal
from pathlib import Path

from trading_pipeline.adapters.alpaca_broker import AlpacaBroker
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import Order, OrderState, Side, client_order_id, move
from trading_pipeline.flows.send import send
from trading_pipeline_tests.alpaca_twin import AlpacaTwin
from trading_pipeline_tests.alpaca_twin.brokers import access_of
from trading_pipeline_tests.alpaca_twin.limits import RateLimit
from trading_pipeline_tests.benchmarks.harness import Figure
from trading_pipeline_tests.fakes import NOW, SESSION, STRATEGY, make_decision, make_order

SIZE = 500
WINDOW_SECONDS = 12
REQUESTS = 200
"""As Alpaca's 200 a minute, five times as fast."""


def figures() -> list[Figure]:
    """500 orders, each on record before and after the wire, at the limit of the twin."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, own, refused = sending(Path(folder))
    return [
        Figure(
            name="500 orders",
            seconds=seconds,
            limit=1.1 * own,
            note=f"the limit itself takes {own:.2f} s; {refused} requests refused",
        )
    ]


def sending(folder: Path) -> tuple[float, float, int]:
    """Return seconds taken, the seconds that the limit itself takes, and requests refused."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.create()
    orders = [_order(number) for number in range(SIZE)]
    ledger.record_decision(make_decision(), orders)
    limit = RateLimit(REQUESTS, WINDOW_SECONDS)
    with AlpacaTwin(now=NOW, cash=Decimal(10**9), limit=limit) as twin:
        for order in orders:
            twin.exchange.offer(order.symbol)
        broker = AlpacaBroker(
            access_of(twin.url, answer_seconds=10, requests_per_minute=REQUESTS),
            clock=lambda: NOW,
            sleep=time.sleep,
        )
        broker.account()  # the connection stands, and the limit is known
        time.sleep(WINDOW_SECONDS - time.time() % WINDOW_SECONDS)
        begun = time.time()
        for order in orders:
            submitting = move(order, OrderState.SUBMITTING)
            ledger.append_event(submitting, at=NOW)
            send(ledger, broker, submitting, now=NOW)
        seconds = time.time() - begun
        assert len(twin.booked()) == SIZE
        assert {order.state for order in ledger.orders()} == {OrderState.ACCEPTED}
    ledger.close()
    own = (SIZE - 1) // REQUESTS * WINDOW_SECONDS
    return seconds, own, limit.refused


def _order(number: int) -> Order:
    symbol = f"S{number:03}"
    name = client_order_id(STRATEGY, SESSION, symbol=symbol, side=Side.BUY, leg=1)
    return make_order(symbol, client_order_id=name, sequence=number + 1)
