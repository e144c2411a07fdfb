"""The status on the console."""

import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from trading_pipeline.cli import status as command
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.flows.report import positions
from trading_pipeline.flows.status_report import (
    DataAge,
    LatestPnl,
    LivePnlNow,
    ModelAge,
    RunRow,
    Schedule,
    Service,
    StatusReport,
    Trading,
)
from trading_pipeline_tests.days import FILLED, SESSION, STRATEGY, book_of, deposit, fill_of

AT = datetime(2013, 3, 4, 14, 0, tzinfo=UTC)
PNL = book_of(deposit(), *(fill_of(order) for order in FILLED), AAPL="430.47")
FULL = StatusReport(
    generated_at=AT,
    healthy=False,
    strategy=STRATEGY,
    trading=Trading(state=TradingState.REDUCING, reason="too many\nbreaks", who="ada", since=AT),
    positions=positions(PNL),
    pnl=LatestPnl(
        session=PNL.session,
        nav=PNL.nav,
        realized=PNL.realized,
        unrealized=PNL.unrealized,
        total=PNL.total,
        fees=PNL.fees,
        unpriced=PNL.unpriced,
        fills_since=2,
    ),
    live=LivePnlNow(
        at=AT,
        nav=Decimal("100500.25"),
        unrealized=Decimal("-12.5"),
        total=Decimal("500.25"),
        positions=2,
        positions_real_time=1,
    ),
    runs=(
        RunRow(
            run_id="5b0f8f0e-7a8e-4c1b-9d3c-1f8a5be2c001",
            session=SESSION,
            at=AT,
            status="partial",
            num_signals=5,
            num_orders_accepted=2,
        ),
        RunRow(
            run_id="broken",
            session=SESSION,
            at=AT,
            status="unfinished",
            num_signals=None,
            num_orders_accepted=None,
        ),
    ),
    data=DataAge(last_session=SESSION, available_session=date(2013, 3, 1), sessions_behind=1),
    model=ModelAge(version="3-1a2b", trained_through=date(2013, 2, 22), sessions_since=4),
    schedule=Schedule(name="daily", on=True, next_at=AT, daemon_seen_at=AT, daemon_alive=True),
    services=(
        Service(name="ledger", state="up", detail="readable"),
        Service(name="dagster", state="down", detail="The database does not answer."),
        Service(name="redis", state="not used", detail="not configured"),
    ),
)
DOWN = FULL.model_copy(
    update={"positions": None, "pnl": None, "live": None, "runs": None, "data": None, "model": None}
)


@pytest.fixture
def _imported() -> None:
    """What a service imports when it is asked, imported before the time for its answer runs."""
    import trading_pipeline.defs.resources  # noqa: F401, PLC0415


def piped(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width)


def terminal(width: int = 100) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="standard",
        _environ={"TERM": "xterm"},
    )


def shown(console: Console, found: StatusReport = FULL, *, as_json: bool = False) -> str:
    command.show(found, as_json=as_json, console=console)
    return console.file.getvalue()


def test_the_piped_status_is_a_key_and_a_value_a_line() -> None:
    lines = shown(piped(20)).splitlines()

    assert [line for line in lines if not re.fullmatch(r"[A-Z][\w& ]*: \S.*", line)] == []
    found = dict(line.split(": ", 1) for line in lines)
    assert found["Trading"] == "REDUCING since 2013-03-04 14:00 UTC by ada: too many breaks"
    assert found["Position AAPL"].startswith(
        "qty=-45 average_cost=438.219 mark=430.47 mark_source="
    )
    assert found["Position AAPL"].endswith("unrealized=348.705")
    assert found["Unrealized"] == "+$348.70"
    assert found["No Price"] == "GOOG: valued at cost"
    assert found["Now"] == "NAV $100,500.25 at 2013-03-04 14:00 UTC, 1 of 2 positions real-time"
    assert found["P&L Now"] == "+$500.25, unrealized -$12.50"
    assert found["Since Then"] == "2 fills that it does not know"
    assert "status=partial num_signals=5 num_orders_accepted=2" in found["Run 1"]
    assert found["Bars"] == "through 2013-02-28, 1 session behind 2013-03-01"
    assert found["Model"] == "3-1a2b, trained through 2013-02-22, 4 sessions before the newest bars"
    assert found["Schedule"] == "daily on, next at 2013-03-04 14:00 UTC"
    assert found["Service ledger"] == "✓ up - readable"
    assert found["Service dagster"] == "✗ down - The database does not answer."
    assert found["Service redis"] == "- not used - not configured"


def test_a_terminal_gets_heads_tables_and_colors() -> None:
    text = shown(terminal())

    for head in ("Positions", "P&L", "Recent runs", "Data and model", "Schedule and services"):
        assert f"\x1b[1m{head}\x1b[0m" in text
    assert re.search(r"\x1b\[32m *\+\$348\.70\x1b\[0m", text)
    assert "\x1b[31m✗ down" in text
    assert "Position AAPL" not in text


@pytest.mark.parametrize("console", [piped(), terminal()], ids=["piped", "terminal"])
def test_what_the_ledger_does_not_tell_is_unknown_and_not_none(console: Console) -> None:
    text = shown(console, DOWN)

    assert text.count("unknown: the ledger is down") == 3


@pytest.mark.parametrize("console", [piped(), terminal()], ids=["piped", "terminal"])
def test_an_empty_book_is_shown(console: Console) -> None:
    empty = FULL.model_copy(update={"positions": (), "pnl": None, "runs": ()})

    assert len(re.findall(r"(?:Positions|Latest P&L|Runs): +none", shown(console, empty))) == 3


def test_bars_of_a_vendor_that_is_silent_have_no_age() -> None:
    age = DataAge(last_session=SESSION, available_session=None, sessions_behind=None)
    text = shown(piped(), FULL.model_copy(update={"data": age}))

    assert "Bars: through 2013-02-28; the vendor does not answer\n" in text


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (None, "Schedule: unknown: Dagster's records are down"),
        (
            Schedule(name="daily", on=False, next_at=None, daemon_seen_at=AT, daemon_alive=True),
            "Schedule: daily off: a day starts when somebody starts it",
        ),
    ],
)
def test_a_schedule_that_starts_nothing_is_told(schedule: Schedule | None, said: str) -> None:
    text = shown(piped(), FULL.model_copy(update={"schedule": schedule}))

    assert f"{said}\n" in text


def test_json_is_the_document_and_nothing_else() -> None:
    assert json.loads(shown(piped(20), as_json=True)) == FULL.model_dump(mode="json")


@pytest.mark.usefixtures("_imported")
def test_a_machine_on_which_nothing_ran_is_told_so_and_stays_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    code = command.status(json=True)

    found = json.loads(capsys.readouterr().out)
    assert (code, found["healthy"], found["trading"]["state"]) == (1, False, "halted")
    states = {service["name"]: service["state"] for service in found["services"]}
    assert states == {
        "ledger": "down",
        "lake": "down",
        "vendor": "up",
        "model": "down",
        "redis": "not used",
        "mlflow": "not used",
        "dagster": "down",
        "daemon": "not used",
    }
    assert list(tmp_path.iterdir()) == []
