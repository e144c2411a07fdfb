"""A real Dagster keeps one stream alive and starts what facts ask for, each of them once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from trading_pipeline.adapters.embedded_valkey import running
from trading_pipeline.adapters.live_store import FIRST, EventBus, QuoteStore, RedisLink
from trading_pipeline.cli import run
from trading_pipeline.core.events import SignalsGenerated
from trading_pipeline.defs.resources import latest_session
from trading_pipeline.defs.stream import JOB
from trading_pipeline.settings import Settings, utc_now
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.soak


@pytest.fixture
def twin() -> Iterator[AlpacaTwin]:
    with AlpacaTwin() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, twin: AlpacaTwin, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a Redis: the daemon, the stream and this test share the data folder's."""
    variables = {
        "DAGSTER_HOME": str(tmp_path),
        "TP_ALPACA__KEY_ID": KEY,
        "TP_ALPACA__SECRET_KEY": SECRET,
        "TP_FEED__URL": twin.data_stream_url,
        "PYTHONPATH": str(ROOT),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nrun_queue: {dequeue_interval_seconds: 1}\n"
    )
    return tmp_path


@contextmanager
def daemon(home: Path, module: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon of the definitions in a module; it and what it has started are killed at the end."""
    words = [BIN / "dagster-daemon", "run", "-m", f"trading_pipeline_tests.defs.{module}"]
    with (home / "daemon.log").open("ab") as log:
        process = subprocess.Popen(words, cwd=home, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def end_of(store: QuoteStore, told: dict[str, str]) -> list[str]:
    """How the stream ended that told this, if it has."""
    now = store.heartbeat()
    is_over = now["run_id"] == told["run_id"] and now["state"].startswith("ended")
    return [now["state"]] if is_over else []


def status_of(instance: DagsterInstance, run_id: str) -> DagsterRunStatus | None:
    run = instance.get_run_by_id(run_id)
    return run.status if run else None


def lives(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_the_stream_is_started_again_once_after_a_crash_and_stays_off_when_told(
    home: Path, twin: AlpacaTwin
) -> None:
    with daemon(home, "supervised") as process:
        watch(home, twin, process)


def watch(home: Path, twin: AlpacaTwin, process: subprocess.Popen[bytes]) -> None:
    folder = home / "data" / "redis"
    assert run(["stream", "subscribe", "A"]) == 0
    until(lambda: running(folder))
    store = QuoteStore(RedisLink(running(folder) or ""))
    until(lambda: store.heartbeat().get("symbols") == "1")
    first = store.heartbeat()
    time.sleep(25)  # the supervisor looks two times more
    assert store.heartbeat()["run_id"] == first["run_id"]
    assert twin.quotes.connections == 1, "never two at once"

    os.kill(int(first["pid"]), signal.SIGKILL)
    until(lambda: store.heartbeat().get("run_id") != first["run_id"])
    until(lambda: store.heartbeat().get("symbols") == "1")
    time.sleep(25)
    second = store.heartbeat()
    assert lives(int(second["pid"]))
    assert twin.quotes.connections == 2

    with DagsterInstance.get() as instance:
        runs = instance.get_runs(RunsFilter(job_name=JOB))
        assert {run.run_id for run in runs} == {
            first["run_id"],
            second["run_id"],
        }, "started again once"
        (dead,) = [run for run in runs if run.run_id == first["run_id"]]
        assert dead.status is DagsterRunStatus.FAILURE

        ended = []
        assert instance.run_launcher.terminate(second["run_id"]), "as the UI does"
        until(lambda: ended or ended.extend(end_of(store, second)))
        assert ended == ["ended: Asked by SIGINT."]
        until(lambda: status_of(instance, second["run_id"]) is DagsterRunStatus.CANCELED)

    until(lambda: store.heartbeat()["run_id"] != second["run_id"])
    until(lambda: store.heartbeat().get("symbols") == "1")
    third = store.heartbeat()
    store.desire(on=False, by="ada", reason="enough", now=utc_now())
    until(lambda: not lives(int(third["pid"])))
    time.sleep(12)
    assert store.heartbeat()["run_id"] == third["run_id"]
    assert store.heartbeat()["state"].startswith("ended: It is to be off, by ada")

    process.send_signal(signal.SIGTERM)
    until(lambda: not running(folder))


def test_signals_start_the_orders_once_across_redeliveries_and_a_killed_daemon(home: Path) -> None:
    def heard(fact: str) -> bool:
        with DagsterInstance.get() as instance:
            states = [state.instigator_data for state in instance.all_instigator_state()]
        return any(getattr(data, "cursor", None) == fact for data in states)

    def bus() -> EventBus:
        until(lambda: running(folder))
        return EventBus(RedisLink(running(folder) or ""))

    folder, settings = home / "data" / "redis", Settings.load()
    session = latest_session(settings)
    values = {"at": utc_now(), "strategy": settings.strategy, "session": session, "symbols": ("A",)}
    told = SignalsGenerated(**values, run_id="one", orders_follow=False)
    again = SignalsGenerated(**values, run_id="two", orders_follow=False)
    words = ["sensor", "start", "orders_on_signals", "-m", "trading_pipeline_tests.defs.told"]

    subprocess.run([BIN / "dagster", *words], cwd=home, check=True, capture_output=True)
    with daemon(home, "told"):
        until(lambda: heard(FIRST))
        bus().tell(told)
        newest = bus().tell(again)
        until(lambda: heard(newest))
    until(lambda: not running(folder))
    with daemon(home, "told"):
        newest = bus().tell(told)
        until(lambda: heard(newest))
        with DagsterInstance.get() as instance:
            until(lambda: all(run.is_finished for run in instance.get_runs()))
            (only,) = instance.get_runs()
    assert only.job_name == "orders_after_signals"
    assert only.tags["dagster/partition"] == str(session)
    assert only.status is DagsterRunStatus.SUCCESS
