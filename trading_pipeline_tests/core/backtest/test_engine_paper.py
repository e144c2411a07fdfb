"""The event mode equals the days as they are traded: ledger, simulated broker and settlement."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.backtest.engine import backtest
from trading_pipeline.core.backtest.market import History
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.market.calendar import next_session, session_open
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.flows.day import vendor_closes
from trading_pipeline.flows.mark import value
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.risk_monitor import Prices, watch
from trading_pipeline.flows.trade import Mandate, trade
from trading_pipeline_tests.core.backtest.worlds import days_of, random_weights, targets, world
from trading_pipeline_tests.factories import FrameVendor

RULES = BacktestRules(
    sizing=SizingRules(capital=Decimal(50_000), max_position_size=Decimal(9_000)),
    costs=CostModel(
        slippage_bps=Decimal(7),
        max_participation=Decimal("0.0001"),
        borrow_rate=Decimal("0.08"),
    ),
)


class PaperDays:
    """Every session as `paper_run` trades it: settle, decide, send, value."""

    def __init__(self, folder: Path, history: History) -> None:
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.ledger.create()
        self.broker = SimulatedBroker(folder / "account.db", RULES.costs, RULES.sizing.capital)
        self.vendor = FrameVendor(held=history.bars, actions=history.actions)

    def trade(self, wanted: pl.DataFrame, history: History) -> list[Pnl]:
        found = []
        symbols = sorted(history.bars["symbol"].unique())
        for session in days_of(history):
            now = session_open(next_session(session)) - timedelta(hours=1)
            settle(self.ledger, self.broker, self.vendor, through=session, now=now)
            marks = vendor_closes(self.vendor, symbols, session)
            closed = Prices(marks=marks, session=session)
            watch(
                self.ledger, self.broker, rules=RULES.limits.breaker, now=now, prices=closed,
            )  # fmt: skip
            asked = wanted.filter(session=session)
            if not asked.is_empty():
                mandate = Mandate(
                    strategy="any", session=session, run_id="run", model_version="1",
                    sizing=RULES.sizing, limits=RULES.limits,
                )  # fmt: skip
                prices = {symbol: mark.price for symbol, mark in marks.items()}
                trade(self.ledger, self.broker, asked, prices, mandate=mandate, now=now)
            found.append(value(self.ledger, marks=marks, session=session, now=now, run_id="run"))
        return found


def test_the_backtest_equals_the_days_as_they_were_traded(tmp_path: Path) -> None:
    """Same orders in the same states, same fills, same entries, same NAV to the last digit."""
    seed = 2
    history = world(4, 30, seed=seed, holes=True)
    wanted = targets(random_weights(30, 4, seed), days_of(history))
    days = PaperDays(tmp_path, history)
    pnls = days.trade(wanted, history)
    found = backtest(wanted, history, RULES)
    assert found.pnls == tuple(pnls)
    assert set(found.entries) == set(days.ledger.entries(None))
    last = max(wanted["session"])
    settled = {o.client_order_id: o for o in days.ledger.orders() if o.session < last}
    ours = {o.client_order_id: o for o in found.orders if o.session < last}
    assert ours.keys() == settled.keys()
    for name, order in ours.items():
        theirs = settled[name]
        assert (order.state, order.quantity, order.average_fill_price, order.code) == (
            theirs.state, theirs.quantity, theirs.average_fill_price, theirs.code,
        )  # fmt: skip
    assert len(found.fills) > 20
    assert len({order.state for order in found.orders}) >= 3
    assert any(0 < order.filled_quantity < order.quantity for order in found.orders)
    kinds = {entry.kind for entry in found.entries if isinstance(entry, CashEntry)}
    assert EntryKind.BORROW in kinds
    assert any(np.isnan(row).all() for row in random_weights(30, 4, seed))
