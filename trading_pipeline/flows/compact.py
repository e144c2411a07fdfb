"""Compact: session files into year files, which are quick to read over years."""

import logging
from collections.abc import Iterable
from datetime import date

from trading_pipeline.adapters.lake import Lake

_log = logging.getLogger(__name__)


def compact(lake: Lake, tables: Iterable[str], *, before: date) -> dict[str, int]:
    """Take session files of sessions before a day into year files; return how many by table.

    What is held stays the same; each year of each table is replaced whole, and runs that write the
    same year wait for it.
    """
    taken = {table: lake.compact(table, before) for table in tables}
    _log.info("lake compacted", extra={"before": str(before), "files": sum(taken.values())})
    return taken
