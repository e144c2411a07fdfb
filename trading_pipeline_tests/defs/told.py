"""Definitions of what facts start alone, for a Dagster of a test: assets that do nothing."""

from typing import Any

import dagster as dg

from trading_pipeline.defs import events
from trading_pipeline.defs.partitions import SESSIONS
from trading_pipeline.settings import Settings

NAMES = ("target_weights", "orders", "fills", "positions", "exposure", "pnl", "risk", "report")


def nothing(name: str) -> Any:
    """An asset of a session."""

    @dg.asset(name=name, partitions_def=SESSIONS)
    def made() -> None:
        return

    return made


defs = dg.Definitions.merge(
    dg.Definitions(assets=[nothing(name) for name in NAMES], executor=dg.in_process_executor),
    events.jobs_and_sensor(Settings.load()),
)
