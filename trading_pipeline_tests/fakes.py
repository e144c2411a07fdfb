"""Made-up trading values, a vendor over frames, a wire that fails, processes that are killed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from trading_pipeline.core.accounting.book import CashEntry, EntryKind
from trading_pipeline.core.execution.account import BrokerOrder
from trading_pipeline.core.execution.breaks import (
    Break,
    BreakKind,
    Reconciliation,
    Resolution,
    Subject,
)
from trading_pipeline.core.execution.order import (
    Decision,
    Fill,
    Order,
    OrderState,
    Side,
    client_order_id,
    move,
    record,
)
from trading_pipeline.core.market.calendar import next_session, session_open
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.errors import TradingPipelineError, TransientError
from trading_pipeline.flows.ports import Broker
from trading_pipeline.flows.trade import Mandate
from trading_pipeline_tests.factories import actions_of
from trading_pipeline_tests.forks import FORKS

SESSION = date(2012, 6, 1)
"""The session that made-up decisions are for."""

NOW = datetime(2012, 6, 4, 12, 0, tzinfo=UTC)
"""Between that session's close and the next one's open."""

STRATEGY = "alpha_baseline"

on_sqlite = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
"""For a test whose question the database has no part in: its neighbors ask PostgreSQL as well."""


def make_decision(session: date = SESSION, **changes: Any) -> Decision:
    """A decision of the baseline strategy."""
    return replace(
        Decision(
            strategy=STRATEGY,
            session=session,
            run_id="run-1",
            model_version="3",
            capital=Decimal(100_000),
            nav=Decimal("100000.00"),
            decided_at=NOW,
        ),
        **changes,
    )


def make_order(
    symbol: str = "AAPL", side: Side = Side.BUY, *, session: date = SESSION, **changes: Any
) -> Order:
    """A planned order of 10 shares at 100 dollars."""
    values: dict[str, Any] = {
        "client_order_id": client_order_id(STRATEGY, session, symbol=symbol, side=side, leg=1),
        "strategy": STRATEGY,
        "session": session,
        "sequence": 1,
        "symbol": symbol,
        "side": side,
        "quantity": Decimal(10),
        "reference_price": Decimal("100.00"),
        "target_weight": 0.5,
    }
    return Order(**values | changes)


def make_fill(
    order: Order, quantity: int | Decimal = 10, *, number: int = 1, **changes: Any
) -> Fill:
    """A fill of `order` at the open of the session after its own, at 101.2345 dollars."""
    session = next_session(order.session)
    values: dict[str, Any] = {
        "fill_id": f"fill-{order.client_order_id}-{number}",
        "client_order_id": order.client_order_id,
        "strategy": order.strategy,
        "symbol": order.symbol,
        "side": order.side,
        "quantity": Decimal(quantity),
        "price": Decimal("101.2345"),
        "commission": Decimal("1.00"),
        "session": session,
        "filled_at": session_open(session),
    }
    return Fill(**values | changes)


def make_entry(name: str = "deposit-1", amount: str = "100000", **changes: Any) -> CashEntry:
    """A deposit."""
    values: dict[str, Any] = {
        "entry_id": name,
        "kind": EntryKind.DEPOSIT,
        "session": SESSION,
        "amount": Decimal(amount),
        "at": NOW,
    }
    return CashEntry(**values | changes)


def make_reconciliation(**changes: Any) -> Reconciliation:
    """A reconciliation that found a position of which nobody knows where it comes from."""
    broken = Break(
        subject=Subject.POSITION,
        kind=BreakKind.UNKNOWN,
        resolution=Resolution.HELD,
        symbol="AAPL",
        ours=Decimal(10),
        theirs=Decimal(12),
        explanation="nothing that we know of explains it.",
    )
    values: dict[str, Any] = {
        "session": SESSION,
        "cause": "orders",
        "at": NOW,
        "orders": 1,
        "positions": 1,
        "cash": Decimal(5),
        "broker_cash": Decimal(5),
        "breaks": (broken,),
    }
    return Reconciliation(**values | changes)


def make_mandate(session: date = SESSION, **changes: Any) -> Mandate:
    """The baseline strategy's mandate for a session, with default rules."""
    values: dict[str, Any] = {
        "strategy": STRATEGY,
        "session": session,
        "run_id": "run-1",
        "model_version": "7",
        "sizing": SizingRules(),
        "limits": RiskLimits(),
    }
    return Mandate(**values | changes)


