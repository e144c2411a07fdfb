"""One trading day for tests: its targets, marks and market, and how it is run."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.flows.ports import Broker
from trading_pipeline.flows.trade import Traded, trade
from trading_pipeline_tests.factories import bars_of
from trading_pipeline_tests.fakes import NOW, SESSION, FrameVendor, make_mandate, targets_of

NEXT = next_session(SESSION)
LATER = NOW + timedelta(days=30)
MARKS = {"AAPL": Decimal("100"), "IBM": Decimal("200"), "MSFT": Decimal("30.5")}
TARGETS = targets_of(SESSION, AAPL=0.5, MSFT=0.5, IBM=-0.5, GOOG=0.0)
VENDOR = FrameVendor(
    bars_of({"AAPL": [100.0] * 20, "IBM": [200.0] * 20, "MSFT": [30.5] * 20}, first=SESSION)
)


def run(
    ledger: Ledger,
    broker: Broker,
    targets: pl.DataFrame = TARGETS,
    marks: Mapping[str, Decimal] = MARKS,
    **changes: Any,
) -> Traded:
    """The baseline strategy's trade of a session, by default of the day."""
    return trade(ledger, broker, targets, marks, mandate=make_mandate(**changes), now=NOW)


def states(traded: Traded) -> list[OrderState]:
    """Where the orders stand."""
    return [order.state for order in traded.orders]


def settle_at_broker_only(broker: SimulatedBroker) -> None:
    """Let the next session happen without telling the ledger."""
    broker.advance(MarketSession(session=NEXT, opens=MARKS, closes=MARKS, splits={}, dividends={}))
