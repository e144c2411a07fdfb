"""Kill -9 at every step of two trading days: run again, and all is as after one clean run."""

import shutil
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from trading_pipeline_tests.conftest import EMPTY_LEDGER
from trading_pipeline_tests.fakes import run_and_wait
from trading_pipeline_tests.flows.mortal_day import Steps, contents, live_until, live_until_killed
from trading_pipeline_tests.servers import Postgres


@pytest.fixture
def clean_run(ledger_url: str, tmp_path: Path) -> tuple[dict[str, Sequence[Any]], list[str]]:
    """What one clean run leaves behind, and the steps it took."""
    step = Steps()
    live_until(ledger_url, tmp_path / "clean.db", step)
    return contents(ledger_url, tmp_path / "clean.db"), step.names


def test_the_two_days_trade_in_all_ways(
    clean_run: tuple[dict[str, Sequence[Any]], list[str]],
) -> None:
    left, steps = clean_run
    assert len(left["orders"]) == len(left["fills"]) == 5  # two, then a close and a crossing
    assert {row[1] for row in left["cash_entries"]} == {"deposit", "split", "dividend"}
    assert len(left["settlements"]) == len(left["snapshots"]) == 2
    assert len(steps) > 40


def test_a_run_after_a_kill_ends_as_a_clean_run(
    ledger_url: str,
    tmp_path: Path,
    clean_run: tuple[dict[str, Sequence[Any]], list[str]],
    emptied: Callable[[], None],
) -> None:
    expected, steps = clean_run
    for fatal in range(3, len(steps), 11):
        emptied()
        path = tmp_path / f"{fatal}.db"
        assert run_and_wait(live_until_killed, ledger_url, path, fatal) == -signal.SIGKILL
        live_until(ledger_url, path, Steps())
        assert contents(ledger_url, path) == expected, f"killed {steps[fatal]}, step {fatal}"


def test_a_run_on_what_is_left_at_any_step_ends_as_a_clean_run(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shutil.copyfile(request.getfixturevalue("_sqlite_ledger"), tmp_path / "ledger.db")
    step = Steps(keep=tmp_path)
    live_until(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "broker.db", step)
    expected = contents(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "broker.db")
    before: list[bytes] = []
    for number, name in enumerate(step.names):
        left = tmp_path / str(number)
        files = [one.read_bytes() for one in sorted(left.iterdir()) if one.suffix != ".db-shm"]
        if files == before:  # a transaction leaves nothing until it ends
            continue
        before = files
        live_until(f"sqlite:///{left}/ledger.db", left / "broker.db", Steps())
        found = contents(f"sqlite:///{left}/ledger.db", left / "broker.db")
        assert found == expected, f"left {name}, step {number}"


@pytest.fixture
def emptied(request: pytest.FixtureRequest, ledger_url: str, tmp_path: Path) -> Callable[[], None]:
    """Make the ledger at `ledger_url` an empty one again."""
    if ledger_url.startswith("postgresql"):
        server: Postgres = request.getfixturevalue("postgres_server")
        return partial(server.execute, EMPTY_LEDGER, "ledger")

    def copy() -> None:
        for old in tmp_path.glob("ledger.db*"):
            old.unlink()
        shutil.copyfile(request.getfixturevalue("_sqlite_ledger"), tmp_path / "ledger.db")

    return copy
