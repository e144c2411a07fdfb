"""`trading-pipeline replay`: a session's data as it was known, beside what is held now."""

import json as jsons
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page, columns, progress_bar
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.clean import GateRules
from trading_pipeline.flows.replay import Replayed
from trading_pipeline.flows.replay import replay as replay_session
from trading_pipeline.settings import Settings


def replay(
    session: date,
    *,
    as_known_at: datetime | None = None,
    output: Path | None = None,
    json: bool = False,
) -> int:
    """Make a session's clean bars and features once more, from what was known at a time.

    Nothing that is held changes. A row that differs from what is held now was restated since.

    Examples: `trading-pipeline replay 2013-02-28`;
    `trading-pipeline replay 2013-02-28 --as-known-at 2026-03-02T12:00:00+00:00`.

    Args:
        session: Which session, YYYY-MM-DD.
        as_known_at: The time, with its zone (UTC when none is given); default: all known now.
        output: A folder that does not exist yet, to keep the tables in as a lake of their own.
        json: Print a JSON array and nothing else.
    """
    settings = Settings.load()
    if output is not None and output.exists():
        raise SettingsError(f"{output} exists already: name a folder that does not.")
    with ExitStack() as kept:
        place = output or Path(kept.enter_context(TemporaryDirectory(prefix="replay_")))
        kept.enter_context(progress_bar()).add_task("replaying", total=None)
        found = replay_session(
            services.lake(settings),
            Lake(place),
            session=session,
            symbols=settings.symbols,
            rules=GateRules(
                quality=settings.quality,
                freshness=settings.freshness,
                convention=settings.adjustment,
                as_known_at=aware(as_known_at),
            ),
        )
    _show(found, json=json)
    return 0


def aware(moment: datetime | None) -> datetime | None:
    """The time as UTC; one without a zone is UTC."""
    if moment is None:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _show(found: list[Replayed], *, json: bool) -> None:
    page = Page()
    if json:
        page.console.out(jsons.dumps([asdict(each) for each in found], indent=2), highlight=False)
        return
    table = columns("Table", "Rows>", "Rows that differ from what is held now>")
    for each in found:
        table.add_row(each.table, str(each.rows), str(each.changed))
    page.rows("Table", {each.table: asdict(each) for each in found}, table)
