"""The steps of the ledger's schema, oldest first."""
