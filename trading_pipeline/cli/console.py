"""The report of a day on the console: colored tables on a terminal, plain lines when piped.

Piped, every line is a rule of `=`, a banner's title, a step `[n/5] …`, or `Key: value`; nothing is
wrapped at any width. `Order n` and `Position SYMBOL` hold `name=value` pairs, quoted as in JSON
where a value has a blank.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from trading_pipeline.adapters.report_files import direction, dollars, order_value, percent
from trading_pipeline.cli.page import (
    STYLES,
    Page,
    Row,
    columns,
    orders_table,
    plain,
    positions_table,
    signed,
)
from trading_pipeline.defs.resources import FETCHING
from trading_pipeline.flows.day_report import DayReport

WIDTH: Final = 80
if TYPE_CHECKING:
    from dagster import EventLogEntry


def print_report(
    report: DayReport,
    *,
    as_json: bool = False,
    written: Sequence[Path] = (),
    console: Console | None = None,
) -> None:
    """Print a day's report to standard output; `written` are the files it was saved to."""
    page = _DayPage(console)
    if as_json:
        page.console.out(report.model_dump_json(indent=2), highlight=False)
        return
    page.day(report.model_dump(mode="json"), [str(path) for path in written])


def print_failure(
    session: date, run_id: str, sentence: str, *, console: Console | None = None
) -> None:
    """Print that the run of `session` failed, why, and under which id to look it up."""
    page = _DayPage(console)
    page.banner(f"PAPER RUN - {session}")
    page.line("Session", str(session))
    page.line("Run ID", run_id)
    page.line("Error", sentence, "red")
    page.banner("PAPER RUN FAILED - Status: FAILED", "failed")


