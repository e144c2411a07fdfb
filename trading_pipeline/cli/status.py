"""`trading-pipeline status`: the book, the last runs, the data, the model and the services."""

from datetime import UTC, datetime
from functools import partial
from typing import Final

from rich.console import Console
from rich.text import Text

from trading_pipeline.adapters.report_files import direction, dollars, price, shares
from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.cli import services
from trading_pipeline.cli.page import STYLES, Page, Row, columns, plain, signed
from trading_pipeline.core.strategies import models_of, strategies
from trading_pipeline.flows import status as flow
from trading_pipeline.flows.status_report import StatusReport
from trading_pipeline.settings import Settings, dagster_database_url, utc_now

MARKS: Final = {"up": ("✓", "green"), "down": ("✗", "red"), "not used": ("-", "dim")}
STATES: Final = {"active": "green", "reducing": "yellow", "halted": "bold red"}
UNKNOWN: Final = "unknown: the ledger is down"


def status(*, json: bool = False) -> int:
    """Show where everything stands now; exit code 1 when a service is down.

    Args:
        json: Print the document and nothing else.
    """
    settings = Settings.load()
    found = flow.status(
        desk(settings),
        strategy=settings.strategy,
        models=models_of(settings.strategy, strategies(settings.strategies)),
        now=utc_now(),
    )
    show(found, as_json=json)
    return 0 if found.healthy else 1


def desk(settings: Settings) -> flow.Desk:
    """What is asked, opened as it is: nothing is made or migrated."""
    return flow.Desk(
        ledger=partial(services.open_ledger, settings),
        quotes=partial(services.quotes, settings),
        lake=partial(services.lake, settings),
        models=partial(services.models, settings),
        vendor=partial(services.vendor, settings),
        records=RunRecords(url=dagster_database_url(), home=settings.home),
        others={
            "redis": partial(services.ping_redis, settings),
            "mlflow": partial(services.model_registry, settings),
            "dagster": partial(services.dagster_records, settings),
        },
        rules=settings.risk.breaker,
        stale_seconds=settings.stream.stale_seconds,
    )


def show(found: StatusReport, *, as_json: bool = False, console: Console | None = None) -> None:
    """Print the document as JSON, or its parts under their heads."""
    page = _StatusPage(console)
    if as_json:
        page.console.out(found.model_dump_json(indent=2), highlight=False)
    else:
        page.everything(found.model_dump(mode="json"))


class _StatusPage(Page):
    """A page that can print the status."""

    def everything(self, found: Row) -> None:
        """All parts; what could not be read is said to be unknown."""
        self._trading(found["trading"])
        self._head("Positions")
        self._positions(found["positions"])
        self._head("P&L")
        self._pnl(found["pnl"], known=found["positions"] is not None)
        self._live(found["live"])
        self._head("Recent runs")
        self._runs(found["runs"])
        self._head("Data and model")
        self._data(found["data"])
        self._model(found["model"])
        self._head("Schedule and services")
        self._schedule(found["schedule"])
        for service in found["services"]:
            mark, style = MARKS[service["state"]]
            value = f"{mark} {service['state']} - {service['detail']}"
            self.line(f"Service {service['name']}", value, style)

    def _schedule(self, schedule: Row | None) -> None:
        if schedule is None:
            self.line("Schedule", "unknown: Dagster's records are down")
        elif schedule["on"]:
            self.line("Schedule", f"{schedule['name']} on, next at {_minute(schedule['next_at'])}")
        else:
            self.line("Schedule", f"{schedule['name']} off: a day starts when somebody starts it")

    def _head(self, title: str) -> None:
        if self.for_terminal:
            self.write(Text(f"\n{title}", "bold"))

    def _trading(self, trading: Row) -> None:
        since = f" since {_minute(trading['since'])}" if trading["since"] else ""
        state = trading["state"].upper()
        said = f"{state}{since} by {trading['who']}: {trading['reason']}"
        self.line("Trading", said, STATES.get(trading["state"], ""))

    def _positions(self, positions: list[Row] | None) -> None:
        if not positions:
            self.line("Positions", UNKNOWN if positions is None else "none")
            return
        table = columns("Symbol", "Qty>", "Avg cost>", "Mark>", "Unrealized>", "Mark from")
        for row in positions:
            table.add_row(
                row["symbol"],
                plain(shares(row["qty"], signed=True)),
                price(row["average_cost"]),
                price(row["mark"]),
                Text(signed(row["unrealized"]), STYLES[direction(row["unrealized"])]),
                row["mark_source"],
            )
        self.rows("Position", {row["symbol"]: {**row, "symbol": None} for row in positions}, table)

    def _pnl(self, pnl: Row | None, *, known: bool) -> None:
        if pnl is None:
            self.line("Latest P&L", "none" if known else UNKNOWN)
            return
        self.line("Valued At", f"close of {pnl['session']}")
        for label, name in {"Realized": "realized", "Unrealized": "unrealized"}.items():
            self.line(label, signed(pnl[name]), STYLES[direction(pnl[name])])
        self.line("Total P&L", signed(pnl["total"]), STYLES[direction(pnl["total"])])
        self.line("NAV", plain(dollars(pnl["nav"])))
        if pnl["unpriced"]:
            self.line("No Price", f"{', '.join(pnl['unpriced'])}: valued at cost", "yellow")
        if pnl["fills_since"]:
            self.line("Since Then", f"{pnl['fills_since']} fills that it does not know", "yellow")

    def _live(self, live: Row | None) -> None:
        """What the account is worth now; without positions it is what it was."""
        if not live or not live["positions"]:
            return
        priced = f"{live['positions_real_time']} of {live['positions']} positions real-time"
        self.line("Now", f"NAV {plain(dollars(live['nav']))} at {_minute(live['at'])}, {priced}")
        now = f"{signed(live['total'])}, unrealized {signed(live['unrealized'])}"
        self.line("P&L Now", now, STYLES[direction(live["total"])])

    def _runs(self, runs: list[Row] | None) -> None:
        if not runs:
            self.line("Runs", UNKNOWN if runs is None else "none")
            return
        table = columns("Time", "Session", "Status", "Signals>", "Accepted>", "Run")
        for run in runs:
            table.add_row(
                _minute(run["at"]),
                run["session"],
                Text(run["status"].replace("_", " "), STYLES.get(run["status"], "")),
                _count(run["num_signals"]),
                _count(run["num_orders_accepted"]),
                run["run_id"],
            )
        self.rows("Run", {str(number): run for number, run in enumerate(runs, start=1)}, table)

    def _data(self, data: Row | None) -> None:
        if data is None:
            self.line("Bars", "none")
        elif data["available_session"] is None:
            self.line("Bars", f"through {data['last_session']}; the vendor does not answer")
        else:
            behind = f"{_sessions(data['sessions_behind'])} behind {data['available_session']}"
            self.line("Bars", f"through {data['last_session']}, {behind}")

    def _model(self, model: Row | None) -> None:
        if model is None:
            self.line("Model", "none")
            return
        since = model["sessions_since"]
        age = "" if since is None else f", {_sessions(since)} before the newest bars"
        self.line("Model", f"{model['version']}, trained through {model['trained_through']}{age}")


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
