"""Every limit stops an order in the real order path, and two runs at once cannot exceed one."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.core.risk.view import Returns
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.risk_view import MarketFacts
from trading_pipeline.flows.trade import Traded, trade
from trading_pipeline_tests.factories import bars_of
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    FrameVendor,
    make_mandate,
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
TAME = {
    "max_sessions_behind": 1,
    "max_mean_correlation": 1,
    "max_pair_correlation": 1,
    "max_borrowing": "0.3",
}
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
MORE: dict[str, dict[str, object]] = {
    "sectors": {"max_sector_exposure": "0.19"},
    "max_sector_exposure": {"sectors": "AAPL=tech"},
    "max_mean_correlation": {"correlation_look_back": 45},
    "max_pair_correlation": {"correlation_look_back": 45},
    "correlation_look_back": {"max_mean_correlation": "0.9"},
}


@pytest.fixture
def broker(tmp_path: Path) -> SimulatedBroker:
    return SimulatedBroker(tmp_path / "broker.db", CostModel(), Decimal(100_000))


def run(ledger: Ledger, broker: SimulatedBroker, side: int = 1, **limits: object) -> Traded:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    mandate = make_mandate(
        limits=RiskLimits.model_validate(TAME | limits), facts=FACTS, dry_run=True
    )
    targets = targets_of(SESSION, AAPL=0.5 * side, IBM=0.5 * side)
    return trade(ledger, broker, targets, MARKS, mandate=mandate, now=NOW)


@pytest.mark.parametrize("field", sorted(LAST))
def test_each_limit_stops_an_order(field: str, ledger: Ledger, broker: SimulatedBroker) -> None:
    value, code = LAST[field]
    more, side = MORE.get(field, {}), -1 if field == "max_short_exposure" else 1
    base = run(ledger, broker, side, **more)
    assert {order.state for order in base.orders} == {OrderState.PLANNED}
    done = run(ledger, broker, side, **more, **{field: value})
    blocked = [order for order in done.orders if order.state is OrderState.BLOCKED]
    assert {order.code for order in blocked} == {code}


def trade_in_process(places: str, number: int) -> str:
    url, path = places.split(" ")
    broker = SimulatedBroker(Path(path), CostModel(), Decimal(100_000))
    name = f"strategy_{number}"
    symbol = ("AAPL", "IBM")[number]
    targets = targets_of(SESSION, **{symbol: 0.5}).with_columns(strategy=pl.lit(name))
    mandate = make_mandate(strategy=name, limits=RiskLimits(max_gross_exposure=Decimal("0.3")))
    done = trade(Ledger(url), broker, targets, MARKS, mandate=mandate, now=NOW)
    mine = [order for order in done.orders if order.symbol == symbol]
    return mine[0].state.value


def test_two_order_runs_at_once_cannot_exceed_a_limit_together(
    ledger: Ledger, ledger_url: str, broker: SimulatedBroker, tmp_path: Path
) -> None:
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    broker.account()
    found = run_at_once(trade_in_process, f"{ledger_url} {tmp_path / 'broker.db'}")
    assert found in (["accepted", "blocked"], ["blocked", "blocked"])
