"""The ledger: decisions, orders, fills, cash, settlements, halts, snapshots and runs."""

import sqlalchemy as sa
from alembic import op

from trading_pipeline.adapters.ledger.columns import Moment, Money
from trading_pipeline.adapters.ledger.migrations.append_only import FUNCTION, statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SNAPSHOT_SUMS = (
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
KEYS = {
    "decisions": ("strategy", "session"),
    "orders": ("client_order_id",),
    "order_events": ("client_order_id", "number"),
    "skips": ("strategy", "session", "symbol"),
    "fills": ("fill_id",),
    "cash_entries": ("entry_id",),
    "settlements": ("session",),
    "halts": ("id",),
    "snapshots": ("session", "revision"),
    "snapshot_positions": ("session", "revision", "symbol"),
    "runs": ("id",),
}


def upgrade() -> None:
    """Create the tables, guard them, and seed the state in which trading starts: active."""
    _create_orders()
    _create_entries()
    _create_snapshots()
    _create_logs()
    _guard()
    op.execute(
        "INSERT INTO halts (state, who, reason, at) VALUES "
        "('active', 'migration', 'A new ledger starts with trading allowed.', CURRENT_TIMESTAMP)"
    )


def _create_orders() -> None:
    op.create_table(
        "decisions",
        sa.Column("strategy", sa.Text, primary_key=True),
        sa.Column("session", sa.Date, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("capital", Money, nullable=False),
        sa.Column("nav", Money, nullable=False),
        sa.Column("decided_at", Moment, nullable=False),
    )
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text, primary_key=True),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("quantity", Money, nullable=False),
        sa.Column("reference_price", Money, nullable=False),
        sa.Column("target_weight", sa.Double, nullable=False),
        sa.Column("order_type", sa.Text, nullable=False),
        sa.Column("time_in_force", sa.Text, nullable=False),
        _of_decision(),
        sa.UniqueConstraint("strategy", "session", "sequence"),
    )
    op.create_table(
        "order_events",
        sa.Column(
            "client_order_id", sa.Text, sa.ForeignKey("orders.client_order_id"), primary_key=True
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("filled_quantity", Money, nullable=False),
        sa.Column("average_fill_price", Money),
        sa.Column("broker_order_id", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("at", Moment, nullable=False),
    )
    op.create_table(
        "skips",
        sa.Column("strategy", sa.Text, primary_key=True),
        sa.Column("session", sa.Date, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        _of_decision(),
    )


def _create_entries() -> None:
    op.create_table(
        "fills",
        sa.Column("fill_id", sa.Text, primary_key=True),
        sa.Column(
            "client_order_id", sa.Text, sa.ForeignKey("orders.client_order_id"), nullable=False
        ),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("quantity", Money, nullable=False),
        sa.Column("price", Money, nullable=False),
        sa.Column("commission", Money, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("filled_at", Moment, nullable=False),
    )
    op.create_index("ix_fills_client_order_id", "fills", ["client_order_id"])
    op.create_table(
        "cash_entries",
        sa.Column("entry_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("amount", Money, nullable=False),
        sa.Column("symbol", sa.Text),
        sa.Column("quantity", Money, nullable=False),
        sa.Column("at", Moment, nullable=False),
    )
    op.create_table(
        "settlements",
        sa.Column("session", sa.Date, primary_key=True),
        sa.Column("at", Moment, nullable=False),
    )


def _create_snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("session", sa.Date, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("at", Moment, nullable=False),
        *(sa.Column(name, Money, nullable=False) for name in SNAPSHOT_SUMS),
    )
    op.create_table(
        "snapshot_positions",
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
        sa.ForeignKeyConstraint(
            ["session", "revision"], ["snapshots.session", "snapshots.revision"]
        ),
    )


def _create_logs() -> None:
    op.create_table(
        "halts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", Moment, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )


def _guard() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        op.execute(FUNCTION)
    for table, key in KEYS.items():
        for statement in statements(dialect, table, key):
            op.execute(statement)


def _of_decision() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["strategy", "session"], ["decisions.strategy", "decisions.session"]
    )
