"""`trading-pipeline compact`: session files into year files."""

import json as jsons

from trading_pipeline.adapters.catalog import LAKE_TABLES
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page, progress_bar
from trading_pipeline.core.market.calendar import last_closed_session, session_window
from trading_pipeline.flows.compact import compact as compact_tables
from trading_pipeline.settings import Settings, utc_now


def compact(*, keep: int = 21, json: bool = False) -> int:
    """Take session files into year files, which are quick to read over years.

    What is held stays the same, and runs may go on meanwhile.

    Examples: `trading-pipeline compact`; `trading-pipeline compact --keep 60 --json`.

    Args:
        keep: Newest sessions whose files stay as they are.
        json: Print a JSON object and nothing else.
    """
    settings = Settings.load()
    before = session_window(last_closed_session(utc_now()), max(keep, 1))[0]
    lake, taken = services.lake(settings), dict[str, int]()
    with progress_bar() as bar:
        for table in bar.track(LAKE_TABLES, description="compacting"):
            taken |= compact_tables(lake, [table], before=before)
    page = Page()
    if json:
        page.console.out(jsons.dumps(taken), highlight=False)
        return 0
    for table, files in taken.items():
        page.line(table, f"{files} session files taken into year files")
    return 0
