"""Sessions, corporate actions, data quality, freshness and the universe."""