class _BarOfShares(BarColumn):
    """A bar of the tasks that know their share; a step only turns."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]
        """Return nothing to see for a step."""
        return super().render(task) if task.fields.get("shares") else Text()


class Progress:
    """The steps of a running job, live on a terminal; nothing when piped or `quiet`.

    It writes to standard error, so the report on standard output stays whole, and clears itself.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        watched = self.console.is_terminal and not self.console.is_dumb_terminal
        self._shown = watched and not quiet
        self._live = Live(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}", markup=False),
            _BarOfShares(bar_width=24),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self._steps: dict[str, TaskID] = {}
        self._fetch: TaskID | None = None

    def __enter__(self) -> Self:
        """Start the display."""
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the display, whatever happened."""
        if self._shown:
            self._live.stop()

    def started(self, step: str) -> None:
        """Show `step` as running."""
        self._steps[step] = self._live.add_task(step.replace("_", " "), total=1)

    def finished(self, step: str) -> None:
        """Show `step` as done."""
        if step in self._steps:
            self._live.update(self._steps[step], completed=1)

    def failed(self, step: str) -> None:
        """Show `step` as failed."""
        if step in self._steps:
            name = f"{step.replace('_', ' ')} failed"
            self._live.update(self._steps[step], description=name, total=None)
            self._live.stop_task(self._steps[step])

    def fetching(self, line: str) -> None:
        """Show a line of a long fetch, which ends in its share, as a bar."""
        what, _, share = line.removeprefix(FETCHING).strip().rpartition(" ")
        done = float(share.strip("(%)")) / 100
        if self._fetch is None:
            self._fetch = self._live.add_task(what, total=1, shares=True)
        self._live.update(self._fetch, description=what, completed=done, visible=done < 1)

    def listen(self, entry: "EventLogEntry") -> None:
        """Follow a Dagster run: give this to `DagsterInstance.add_event_listener`."""
        event = entry.dagster_event
        if event is None and entry.user_message.startswith(FETCHING):
            self.fetching(entry.user_message)
        if event is None or event.step_key is None:
            return
        if event.event_type_value == "STEP_START":
            self.started(event.step_key)
        elif event.event_type_value == "STEP_SUCCESS":
            self.finished(event.step_key)
        elif event.event_type_value == "STEP_FAILURE":
            self.failed(event.step_key)


class _DayPage(Page):
    """A page that can print a day."""

    def day(self, day: Row, written: Sequence[str]) -> None:
        """The whole report, in the order of its five steps."""
        self.banner(f"PAPER RUN - {day['timestamp']} ({day['timezone']})")
        self._parameters(day)
        self.step(1, "Dependencies", _dependencies(day))
        self.step(2, "Run")
        self.line("Run ID", day["run_id"])
        seconds = f"{day['results']['duration_seconds']:.1f} s"
        self.step(3, "Finished", f"{day['status']} ({seconds})", STYLES[day["status"]])
        self.line("Summary", day["summary"])
        self._checks(day["checks"])
        self.step(4, "P&L")
        self._results(day)
        self._orders(day)
        self._book(day)
        self.step(5, "Saved", None if written else "no file was asked for")
        for path in written:
            self.line("Report", path)
        title = f"PAPER RUN COMPLETE - Status: {day['status'].replace('_', ' ').upper()}"
        self.banner(title, day["status"])

    def banner(self, title: str, status: str = "") -> None:
        """A title between two rules of 80 columns."""
        for text, style in (("=" * WIDTH, "dim"), (title, STYLES.get(status, "bold"))):
            self.write(Text(text, style))
        self.write(Text("=" * WIDTH, "dim"))

    def step(self, number: int, name: str, value: str | None = None, style: str = "") -> None:
        """The head of one of the five steps."""
        text = Text(f"[{number}/5] {name}", "bold" if self.for_terminal else "")
        if value is not None:
            text.append(f": {value}", style or "not bold")
        if self.for_terminal:
            self.write(Text())
        self.write(text)

    def _parameters(self, day: Row) -> None:
        asked = day["parameters"]
        self.line("Session", f"{day['session']}")
        self.line("Orders For", f"{day['trade_session']}")
        self.line("Symbols", ", ".join(asked["symbols"]))
        self.line("Capital", plain(dollars(asked["capital"])))
        self.line("Max Position", plain(dollars(asked["max_position_size"])))
        self.line("Strategy", asked["strategy"])

    def _checks(self, checks: Sequence[Row]) -> None:
        """What each check found; on a terminal a table, since their names are long."""
        table = columns("Check", "What it found")
        for check in checks:
            word, style = ("passed", "green") if check["passed"] else ("FAILED", "red")
            found = f"{word} - {check['sentence']}"
            table.add_row(check["name"], Text(found, style))
            if not self.for_terminal:
                self.line(f"Check {check['name']}", found)
        if self.for_terminal and checks:
            self.table(table)

    def _results(self, day: Row) -> None:
        results = day["results"]
        for label, name in _COUNTS.items():
            self.line(label, str(results[name]))
        if results["num_orders_planned"] and not results["num_orders_submitted"]:
            planned = sum(Decimal(order_value(order)) for order in day["orders"])
            self.line("Planned Notional", dollars(str(planned)))
        self.line("Total Notional", plain(dollars(results["total_notional"])))
        self.line("Success Rate", percent(results["success_rate"]))

    def _orders(self, day: Row) -> None:
        numbered = {str(number): order for number, order in enumerate(day["orders"], start=1)}
        self.rows("Order", numbered, orders_table(day["orders"]))
        for skip in day["skips"]:
            self.line(f"Skipped {skip['symbol']}", skip["reason"].replace("_", " "))

    def _book(self, day: Row) -> None:
        pnl = day["pnl"]
        if pnl is None:
            self.line("Book", "empty")
            return
        held = {row["symbol"]: {**row, "symbol": None} for row in day["positions"]}
        per_symbol = pnl["per_symbol"].items()
        merged = {symbol: {**held.get(symbol, {}), **gains} for symbol, gains in per_symbol}
        self.rows("Position", merged, positions_table(day))
        self.line("Valued At", f"close of {day['valued_session']}")
        for label, name in _SIGNED.items():
            self.line(label, signed(pnl[name]), STYLES[direction(pnl[name])])
        for label, name in _AMOUNTS.items():
            self.line(label, plain(dollars(pnl[name])))
        if pnl["unpriced"]:
            self.line("No Price", f"{', '.join(pnl['unpriced'])}: valued at cost", "yellow")


_COUNTS: Final = {
    "Signals Generated": "num_signals",
    "Planned": "num_orders_planned",
    "Submitted": "num_orders_submitted",
    "Accepted": "num_orders_accepted",
    "Rejected": "num_orders_rejected",
    "Blocked": "num_orders_blocked",
    "Filled": "num_orders_filled",
}
_SIGNED: Final = {"Realized": "realized", "Unrealized": "unrealized", "Total P&L": "total"}
_AMOUNTS: Final = {
    "Fees": "fees",
    "NAV": "nav",
    "Cash": "cash",
    "Gross Exposure": "gross",
    "Net Exposure": "net",
}


def _dependencies(day: Row) -> str:
    """What the run reached; a dependency that fails ends the run before there is a report."""
    model = day["model"]["version"] if day["model"] else "none"
    asked = day["parameters"]
    return f"ok (vendor {asked['vendor']}, model {model}, broker {asked['broker']}, ledger)"
