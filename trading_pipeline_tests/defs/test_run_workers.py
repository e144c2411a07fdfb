"""Runs are executed here, or by workers on any machine when a queue is named."""

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.instance import InstanceRef
from dagster._core.launcher import DefaultRunLauncher
from dagster._serdes import serialize_value
from dagster_celery.launcher import CeleryRunLauncher

from trading_pipeline.adapters.lake import BucketAccess, Lake, location
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.definitions import build
from trading_pipeline.defs.failures import failure_of_run
from trading_pipeline.defs.run_workers import EnvSelectedLauncher, application
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.cli.test_ui import LAUNCH, SESSION, STATUS, ask, params
from trading_pipeline_tests.defs import test_native as pages
from trading_pipeline_tests.server_process import free_port, spawn, stop, until
from trading_pipeline_tests.servers import Postgres

PROGRAM = Path(sys.executable).parent / "trading-pipeline"
QUEUE = "redis://:planted-secret@127.0.0.1:6379/1"
MONTHS = sessions_between(SESSION.replace(month=1, day=3), SESSION.replace(month=3, day=30))

BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status runs(limit: 5) { id status } }
  }
}
"""
TERMINATE = """
mutation End($id: String!) {
  terminateRun(runId: $id) { __typename ... on TerminateRunFailure { message } }
}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the product's own dagster.yaml."""
    home = whole_day.make_checkout(tmp_path / "home")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.chdir(home)
    return home


def test_without_a_queue_a_run_is_a_process_of_this_machine() -> None:
    assert type(EnvSelectedLauncher.from_config_value(None, {})) is DefaultRunLauncher


def test_with_a_queue_runs_go_to_workers_and_its_password_goes_nowhere(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_DAGSTER_URL", "postgresql://trading@127.0.0.1/dagster")
    monkeypatch.setenv("TP_CELERY_URL", QUEUE)
    reference = InstanceRef.from_dir(str(project))
    launcher = reference.run_launcher
    assert isinstance(launcher, CeleryRunLauncher)
    assert launcher.broker == launcher.backend == QUEUE
    assert "planted-secret" not in serialize_value(reference), "what a queued run carries along"
    assert launcher.supports_check_run_worker_health, "a run whose worker died is found"
    assert "max_resume_run_attempts" not in reference.settings["run_monitoring"], "and stays so"


@pytest.mark.parametrize(
    ("queue", "records", "why"),
    [
        (QUEUE, None, "needs TP_DAGSTER_URL"),
        ("amqp://u:planted-secret@host", "postgresql://h/d", "not a URL of Redis"),
    ],
)
def test_a_queue_that_cannot_work_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, queue: str, records: str | None, why: str
) -> None:
    monkeypatch.setenv("TP_CELERY_URL", queue)
    if records:
        monkeypatch.setenv("TP_DAGSTER_URL", records)
    with pytest.raises(SettingsError, match=why) as refused:
        EnvSelectedLauncher.from_config_value(None, {})
    assert "planted-secret" not in str(refused.value)


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dagster_celery", None)
    with pytest.raises(SettingsError, match="with its extra `scale`"):
        application(QUEUE)


def test_a_worker_takes_no_run_before_it_is_free_and_none_twice() -> None:
    settings = application(QUEUE).conf

    assert settings.worker_disable_prefetch is True
    assert settings.task_acks_late is False
    assert {"execute_job", "resume_job"} <= set(application(QUEUE).tasks)


def test_no_job_hands_its_steps_to_celery(tmp_path: Path) -> None:
    """Steps that wait for workers inside a worker lose their events: runs go out, steps do not."""
    repository = build(Settings.load(home=tmp_path)).get_repository_def()

    executors = {job.name: job.executor_def.name for job in repository.get_all_jobs()}

    assert set(executors.values()) <= {"in_process", "multiprocess"}, executors


