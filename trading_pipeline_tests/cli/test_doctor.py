"""What is missing on a machine, and how to mend it."""

import io
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic

import pytest
from rich.console import Console

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.cli import doctor
from trading_pipeline.cli.doctor import Diagnosis, Place
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.market.calendar import LAST_SESSION
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import MissingDataError
from trading_pipeline.settings import Settings
from trading_pipeline_tests.days import order

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh installation: the files of a checkout and an empty data folder."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("dagster.yaml", "requirements.lock"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of this machine that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def place(**settings: object) -> Place:
    return Place(settings=Settings.load(**settings), now=NOW, port=0)


def diagnosed(found: Place | None = None, *, seconds: float = 60) -> dict[str, Diagnosis]:
    """The diagnoses by name; patient, since machines of very different speed run the tests."""
    return {it.name: it for it in doctor.checks(found or place(), seconds=seconds)}


def test_a_fresh_checkout_lacks_nothing_and_stays_untouched(home: Path) -> None:
    before = sorted(home.rglob("*"))

    found = diagnosed()

    assert {name: it.detail for name, it in found.items() if not it.ok} == {}
    assert list(found) == list(doctor.CHECKS)
    assert sorted(home.rglob("*")) == before


def test_with_everything_down_each_fault_has_a_remedy_within_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed_port: int, taken_port: int
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(empty))
    monkeypatch.setenv("TP_DAGSTER_URL", f"postgresql://u:secret@127.0.0.1:{closed_port}/d")
    before = monotonic()

    everything = place(
        data_dir=tmp_path / "file" / "data",
        vendor="files",
        files={"path": tmp_path / "nowhere"},
        ledger_url=f"postgresql://u:secret@127.0.0.1:{closed_port}/d",
        redis_url=f"redis://:secret@127.0.0.1:{closed_port}",
    )

    found = diagnosed(replace(everything, port=taken_port), seconds=doctor.SECONDS)

    assert monotonic() - before < 5
    down = {name for name, it in found.items() if not it.ok}
    assert down >= {
        "packages",
        "home",
        "data folder",
        "vendor",
        "ledger",
        "redis",
        "dagster",
        "port",
    }
    assert all(found[name].remedy for name in down)
    assert "secret" not in str(found)


def test_a_package_of_another_version_is_named(home: Path) -> None:
    lock = home / "requirements.lock"
    lines = ["polars==0.1 \\", "    --hash=sha256:00", 'colorama==9 ; sys_platform == "win32" \\']
    lock.write_text("\n".join(lines))

    found = diagnosed()["packages"]

    assert not found.ok
    assert "(locked: 0.1)" in found.detail
    assert "colorama" not in found.detail


def test_a_database_of_dagster_that_is_down_is_told_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("TP_DAGSTER_URL", f"postgresql://u:secret@127.0.0.1:{closed_port}/d")
    before = monotonic()

    found = diagnosed()["dagster"]

    assert monotonic() - before < 20
    assert found.detail == f"The database at 127.0.0.1:{closed_port} does not answer."


def test_a_full_disk_is_a_fault(home: Path) -> None:
    found = diagnosed(replace(place(), free_bytes=1 << 62))["data folder"]

    assert (found.ok, "MB left" in found.detail) == (False, True)


def test_an_unknown_symbol_is_a_fault_of_the_vendor(home: Path) -> None:
    found = diagnosed(place(symbols=("AAPL", "NOSUCH")))["vendor"]

    assert (found.ok, "NOSUCH" in found.detail) == (False, True)


def test_the_ledger_and_the_account_are_described(home: Path) -> None:
    settings = Settings.load()
    ledger = Ledger(settings.ledger_location)
    ledger.create()
    ledger.append_halt(
        TradingState.HALTED, who="ada", reason="a test", at=datetime(2013, 3, 1, tzinfo=UTC)
    )
    path = settings.data_dir / "simulated_broker.db"
    SimulatedBroker(path, CostModel(), Decimal(5_000)).submit(
        order("AAPL", state=OrderState.SUBMITTING)
    )

    found = diagnosed()

    assert (found["ledger"].ok, "halted (ada: a test)" in found["ledger"].detail) == (True, True)
    ledger.append_halt(TradingState.ACTIVE, who="ada", reason="over", at=NOW)
    assert "trading is reducing (ada: Released by ada, quiet until" in diagnosed()["ledger"].detail
    assert found["account"].detail == "simulated, 0 positions, $5,000.00 cash"


@pytest.mark.parametrize(
    ("path", "name"), [("ledger.db", "ledger"), ("simulated_broker.db", "account")]
)
def test_a_damaged_file_is_a_fault(home: Path, path: str, name: str) -> None:
    (home / "data").mkdir()
    (home / "data" / path).write_bytes(b"no database" * 500)

    found = diagnosed()[name]

    assert not found.ok
    assert found.remedy


def test_a_ledger_that_was_not_migrated_is_a_fault(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "ledger.db").touch()

    assert not diagnosed()["ledger"].ok


def test_a_damaged_release_is_a_fault(home: Path) -> None:
    folder = home / "data" / "models" / "alpha_baseline"
    folder.mkdir(parents=True)
    (folder / "current").write_text("7-deadbeef")

    found = diagnosed()["model"]

    assert not found.ok
    assert found.remedy


def test_a_redis_that_answers_is_fine(home: Path, redis_url: str) -> None:
    found = diagnosed(place(redis_url=redis_url))["redis"]

    assert (found.ok, found.detail.startswith("answers at ")) == (True, True)


def test_a_queue_that_no_worker_serves_is_a_fault(home: Path, redis_url: str) -> None:
    asked = place(celery_url=redis_url)

    assert "processes of this machine" in doctor.CHECKS["workers"].examine(place())
    with pytest.raises(MissingDataError, match="No worker answers"):
        doctor.CHECKS["workers"].examine(asked)
    assert "trading-pipeline worker" in doctor.CHECKS["workers"].remedy


def test_the_records_of_dagster_are_counted(home: Path) -> None:
    from dagster import DagsterInstance  # noqa: PLC0415 - heavy: on first use

    with DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs_count()

    found = diagnosed()["dagster"]

    assert (found.ok, found.detail) == (True, "0 runs on record")


def test_a_calendar_that_ends_soon_is_a_fault(home: Path) -> None:
    soon = datetime.combine(LAST_SESSION - timedelta(days=30), NOW.timetz())

    found = diagnosed(replace(place(), now=soon))["calendar"]

    assert (found.ok, str(LAST_SESSION) in found.detail) == (False, True)


FINE = Diagnosis(name="python", ok=True, detail="3.12.1")
AMISS = Diagnosis(name="redis", ok=False, detail="It is silent.", remedy="start it")


@pytest.mark.parametrize("width", [20, 200])
def test_what_is_found_is_printed_a_line_each_with_the_remedy(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)

    doctor.show([FINE, AMISS], console=console)

    assert console.file.getvalue().splitlines() == [
        "✓ python: 3.12.1",
        "✗ redis: It is silent.",
        "  to mend it: start it",
        "doctor: 1 of 2 need attention",
    ]


def test_the_command_ends_with_one_when_anything_is_amiss(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "dagster.yaml").unlink()

    assert doctor.doctor() == 1
    assert "✗ home" in capsys.readouterr().out
    assert doctor.doctor(json=True) == 1
    amiss = [one for one in json.loads(capsys.readouterr().out) if not one["ok"]]
    assert ("home", doctor.CHECKS["home"].remedy) in [(one["name"], one["remedy"]) for one in amiss]
