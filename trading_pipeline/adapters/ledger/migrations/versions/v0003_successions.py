"""Shares that became other shares: what the entry of a spin-off, rename or delisting tells."""

import sqlalchemy as sa
from alembic import op

from trading_pipeline.adapters.ledger.columns import Money

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; entries of before have none of them."""
    op.add_column("cash_entries", sa.Column("new_symbol", sa.Text))
    for column in ("new_quantity", "cost_share"):
        op.add_column("cash_entries", sa.Column(column, Money))
