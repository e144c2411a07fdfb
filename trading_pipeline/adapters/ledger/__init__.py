"""The ledger of trading: append-only tables on SQLite or PostgreSQL."""

from trading_pipeline.adapters.ledger.keeping import History, Opening
from trading_pipeline.adapters.ledger.ledger import Appended, Ledger, Run, Standing

__all__ = ["Appended", "History", "Ledger", "Opening", "Run", "Standing"]
