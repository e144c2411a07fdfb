"""`trading-pipeline backtest`: past sessions replayed by the functions of the trading day."""

import json as json_format
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from trading_pipeline import logs
from trading_pipeline.adapters.report_files import direction, dollars, percent, require_writable
from trading_pipeline.cli.page import STYLES, Page, columns, plain, progress_bar
from trading_pipeline.core.market.calendar import next_session, previous_session, session_window
from trading_pipeline.defs.backtest import Asked, compared, make
from trading_pipeline.defs.resources import latest_session
from trading_pipeline.flows.backtest_document import BacktestReport
from trading_pipeline.flows.backtest_report import save
from trading_pipeline.flows.parity import Parity
from trading_pipeline.settings import Settings

_DIFFERENCE = ("what", "paper", "backtest", "why")
SESSIONS = 252
"""Sessions replayed where no first day is given."""


def backtest(
    *,
    strategy: str | None = None,
    first: Annotated[date | None, Parameter(name="--from")] = None,
    last: Annotated[date | None, Parameter(name="--to")] = None,
    output: Annotated[list[Path] | None, Parameter(consume_multiple=True, negative="")] = None,
    against_paper: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Replay a strategy over past sessions, and write one page with all figures and plots.

    Data and models that the sessions need are fetched and trained first where they are missing.
    The backtest is put on record in MLflow as a trial of the strategy.

    Examples: `trading-pipeline backtest --strategy momentum --from 2011-01-01 --to 2012-12-31`;
    `trading-pipeline backtest --from 2012-06-01 --json`;
    `trading-pipeline backtest --from 2013-02-01 --against-paper`.

    Args:
        strategy: The strategy; by default the one that trades.
        first: The first day, YYYY-MM-DD; by default 252 sessions before the last.
        last: The last day, YYYY-MM-DD; by default the newest session a day can be run for.
        output: Further files to write the report to; .json, .html or .csv (NAV by session).
        against_paper: Compare with what was traded on paper in the same sessions instead, from the
            book it began with, and explain every difference; exit code 2 when there is one.
        json: Print the document as JSON and nothing else.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    for path in output or ():
        require_writable(path)
    until = last or latest_session(settings)
    since = first or session_window(_session(until), SESSIONS)[0]
    asked = Asked(strategy=strategy or settings.strategy, first=since, last=until)
    if against_paper:
        return show_parity(compared(settings, asked), as_json=json)
    with progress_bar() as bar:
        task = bar.add_task("starting", total=1.0)
        made = make(
            settings,
            asked,
            lambda what, share: bar.update(task, description=what, completed=share),
        )
    for path in output or ():
        save(made.report, path)
    show(made.report, [made.page, *(output or ())], as_json=json)
    return 0


def show_parity(parity: Parity, *, as_json: bool) -> int:
    """Print what differs between a backtest and the paper account, and return the exit code."""
    page = Page()
    rows = [
        {"session": str(each.session), **{name: getattr(each, name) for name in _DIFFERENCE}}
        for each in parity.differences
    ]
    if as_json:
        document = {"sentence": parity.sentence, "differences": rows}
        page.console.out(json_format.dumps(document, indent=2), highlight=False)
    else:
        page.write(Text(parity.sentence))
        table = columns("Session", "What", "Paper", "Backtest", "Why")
        for row in rows:
            table.add_row(*row.values())
        page.rows("Difference", {str(at): row for at, row in enumerate(rows, 1)}, table)
    return 2 if rows else 0


def show(report: BacktestReport, written: list[Path], *, as_json: bool) -> None:
    """Print the figures of a backtest, and where its page is."""
    page = Page()
    if as_json:
        page.console.out(report.model_dump_json(indent=2), highlight=False)
        return
    its = report.figures
    style = STYLES[direction(its.total_return)]
    page.write(Text(report.summary))
    page.line("Sessions", f"{report.first_session} to {report.last_session}, {its.sessions + 1}")
    page.line("Total return", plain(percent(its.total_return, signed=True)), style)
    page.line("A year", plain(percent(its.annualized_return, signed=True)))
    page.line(
        "Benchmark", f"{plain(percent(its.benchmark_return, signed=True))}, {report.benchmark}"
    )
    page.line("Volatility", percent(its.volatility))
    page.line("Sharpe", _with(its.sharpe, its.sharpe_low, its.sharpe_high))
    page.line("Deflated Sharpe", f"{percent(its.deflated_sharpe)} after {_trials(its.trials)}")
    page.line("Sortino", _number(its.sortino))
    page.line("Max drawdown", percent(its.max_drawdown))
    page.line("Calmar", _number(its.calmar))
    page.line("Hit rate", percent(its.hit_rate))
    page.line("Profit factor", _number(its.profit_factor))
    page.line("Turnover", f"{_number(its.turnover)} of NAV a year")
    page.line(
        "Exposure", f"gross {percent(its.gross_exposure)}, net {plain(percent(its.net_exposure))}"
    )
    page.line("Alpha", _with(its.alpha, its.alpha_low, its.alpha_high))
    page.line("Beta", _number(its.beta))
    page.line("Capacity", "unknown" if its.capacity is None else f"${round(its.capacity, -3):,.0f}")
    for row in report.costs:
        page.line(f"Cost {row.kind}", plain(dollars(str(row.dollars), signed=True)))
    counts = report.counts
    page.line(
        "Orders",
        f"{counts.orders}: {counts.fills} filled, {counts.blocked} blocked, "
        f"{counts.expired} expired; {counts.breaker_trips} trips of the breaker",
    )
    page.line("Final NAV", dollars(str(report.final_nav)))
    for path in written:
        page.line("Saved", str(path))


def _trials(count: int) -> str:
    return f"{count:,} trial{'' if count == 1 else 's'}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _with(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return _number(value)
    return f"{value:+.2f} (95% interval {low:+.2f} to {high:+.2f})"


def _session(day: date) -> date:
    """`day` itself when it is a session, else the one before."""
    return previous_session(next_session(day))