def process_of(instance: dg.DagsterInstance, run_id: str) -> int:
    """The id of the process that executes the run."""
    said = " ".join(entry.message for entry in instance.all_logs(run_id))
    (process,) = re.findall(r"Started process for run \(pid: (\d+)\)", said)
    return int(process)


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def lake_variables() -> Iterator[dict[str, str]]:
    """A bucket on a real S3 server, as settings."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - heavy: it loads boto3 and Flask

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    connection = http.client.HTTPConnection(host, port)
    connection.request("PUT", "/prod")
    assert connection.getresponse().status == 200
    yield {
        "TP_LAKE_URL": "s3://prod/lake",
        "TP_BUCKET__ENDPOINT": f"http://{host}:{port}",
        "TP_BUCKET__KEY_ID": "key",
        "TP_BUCKET__SECRET_KEY": "secret",
    }
    running.stop()


class Installation:
    """`ui` and two workers with a process each, on PostgreSQL, Valkey and a bucket."""

    def __init__(self, home: Path, variables: dict[str, str]) -> None:
        self.home = home
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TP_")},
            **whole_day.SMALL_TRAINING,
            "DAGSTER_HOME": str(home),
            **variables,
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        self.url = f"http://127.0.0.1:{free_port()}"
        self._pages: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        made = subprocess.run([PROGRAM, "init"], env=self.environment, cwd=self.home, check=False)
        assert made.returncode == 0
        self._pages = self._spawned("ui", "--port", self.url.rpartition(":")[2])
        self.workers = [self._spawned("worker", "--concurrency", "1") for _ in range(2)]
        until(lambda: httpx.get(f"{self.url}/server_info").is_success, 120)
        until(lambda: self._answering() == 2, 120)

    def stop(self) -> None:
        for process in (*self.workers, self._pages):
            stop(process, signal.SIGTERM)

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = ask(self.url, query, variables).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def status(self, run_id: str) -> str:
        return self.ask(STATUS, {"id": run_id})["runOrError"]["status"]

    def begun(self) -> str:
        """The id of a day that a worker has begun."""
        run_id = self.ask(LAUNCH, params())["launchRun"]["run"]["id"]
        until(lambda: self.is_begun(run_id), 90)
        return run_id

    def is_begun(self, run_id: str) -> bool:
        """Whether a worker executes the run now."""
        return self.status(run_id) == "STARTED"

    def fault(self, run_id: str) -> str | None:
        """Why the run failed, once it has ended; None when it did not."""
        until(lambda: self.status(run_id) in {"SUCCESS", "FAILURE"}, 240)
        if self.status(run_id) == "SUCCESS":
            return None
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return failure_of_run(instance, run_id).sentence

    def process_of(self, run_id: str) -> int:
        """The id of the process that executes the run."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return process_of(instance, run_id)

    def worker_of(self, run_id: str) -> int:
        """The id of the worker whose process that is; asked while it runs."""
        return parent_of(self.process_of(run_id))

    def _answering(self) -> int:
        words = [PROGRAM, "worker", "--ping"]
        said = subprocess.run(
            words, env=self.environment, cwd=self.home, check=False, capture_output=True, text=True
        )
        return said.stdout.count("worker-")

    def _spawned(self, *words: str) -> subprocess.Popen[bytes]:
        return spawn(
            ["sh", "-c", 'cd "$0" && exec "$@"', self.home, PROGRAM, *words],
            log=self.home / f"{words[0]}.log",
            death_signal=signal.SIGTERM,
            env=self.environment,
        )


@pytest.fixture
def installation(
    project: Path,
    postgres_server: Postgres,
    postgres_url: str,
    redis_url: str,
    lake_variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Installation]:
    variables = {
        "TP_DAGSTER_URL": f"{postgres_url}_dagster",
        "TP_LEDGER_URL": f"{postgres_url}_ledger",
        "TP_MLFLOW_TRACKING_URI": f"{postgres_url}_mlflow",
        "TP_CELERY_URL": redis_url,
        **lake_variables,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = Installation(project, variables)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.soak
def test_the_day_and_a_backfill_run_on_two_workers_with_postgresql_and_a_bucket(
    installation: Installation, lake_variables: dict[str, str]
) -> None:
    keys = ["raw_bars", "corporate_actions", "clean_bars", "quarantined_bars"]
    asked = {
        "partitionNames": [str(session) for session in MONTHS],
        "assetSelection": [{"path": [key]} for key in keys],
    }
    backfill = installation.ask(pages.BACKFILL, {"params": asked})["launchPartitionBackfill"]

    def backfilled() -> dict[str, Any]:
        found = installation.ask(BACKFILL, {"id": backfill["backfillId"]})
        return found["partitionBackfillOrError"]

    # While one worker is at the range, the other one takes the day.
    until(lambda: [r for r in backfilled()["runs"] if installation.is_begun(r["id"])], 120)
    took = {installation.worker_of(run["id"]) for run in backfilled()["runs"]}
    day = installation.begun()
    took.add(installation.worker_of(day))

    assert installation.fault(day) is None
    until(lambda: backfilled()["status"] not in {"REQUESTED", "COMPLETING"}, 120)
    assert backfilled()["status"] == "COMPLETED_SUCCESS"
    assert len(backfilled()["runs"]) == 1
    assert took == {process.pid for process in installation.workers}

    access = BucketAccess(
        endpoint=lake_variables["TP_BUCKET__ENDPOINT"],
        key_id="key",  # type: ignore[arg-type]
        secret_key="secret",  # type: ignore[arg-type]
    )
    lake = Lake(location("s3://prod/lake", access))
    assert lake.held("clean_bars", MONTHS[0], MONTHS[-1]) == set(MONTHS)
    assert lake.held("target_weights", SESSION, SESSION) == {SESSION}
    assert not (installation.home / "data/lake").exists()


@pytest.mark.soak
def test_a_run_that_is_ended_or_dies_is_told_and_its_worker_goes_on(
    installation: Installation,
) -> None:
    ended = installation.begun()
    said = installation.ask(TERMINATE, {"id": ended})["terminateRun"]
    assert said["__typename"] == "TerminateRunSuccess", said
    until(lambda: installation.status(ended) == "CANCELED", 60)

    dead = installation.begun()
    os.kill(installation.process_of(dead), signal.SIGKILL)
    until(lambda: installation.status(dead) == "FAILURE", 60)

    again = installation.begun()
    assert installation.fault(again) is None
    assert all(process.poll() is None for process in installation.workers)