def accepted(order: Order) -> list[Order]:
    """The order at each step of the way to the broker."""
    sent = move(order, OrderState.SUBMITTING)
    return [sent, move(sent, OrderState.ACCEPTED, broker_order_id=f"b-{order.client_order_id}")]


def filled(order: Order, fill: Fill) -> list[Order]:
    """The order at each step of the way to its fill."""
    steps = accepted(order)
    return [*steps, record(steps[-1], fill)]


class FrameVendor:
    """A vendor (`ports.MarketData`) of the bars and actions given, as `factories` makes them."""

    name = "frames"

    def __init__(
        self, bars: pl.DataFrame, actions: pl.DataFrame | None = None, *, archive: bool = True
    ) -> None:
        self._bars = bars
        self._actions = actions_of() if actions is None else actions
        self._archive = archive

    def symbols(self) -> frozenset[str] | None:
        return frozenset(self._bars["symbol"])

    def last_session(self) -> date | None:
        return max(self._bars["session"]) if self._archive else None

    def bars(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        return self._bars.filter(
            pl.col("symbol").is_in(symbols), pl.col("session").is_between(first, last)
        ).sort("session", "symbol")

    def corporate_actions(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        return self._actions.filter(
            pl.col("symbol").is_in(symbols), pl.col("ex_date").is_between(first, last)
        )


class LossyBroker:
    """A broker (`ports.Broker`) whose wire loses what `faults` say, one fault a submission.

    `request` loses the order on its way there, `answer` the answer on its way back, `look-up` the
    answer and the look-up that follows; `ok` loses nothing. When they are used up, all is well.
    """

    def __init__(self, broker: Broker, faults: Iterable[str]) -> None:
        self._broker = broker
        self._faults = iter(faults)
        self._deaf = 0
        self.submitted: list[str] = []

    def submit(self, order: Order) -> BrokerOrder:
        fault = next(self._faults, "ok")
        if fault == "request":
            raise TransientError("The connection was lost.")
        self.submitted.append(order.client_order_id)
        answer = self._broker.submit(order)
        if fault == "ok":
            return answer
        self._deaf += fault == "look-up"
        raise TransientError("The answer did not come.")

    def find(self, client_order_id: str) -> BrokerOrder | None:
        if self._deaf:
            self._deaf -= 1
            raise TransientError("The look-up timed out.")
        return self._broker.find(client_order_id)

    def find_all(self, client_order_ids: Sequence[str]) -> dict[str, BrokerOrder]:
        found = {name: self.find(name) for name in client_order_ids}
        return {name: order for name, order in found.items() if order is not None}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


def targets_of(session: date, **weights: float) -> pl.DataFrame:
    """Target weights of the baseline strategy by symbol."""
    return pl.DataFrame(
        {
            "symbol": list(weights),
            "session": [session] * len(weights),
            "strategy": [STRATEGY] * len(weights),
            "target_weight": list(weights.values()),
        },
        schema={
            "symbol": pl.String,
            "session": pl.Date,
            "strategy": pl.String,
            "target_weight": pl.Float64,
        },
    )


# Several processes at once, and processes that are killed


def run_at_once(work: Callable[[str, int], str], url: str, count: int = 2) -> list[str]:
    """What `count` new processes answer, all let go at the same moment; sorted.

    An error of ours is answered by its name. `work` is a function of a module, called with `url`
    and the number of the process.
    """
    barrier, answers = FORKS.Barrier(count), FORKS.SimpleQueue()
    processes = [
        FORKS.Process(target=_answer, args=(work, url, number, barrier, answers), daemon=True)
        for number in range(count)
    ]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join(60)
    return sorted(found)


def _answer(
    work: Callable[[str, int], str], url: str, number: int, barrier: Any, answers: Any
) -> None:
    barrier.wait(60)
    try:
        answers.put(work(url, number))
    except TradingPipelineError as error:
        answers.put(type(error).__name__)
    except BaseException as error:
        answers.put(repr(error))
        raise


def run_and_wait(work: Callable[..., None], *arguments: Any) -> int | None:
    """How a new process that does `work` ended: 0, or the signal that killed it, negative."""
    process = FORKS.Process(target=work, args=arguments, daemon=True)
    process.start()
    process.join(60)
    process.kill()
    process.join()
    return process.exitcode
