"""Dagster's own commands and its web server, as a person uses them who never calls our CLI."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.server_process import free_port, spawn, stop, until
from trading_pipeline_tests.whole_day import FIRST, SMALL_TRAINING, books

DAGSTER = str(Path(sys.executable).parent / "dagster")
LATEST = date(2013, 2, 28)
"""The newest session of the sample whose orders have an open to fill at."""
YEAR = sessions_between(date(2012, 1, 3), date(2012, 12, 31))

BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status runs(limit: 5) { id status } }
  }
}
"""
SCHEDULE = """
mutation Start {
  startSchedule(scheduleSelector: {
    repositoryName: "__repository__", repositoryLocationName: "trading_pipeline",
    scheduleName: "daily"
  }) {
    __typename
    ... on ScheduleStateResult { scheduleState { status } }
    ... on PythonError { message }
  }
}
"""


@pytest.fixture
def project(home: Path) -> Path:
    """The folder of a first day, with the product's own configuration of Dagster."""
    return whole_day.make_checkout(home)


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    """The address of `dagster dev` in that project: web server, daemon and code."""
    port = free_port()
    words = [DAGSTER, "dev", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--workspace", str(project / "workspace.yaml")]
    process = spawn(
        words,
        log=project / "dagster.log",
        death_signal=signal.SIGTERM,
        env=_environment(project),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: httpx.get(f"{url}/server_info").is_success, seconds=60)
        yield url
    finally:
        stop(process, signal.SIGINT)


def test_the_bare_job_runs_the_day_of_the_newest_session(project: Path) -> None:
    words = [DAGSTER, "job", "execute", "-m", "trading_pipeline.definitions", "-j", "paper_run"]
    done = subprocess.run(
        words, env=_environment(project), capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (project / f"data/reports/{LATEST}/day.html").is_file()
    decided = {cell for row in books(project)["ledger.db:decisions"] for cell in row}
    assert {str(FIRST), str(LATEST)} <= decided


@pytest.mark.soak
def test_a_backfill_of_everything_from_the_web_page_is_one_run_and_sends_no_order(
    project: Path, server: str
) -> None:
    before = books(project)
    data = "raw_bars corporate_actions clean_bars quarantined_bars universe features model"
    keys = [*data.split(), "predictions", "signals", "target_weights"]
    keys += ["shadow_predictions", "reconciliation", "orders", "fills"]
    keys += ["positions", "exposure", "pnl", "risk", "report"]
    started = _ask(
        server,
        BACKFILL,
        params={
            "partitionNames": [str(session) for session in YEAR],
            "assetSelection": [{"path": [key]} for key in keys],
        },
    )["launchPartitionBackfill"]
    assert started["__typename"] == "LaunchBackfillSuccess", started

    def ended() -> bool:
        found = _ask(server, STATUS, id=started["backfillId"])["partitionBackfillOrError"]
        return found["status"] not in {"REQUESTED", "COMPLETING"}

    until(ended, seconds=240)
    found = _ask(server, STATUS, id=started["backfillId"])["partitionBackfillOrError"]
    # The backfill as a whole counts as failed, since orders were asked for and not made.
    assert [run["status"] for run in found["runs"]] == ["SUCCESS"], found
    assert Lake(project / "data/lake").held("target_weights", YEAR[0], YEAR[-1]) == set(YEAR)
    assert books(project) == before


@pytest.mark.soak
def test_the_daily_schedule_can_be_switched_on_and_not_by_a_link_or_another_page(
    server: str,
) -> None:
    assert httpx.get(f"{server}/graphql", params={"query": SCHEDULE}).status_code == 405
    evil = {"origin": "https://evil.example"}
    put = httpx.post(f"{server}/graphql", json={"query": SCHEDULE}, headers=evil)
    assert put.status_code == 403
    answer = _ask(server, SCHEDULE)["startSchedule"]
    assert answer.get("scheduleState") == {"status": "RUNNING"}, answer


def _environment(project: Path) -> dict[str, str]:
    return {**os.environ, **SMALL_TRAINING, "DAGSTER_HOME": str(project)}


def _ask(url: str, query: str, **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer = httpx.post(f"{url}/graphql", json=body, timeout=30).json()
    assert "errors" not in answer, answer
    return answer["data"]
