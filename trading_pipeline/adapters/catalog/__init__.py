"""The catalog: every table of the lake and of the ledger by name, read in SQL, never written."""

from trading_pipeline.adapters.catalog.catalog import ADJUSTED_BARS, Catalog
from trading_pipeline.adapters.catalog.engine import Answer, Limits
from trading_pipeline.adapters.catalog.lake_tables import LAKE_TABLES
from trading_pipeline.adapters.catalog.ledger_tables import LedgerTables

__all__ = ["ADJUSTED_BARS", "LAKE_TABLES", "Answer", "Catalog", "LedgerTables", "Limits"]
