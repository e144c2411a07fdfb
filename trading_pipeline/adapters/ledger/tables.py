"""The ledger's tables, append-only by triggers, and the types that keep their values exact.

Column names are the field names of the core's values, so a row becomes an Order, a Fill, a
CashEntry, a Decision or a Pnl by its names alone. The migrations build these tables; a test holds
the two equal.
"""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from trading_pipeline.core.accounting.book import EntryKind
from trading_pipeline.core.execution.order import OrderState, OrderType, Side, TimeInForce
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import SettingsError


class Money(TypeDecorator[Decimal]):
    """An exact decimal, dollars or shares: text on SQLite, unbounded NUMERIC on PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of the database at hand."""
        exact = sa.Numeric() if dialect.name == "postgresql" else sa.Text()
        return dialect.type_descriptor(exact)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Return what is stored; a number that is not finite is a SettingsError."""
        if value is None:
            return None
        if not value.is_finite():
            raise SettingsError(f"The amount {value} cannot be booked: expected a finite number.")
        return value if dialect.name == "postgresql" else f"{value:f}"

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Return the number that was stored, digit for digit."""
        return None if value is None else Decimal(value)


class Moment(TypeDecorator[datetime]):
    """An aware UTC time: ISO 8601 text on SQLite, TIMESTAMPTZ on PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of the database at hand."""
        moment = sa.DateTime(timezone=True) if dialect.name == "postgresql" else sa.Text()
        return dialect.type_descriptor(moment)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return what is stored; a time without a zone is a SettingsError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise SettingsError(f"The time {value} has no time zone: an aware one is expected.")
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time in UTC; SQLite's own CURRENT_TIMESTAMP bears no zone and is UTC."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class Word(TypeDecorator[StrEnum]):
    """A member of one of the core's enumerations, stored as its text."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text."""
        return None if value is None else self.words(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        """Return the member; a text that names none raises ValueError."""
        return None if value is None else self.words(value)


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
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("side", Word(Side), nullable=False),
    sa.Column("quantity", Money, nullable=False),
    sa.Column("reference_price", Money, nullable=False),
    sa.Column("target_weight", sa.Double, nullable=False),
    sa.Column("order_type", Word(OrderType), nullable=False),
    sa.Column("time_in_force", Word(TimeInForce), nullable=False),
    sa.ForeignKeyConstraint(["strategy", "session"], ["decisions.strategy", "decisions.session"]),
    sa.UniqueConstraint("strategy", "session", "sequence"),
)
"""The intent, as decided; what became of it is in the events."""

order_events = sa.Table(
    "order_events",
    metadata,
    sa.Column("client_order_id", sa.ForeignKey("orders.client_order_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", Word(OrderState), nullable=False),
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
)
"""Shares that changed hands; the broker's execution id is the key."""

cash_entries = sa.Table(
    "cash_entries",
    metadata,
    sa.Column("entry_id", sa.Text, primary_key=True),
    sa.Column("kind", Word(EntryKind), nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("amount", Money, nullable=False),
    sa.Column("symbol", sa.Text),
    sa.Column("quantity", Money, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
"""Deposits, dividends, splits and fees."""

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
