"""The book as the fold of ledger entries, and its P&L."""
