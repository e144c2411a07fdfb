"""Books kept between sessions, reconciliations and their breaks, prices of limits and stops."""

import sqlalchemy as sa
from alembic import op

from trading_pipeline.adapters.ledger.columns import Moment, Money
from trading_pipeline.adapters.ledger.migrations.append_only import statements

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEYS = {
    "openings": ("session",),
    "book_snapshots": ("session", "revision"),
    "book_parts": ("session", "revision", "strategy"),
    "book_positions": ("session", "revision", "strategy", "symbol"),
    "reconciliations": ("id",),
    "breaks": ("reconciliation", "number"),
}


def upgrade() -> None:
    """Add the columns and indexes, create the tables, and guard them."""
    for table, column in (("cash_entries", "price"), ("orders", "limit_price")):
        op.add_column(table, sa.Column(column, Money))
    op.add_column("orders", sa.Column("stop_price", Money))
    op.add_column("cash_entries", sa.Column("strategy", sa.Text))
    for table in ("fills", "cash_entries"):
        op.create_index(f"ix_{table}_session", table, ["session"])
    _create_books()
    _create_reconciliations()
    dialect = op.get_bind().dialect.name
    for table, key in KEYS.items():
        for statement in statements(dialect, table, key):
            op.execute(statement)


def _create_books() -> None:
    op.create_table(
        "openings",
        sa.Column("session", sa.Date, primary_key=True),
        sa.Column("at", Moment, nullable=False),
        sa.Column("known", sa.JSON, nullable=False),
    )
    op.create_table(
        "book_snapshots",
        *_version(),
        sa.Column("fills", sa.Integer, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("at", Moment, nullable=False),
    )
    op.create_table(
        "book_parts",
        *_version(),
        sa.Column("strategy", sa.Text, primary_key=True),
        *(sa.Column(name, Money, nullable=False) for name in ("cash", "cash_in", "fees")),
        _of_snapshot(),
    )
    sums = ("quantity", "cost", "realized", "dividends", "fees")
    op.create_table(
        "book_positions",
        *_version(),
        sa.Column("strategy", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        *(sa.Column(name, Money, nullable=False) for name in sums),
        _of_snapshot(),
    )


def _create_reconciliations() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("orders", sa.Integer, nullable=False),
        sa.Column("positions", sa.Integer, nullable=False),
        sa.Column("cash", Money, nullable=False),
        sa.Column("broker_cash", Money, nullable=False),
    )
    op.create_table(
        "breaks",
        sa.Column(
            "reconciliation", sa.Integer, sa.ForeignKey("reconciliations.id"), primary_key=True
        ),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("subject", "kind", "resolution")),
        *(sa.Column(name, sa.Text) for name in ("symbol", "reference")),
        *(sa.Column(name, Money, nullable=False) for name in ("ours", "theirs")),
        sa.Column("explanation", sa.Text, nullable=False),
    )


def _version() -> tuple[sa.Column[object], sa.Column[object]]:
    return (
        sa.Column("session", sa.Date, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    )


def _of_snapshot() -> sa.ForeignKeyConstraint:
    names = ("session", "revision")
    return sa.ForeignKeyConstraint(names, [f"book_snapshots.{name}" for name in names])
