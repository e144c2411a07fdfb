"""Indexes that answer by themselves what is counted at every scrape, without the tables' rows."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index orders by session and events by state; put the commission beside a fill's session."""
    op.create_index("ix_orders_session", "orders", ["session"])
    op.create_index("ix_order_events_state", "order_events", ["state"])
    op.drop_index("ix_fills_session", "fills")
    op.create_index("ix_fills_session", "fills", ["session", "commission"])
