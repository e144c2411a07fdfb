"""Wire: what Dagster shows and schedules; an asset body is one call."""
