"""`trading-pipeline paper-run`: the job `paper_run` for one session, with a report to read."""

from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import uuid4

import dagster as dg
from cyclopts import Parameter
from rich.console import Console

from trading_pipeline import logs
from trading_pipeline.adapters.report_files import require_writable
from trading_pipeline.cli.console import Progress, print_failure, print_report
from trading_pipeline.cli.services import enter_home
from trading_pipeline.core.market.calendar import require_session
from trading_pipeline.definitions import build
from trading_pipeline.defs import resources
from trading_pipeline.defs.accounting import checks_of_run
from trading_pipeline.defs.failures import Failure, failure_of
from trading_pipeline.flows import report
from trading_pipeline.flows.day_report import DayReport
from trading_pipeline.flows.gather import Told, gather
from trading_pipeline.flows.trade import require_turn
from trading_pipeline.settings import Settings, utc_now

QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Dagster's own lines stay in its event log: on a terminal the report is what one reads."""


def paper_run(  # noqa: PLR0913 - an argument a flag
    *,
    symbols: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    capital: Decimal | None = None,
    max_position_size: Decimal | None = None,
    as_of_date: date | None = None,
    output: Annotated[list[Path] | None, Parameter(consume_multiple=True, negative="")] = None,
    dry_run: Annotated[bool | None, Parameter(negative="")] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    verbose: Annotated[bool, Parameter(alias="-v", negative="")] = False,
) -> int:
    """Run the trading day of one session, from bars to the P&L report.

    Examples: `trading-pipeline paper-run`;
    `trading-pipeline paper-run --as-of-date 2012-11-01 --output day.html day.json`;
    `trading-pipeline paper-run --symbols AAPL IBM GOOG MSFT --capital 50000 --dry-run`.

    Args:
        symbols: The universe, at least as many as the long and short names asked for.
        capital: Dollars to size by; a new simulated account opens with them.
        max_position_size: The most dollars in one symbol.
        as_of_date: The session decided on, YYYY-MM-DD; the newest one by default.
        output: Files to write the report to; .json, .csv or .html says how.
        dry_run: Plan the day and show the orders with their reasons; send and book nothing.
        json: Print the report as JSON and nothing else.
        verbose: Show the platform's own log lines.
    """
    sizing = {"capital": capital, "max_position_size": max_position_size}
    settings = _settings(
        symbols=tuple(symbols) if symbols else None,
        sizing={name: value for name, value in sizing.items() if value is not None} or None,
        dry_run=dry_run,
        log_level="INFO" if verbose else None,
    )
    for path in output or ():
        require_writable(path)
    session = require_session(as_of_date) if as_of_date else resources.latest_session(settings)
    with closing(resources.ledger(settings)) as ledger:  # before a run is on record as failed
        require_turn(ledger, settings.strategy, session)
    started_at = utc_now()
    with dg.DagsterInstance.get() as instance:
        with Progress(quiet=json) as progress:
            run_id, failure = run_day(settings, session, instance, progress)
        if failure:
            console = Console(stderr=True) if json else None  # a program reads the other
            print_failure(session, run_id, failure.sentence, console=console)
            return failure.exit_code
        told = Told(
            started_at=started_at,
            finished_at=utc_now(),
            parameters=resources.parameters_of(settings, dry_run=settings.dry_run),
            checks=checks_of_run(instance, run_id),
        )
    document = _document(settings, session, run_id, told)
    written = [path for asked in output or () for path in report.save(document, asked)]
    print_report(document, as_json=json, written=written)
    return document.exit_code


def run_day(
    settings: Settings, session: date, instance: dg.DagsterInstance, progress: Progress
) -> tuple[str, Failure | None]:
    """Execute the job `paper_run` in this process; return its run id and why it failed, if so."""
    job = build(settings).resolve_job_def("paper_run")
    run_id = str(uuid4())  # before the run: the listener is told of this one only
    instance.add_event_listener(run_id, progress.listen)
    result = job.execute_in_process(
        instance=instance,
        run_id=run_id,
        partition_key=str(session),
        run_config=QUIET,
        tags={"trading_pipeline/started_by": "cli"},
        raise_on_error=False,
    )
    return run_id, None if result.success else failure_of(result.all_events)


def _settings(**given: Any) -> Settings:
    """The settings with what was given on the command line, in a folder that is a project."""
    settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
    logs.configure(settings.log_level)
    enter_home(settings)
    return settings


def _document(settings: Settings, session: date, run_id: str, told: Told) -> DayReport:
    desk = resources.desk(settings)
    mandate = resources.mandate_of(
        settings, desk.lake, session, run_id=run_id, dry_run=settings.dry_run
    )
    return report.build(gather(desk, resources.model_store(settings), mandate, told))
