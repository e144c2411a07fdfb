"""The document a day leaves behind: what was decided, what was traded, where the book stands.

Its JSON form is a published, versioned schema (docs/reference/paper_run.schema.json). Money and
share quantities are strings in plain decimal notation, so that no reader loses a digit; a share
or a rate is a number; every timestamp is UTC with its offset.
"""

from datetime import date
from typing import Literal

from pydantic import Field, FiniteFloat

from trading_pipeline.core.execution.order import OrderState, Side
from trading_pipeline.flows.account_report import (
    NavChange,
    NettingRow,
    ReconciliationBlock,
    StrategyPnl,
)
from trading_pipeline.flows.documents import Document, Moment, Money, Shares

VERSION = 1
"""Raised when a reader of the old document could misread the new one."""

Status = Literal["success", "partial", "failed", "dry_run"]


class Parameters(Document):
    """What the day was run with."""

    strategy: str
    symbols: tuple[str, ...]
    """The universe asked for."""
    capital: Money
    max_position_size: Money
    vendor: str
    broker: str
    top_n: int
    bottom_n: int
    dry_run: bool


class ModelUsed(Document):
    """The release that the decision was made with."""

    version: str
    trained_through: date | None = None
    """The last session whose bars training saw."""
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict[str, FiniteFloat])


class Results(Document):
    """The counts of the day."""

    num_signals: int
    num_orders_planned: int
    """Every order the plan asked for: submitted and blocked ones."""
    num_orders_submitted: int
    """Orders that went on the wire."""
    num_orders_accepted: int
    """Submitted orders the broker took, filled ones included."""
    num_orders_rejected: int
    num_orders_blocked: int
    """Orders a risk check stopped before the wire."""
    num_orders_filled: int
    total_notional: Money
    """Σ quantity × price over accepted orders: fill price where filled, else reference price."""
    success_rate: float
    """Accepted ÷ submitted, a fraction 0–1; 0 when nothing was submitted."""
    duration_seconds: float


class SignalRow(Document):
    """What the strategy said of one symbol; rank 1 is the highest score."""

    symbol: str
    score: FiniteFloat
    rank: int
    target_weight: FiniteFloat


class OrderRow(Document):
    """One planned order and what became of it."""

    symbol: str
    side: Side
    qty: Shares
    reference_price: Money
    """The price it was sized at, a share."""
    status: OrderState
    client_order_id: str
    filled_qty: Shares
    filled_price: Money | None
    """The average fill price, a share."""
    commission: Money
    code: str | None
    """The risk check that blocked it."""
    reason: str | None


class SkipRow(Document):
    """A symbol of the target list that led to no order, and why."""

    symbol: str
    reason: str


class PositionRow(Document):
    """An open position at the mark."""

    symbol: str
    qty: Shares
    average_cost: Money
    """Dollars a share, rounded to four decimals."""
    mark: Money
    """The price it is valued at, a share."""
    mark_source: str
    """Where the mark comes from; `cost` when there is no price, and the gain is unknown."""
    value: Money
    unrealized: Money


class SymbolPnl(Document):
    """One symbol's gains since it was first held, closed positions included."""

    status: Literal["open", "closed"]
    realized: Money
    """Dividends included."""
    unrealized: Money
    total: Money
    """Realized + unrealized, before fees."""
    dividends: Money
    fees: Money


class PnlBlock(Document):
    """Where the book stands; NAV = cash put in + total − fees, exactly."""

    realized: Money
    unrealized: Money
    total: Money
    """Realized + unrealized, before fees."""
    fees: Money
    nav: Money
    nav_change: Money | None
    """NAV less the NAV before it and less cash put in since; null in the first session."""
    change: NavChange | None
    """How NAV moved since the session valued before."""
    cash: Money
    cash_in: Money
    gross: Money
    net: Money
    open_positions: int
    closed_positions: int
    unpriced: tuple[str, ...]
    """Open positions without a price, valued at cost."""
    per_symbol: dict[str, SymbolPnl]


class NavRow(Document):
    """The value of the book after one session."""

    session: date
    nav: Money
    cash_in: Money


class CheckRow(Document):
    """A check of the day's data, and what it found."""

    name: str
    passed: bool
    blocking: bool
    sentence: str


class DayReport(Document):
    """One trading day, from the signals to the book."""

    version: Literal[1] = VERSION
    timezone: Literal["UTC"] = "UTC"
    run_id: str
    timestamp: Moment
    """When the run began; read once and used throughout."""
    generated_at: Moment
    session: date
    """The day was decided after the close of this session."""
    trade_session: date
    """The orders are for the open of this session."""
    valued_session: date | None
    """The book is valued at the close of this session; null when there is no book yet."""
    status: Status
    summary: str
    """The day in one sentence."""
    parameters: Parameters
    model: ModelUsed | None
    results: Results
    signals: tuple[SignalRow, ...]
    orders: tuple[OrderRow, ...]
    skips: tuple[SkipRow, ...]
    positions: tuple[PositionRow, ...]
    pnl: PnlBlock | None
    strategies: dict[str, StrategyPnl]
    """Each strategy's part of the book."""
    netting: tuple[NettingRow, ...]
    reconciliation: ReconciliationBlock | None
    """The last comparison with the broker's account by then; null before the first one."""
    nav_history: tuple[NavRow, ...]
    checks: tuple[CheckRow, ...]

    @property
    def exit_code(self) -> int:
        """What the command ends with: 0 when the day went as planned, else 2."""
        return 0 if self.status in {"success", "dry_run"} else 2
