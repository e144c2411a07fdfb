"""A real Dagster keeps one stream alive: it is started again after a crash, and never doubled."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline.defs.stream import JOB
from trading_pipeline.settings import utc_now
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.soak


@pytest.fixture
def twin() -> Iterator[AlpacaTwin]:
    with AlpacaTwin() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, redis_url: str, twin: AlpacaTwin, monkeypatch: pytest.MonkeyPatch) -> Path:
    variables = {
        "DAGSTER_HOME": str(tmp_path),
        "TP_REDIS_URL": redis_url,
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


@pytest.fixture
def daemon(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = Path(sys.executable).parent / "dagster-daemon"
    words = [program, "run", "-m", "trading_pipeline_tests.defs.supervised"]
    with (home / "daemon.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=home, stdout=log, stderr=log, start_new_session=True)
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def lives(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_the_stream_is_started_again_once_after_a_crash_and_stays_off_when_told(
    home: Path, redis_url: str, twin: AlpacaTwin, daemon: subprocess.Popen[bytes]
) -> None:
    store = QuoteStore(RedisLink(redis_url))
    store.subscribe(["A"])
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

    store.desire(on=False, by="ada", reason="enough", now=utc_now())
    until(lambda: not lives(int(second["pid"])))
    time.sleep(12)
    assert store.heartbeat()["run_id"] == second["run_id"]
    assert store.heartbeat()["state"].startswith("ended: It is to be off, by ada")
