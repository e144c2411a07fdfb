"""`trading-pipeline signals`: what the strategy says of any symbols in any session."""

from datetime import date
from itertools import groupby
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from trading_pipeline import logs
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page, columns, plain
from trading_pipeline.core.market.calendar import (
    FIRST_SESSION,
    last_closed_session,
    require_session,
)
from trading_pipeline.defs.resources import allocation_of, cast_of, feature_store
from trading_pipeline.errors import MissingDataError, ModelNotFoundError
from trading_pipeline.flows.model_documents import SignalsReport, signals_report
from trading_pipeline.flows.signals import Sources
from trading_pipeline.flows.signals import signals as signals_of
from trading_pipeline.settings import Settings, utc_now


def signals(
    *,
    symbols: str | None = None,
    as_of_date: date | None = None,
    top_n: int | None = None,
    bottom_n: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say what the strategy thinks of symbols in a session, and what it would hold of them.

    By the functions and the model of the trading day, from what the lake holds; nothing is written
    and nothing trades on it. Scores compare the symbols that are asked for with each other.

    Examples: `trading-pipeline signals`; `trading-pipeline signals --symbols AAPL,IBM,MSFT --top-n
    1 --bottom-n 1 --as-of-date 2013-02-27 --json`.

    Args:
        symbols: Comma-separated; by default the universe of the settings.
        as_of_date: The session, YYYY-MM-DD; by default the newest that bars are held of.
        top_n: Names held long; by default as in the settings.
        bottom_n: Names held short; by default as in the settings.
        json: Print the document as JSON and nothing else.
    """
    asked = {} if symbols is None else {"symbols": symbols}
    names = {"top_n": top_n, "bottom_n": bottom_n}
    given = {name: count for name, count in names.items() if count is not None}
    settings = Settings.load(**asked, **({"portfolio": given} if given else {}))
    logs.configure(settings.log_level)
    show(report_of(settings, as_of_date), as_json=json)
    return 0


def report_of(settings: Settings, as_of_date: date | None = None) -> SignalsReport:
    """What the strategy says of the settings' symbols; of the newest session held by default."""
    lake = services.lake(settings)
    session = require_session(as_of_date) if as_of_date else _newest(lake)
    sources = Sources(
        lake=lake,
        models=services.models(settings),
        cache=feature_store(settings),
        sectors=settings.risk.sector_of,
    )
    answer = signals_of(sources, cast_of(settings), session=session, rules=allocation_of(settings))
    return signals_report(answer, now=utc_now())


def tried(settings: Settings) -> str:
    """Make the signals of the newest session held, and say of how many symbols there is one."""
    try:
        found = report_of(settings)
    except (MissingDataError, ModelNotFoundError):
        return "none yet: the first run brings the bars and trains the model"
    return f"{len(found.signals)} of {len(settings.symbols)} symbols, as of {found.as_of_date}"


def show(report: SignalsReport, *, as_json: bool, console: Console | None = None) -> None:
    """Print the signals as JSON or as a table."""
    page = Page(console)
    if as_json:
        page.console.out(report.model_dump_json(indent=2), highlight=False)
        return
    models = ", ".join(report.model_version.values()) or "rules"
    page.write(Text(f"{report.strategy} in {report.as_of_date}, by {models}"))
    table = columns("Rank>", "Symbol", "Score>", "Prediction>", "Target weight>")
    rows = {row.symbol: row.model_dump(exclude={"symbol"}) for row in report.signals}
    for symbol, row in rows.items():
        said = row["prediction"]
        table.add_row(
            str(row["rank"]),
            symbol,
            plain(f"{row['score']:+.5f}"),
            "" if said is None else plain(f"{said:+.5f}"),
            plain(f"{row['target_weight']:+.1%}") if row["target_weight"] else "",
        )
    page.rows("Signal", rows, table)
    for score, alike in groupby(report.signals, key=lambda row: row.score):
        names = [row.symbol for row in alike]
        if len(names) > 1:
            what = f"{', '.join(names)} have one score, {plain(f'{score:+.5f}')}"
            page.line("Equal", f"{what}: they stand in the order of their names", "yellow")
    if report.missing:
        page.line("No data", ", ".join(report.missing))


def _newest(lake: Lake) -> date:
    last = last_closed_session(utc_now())
    held = lake.held("clean_bars", FIRST_SESSION, last)
    if not held:
        raise MissingDataError(f"No bars are held up to {last}: run a day, or the job `data`.")
    return max(held)
