"""Orders, fills and the table of legal moves."""
