"""The ledger's tables, append-only by triggers.

Column names are the field names of the core's values, so a row becomes an Order, a Fill, a
CashEntry, a Decision or a Pnl by its names alone. The migrations build these tables; a test holds
the two equal.
"""

import sqlalchemy as sa

from trading_pipeline.adapters.ledger.columns import Moment, Money, Word
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.execution.breaks import BreakKind, Resolution, Subject
from trading_pipeline.core.execution.order import OrderState, OrderType, Side, TimeInForce
from trading_pipeline.core.risk.limits import TradingState

metadata = sa.MetaData()

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("strategy", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("capital", Money, nullable=False),
    sa.Column("nav", Money, nullable=False),
    sa.Column("decided_at", Moment, nullable=False),
)
"""That a strategy decided a session, once."""

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("client_order_id", sa.Text, primary_key=True),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("session", sa.Date, nullable=False, index=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("side", Word(Side), nullable=False),
    sa.Column("quantity", Money, nullable=False),
    sa.Column("reference_price", Money, nullable=False),
    sa.Column("target_weight", sa.Double, nullable=False),
    sa.Column("order_type", Word(OrderType), nullable=False),
    sa.Column("time_in_force", Word(TimeInForce), nullable=False),
    sa.Column("limit_price", Money),
    sa.Column("stop_price", Money),
    sa.ForeignKeyConstraint(["strategy", "session"], ["decisions.strategy", "decisions.session"]),
    sa.UniqueConstraint("strategy", "session", "sequence"),
)
"""The intent, as decided; what became of it is in the events."""

order_events = sa.Table(
    "order_events",
    metadata,
    sa.Column("client_order_id", sa.ForeignKey("orders.client_order_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", Word(OrderState), nullable=False, index=True),
    sa.Column("filled_quantity", Money, nullable=False),
    sa.Column("average_fill_price", Money),
    sa.Column("broker_order_id", sa.Text),
    sa.Column("code", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("at", Moment, nullable=False),
)
"""Every state an order has been in, numbered from 1; the last one is its state."""

skips = sa.Table(
    "skips",
    metadata,
    sa.Column("strategy", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["strategy", "session"], ["decisions.strategy", "decisions.session"]),
)
"""Symbols that the decision gave no order, and why."""

fills = sa.Table(
    "fills",
    metadata,
    sa.Column("fill_id", sa.Text, primary_key=True),
    sa.Column(
        "client_order_id", sa.ForeignKey("orders.client_order_id"), nullable=False, index=True
    ),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("side", Word(Side), nullable=False),
    sa.Column("quantity", Money, nullable=False),
    sa.Column("price", Money, nullable=False),
    sa.Column("commission", Money, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("filled_at", Moment, nullable=False),
    sa.Index("ix_fills_session", "session", "commission"),
)
"""Shares that changed hands; the broker's execution id is the key."""

cash_entries = sa.Table(
    "cash_entries",
    metadata,
    sa.Column("entry_id", sa.Text, primary_key=True),
    sa.Column("kind", Word(EntryKind), nullable=False),
    sa.Column("session", sa.Date, nullable=False, index=True),
    sa.Column("amount", Money, nullable=False),
    sa.Column("symbol", sa.Text),
    sa.Column("quantity", Money, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("price", Money),
    sa.Column("strategy", sa.Text),
    sa.Column("new_symbol", sa.Text),
    sa.Column("new_quantity", Money),
    sa.Column("cost_share", Money),
)
"""Deposits, dividends, splits, fees, borrow, interest, trades past us, transfers, successions."""

settlements = sa.Table(
    "settlements",
    metadata,
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("at", Moment, nullable=False),
)
"""Sessions of which the broker has told everything."""

halts = sa.Table(
    "halts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", Word(TradingState), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
"""What trading may do, from this row on."""

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    *(
        sa.Column(name, Money, nullable=False)
        for name in (
            "cash",
            "cash_in",
            "nav",
            "realized",
            "unrealized",
            "fees",
            "total",
            "gross",
            "net",
        )
    ),
)
"""The P&L of a session; a later revision replaces an earlier one in reports only."""

snapshot_positions = sa.Table(
    "snapshot_positions",
    metadata,
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("quantity", Money, nullable=False),
    sa.Column("cost", Money, nullable=False),
    sa.Column("price", Money),
    sa.Column("source", sa.Text),
    sa.Column("realized", Money, nullable=False),
    sa.Column("unrealized", Money, nullable=False),
    sa.Column("dividends", Money, nullable=False),
    sa.Column("fees", Money, nullable=False),
    sa.ForeignKeyConstraint(["session", "revision"], ["snapshots.session", "snapshots.revision"]),
)
"""One symbol of a snapshot."""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
)
"""What a run did, phase by phase."""

openings = sa.Table(
    "openings",
    metadata,
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("known", sa.JSON, nullable=False),
)
"""That the books were opened on an account with a past: what the broker dates before the session,
and the ids it told by then of the session itself, are part of the opening entries."""

_BOOK = ("session", "revision")

book_snapshots = sa.Table(
    "book_snapshots",
    metadata,
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("fills", sa.Integer, nullable=False),
    sa.Column("entries", sa.Integer, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
"""The fold of all entries through a session, so that it need not be done again from zero.

It is used as long as the fills and cash entries of those sessions are as many as it was made of."""

book_parts = sa.Table(
    "book_parts",
    metadata,
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("strategy", sa.Text, primary_key=True),
    sa.Column("cash", Money, nullable=False),
    sa.Column("cash_in", Money, nullable=False),
    sa.Column("fees", Money, nullable=False),
    sa.ForeignKeyConstraint(_BOOK, [f"book_snapshots.{name}" for name in _BOOK]),
)
"""The cash of one strategy's part of a book; of the whole account where the strategy is empty."""

book_positions = sa.Table(
    "book_positions",
    metadata,
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("strategy", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("quantity", Money, nullable=False),
    sa.Column("cost", Money, nullable=False),
    sa.Column("realized", Money, nullable=False),
    sa.Column("dividends", Money, nullable=False),
    sa.Column("fees", Money, nullable=False),
    sa.ForeignKeyConstraint(_BOOK, [f"book_snapshots.{name}" for name in _BOOK]),
)
"""One symbol of a book, flat ones with a history included."""

reconciliations = sa.Table(
    "reconciliations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("orders", sa.Integer, nullable=False),
    sa.Column("positions", sa.Integer, nullable=False),
    sa.Column("cash", Money, nullable=False),
    sa.Column("broker_cash", Money, nullable=False),
)
"""That our books were compared with the broker's; the breaks of the last row stand."""

breaks = sa.Table(
    "breaks",
    metadata,
    sa.Column("reconciliation", sa.ForeignKey("reconciliations.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("subject", Word(Subject), nullable=False),
    sa.Column("kind", Word(BreakKind), nullable=False),
    sa.Column("resolution", Word(Resolution), nullable=False),
    sa.Column("symbol", sa.Text),
    sa.Column("reference", sa.Text),
    sa.Column("ours", Money, nullable=False),
    sa.Column("theirs", Money, nullable=False),
    sa.Column("explanation", sa.Text, nullable=False),
)
"""What differed, why, and whether an entry made it good or it stops orders."""
