"""Definitions of the stream alone, for a Dagster of a test: it is always a Friday afternoon."""

from datetime import UTC, datetime

import dagster as dg

from trading_pipeline.defs import stream
from trading_pipeline.defs.resources import resources
from trading_pipeline.settings import Settings, utc_now

LOADED = datetime(2026, 11, 20, 15, tzinfo=UTC)


def clock() -> datetime:
    """The present, on a Friday: the time of day counts up, and all processes agree on it."""
    return LOADED.replace(minute=0) + (utc_now() - EPOCH) % HOUR


EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = datetime(2026, 1, 1, 3, tzinfo=UTC) - EPOCH

settings = Settings.load()
defs = dg.Definitions.merge(
    dg.Definitions(resources=resources(settings), executor=dg.in_process_executor),
    stream.jobs_and_sensors(settings, clock=clock),
)
