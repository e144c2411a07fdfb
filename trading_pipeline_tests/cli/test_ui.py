"""The whole on PostgreSQL: made by `init`, watched and run through `ui`, behind its login."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.cli import run
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.server_process import free_port, spawn, stop, until

PROGRAM = Path(sys.executable).parent / "trading-pipeline"
PASSWORD, LOOKING = "correct horse battery", "only looking here"

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { id } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PythonError { message }
  }
}
"""
STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }
"""
SESSION = date(2012, 11, 2)


def params(**config: Any) -> dict[str, Any]:
    """The job `paper_run` for the session, with a run configuration."""
    return {
        "params": {
            "selector": {
                "repositoryLocationName": "trading_pipeline",
                "repositoryName": "__repository__",
                "pipelineName": "paper_run",
            },
            "runConfigData": config,
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": str(SESSION)}]},
        }
    }


@pytest.fixture
def environment(home: Path, tmp_path: Path, postgres_url: str) -> dict[str, str]:
    whole_day.make_checkout(home)
    for name, password in (("operator", PASSWORD), ("viewer", LOOKING)):
        (tmp_path / name).write_text(password)
    return {
        **os.environ,
        **whole_day.SMALL_TRAINING,
        "DAGSTER_HOME": str(home),
        "TP_DAGSTER_URL": f"{postgres_url}_dagster",
        "TP_LEDGER_URL": f"{postgres_url}_ledger",
        "TP_WEB__OPERATOR_PASSWORD_FILE": str(tmp_path / "operator"),
        "TP_WEB__VIEWER_PASSWORD_FILE": str(tmp_path / "viewer"),
    }


@pytest.fixture
def served(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of `ui`, whose ledger holds the first day out of a back-up."""
    kept = tmp_path / "kept"
    on_files = {k: v for k, v in environment.items() if k not in {"TP_LEDGER_URL"}}
    command(on_files, "backup", kept)
    command(environment, "init")
    empty = {**environment, "TP_DATA_DIR": str(tmp_path / "elsewhere")}
    command(empty, "restore", kept)
    port = free_port()
    process = spawn(
        [PROGRAM, "ui", "--port", str(port)],
        log=tmp_path / "ui.log",
        death_signal=signal.SIGTERM,
        env=environment,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: httpx.get(f"{url}/server_info").is_success, seconds=90)
        yield url
    finally:
        stop(process, signal.SIGINT)


def command(environment: dict[str, str], *words: str | Path) -> None:
    done = subprocess.run(
        [PROGRAM, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


def ask(url: str, query: str, variables: dict[str, Any], **options: Any) -> httpx.Response:
    body = {"query": query, "variables": variables}
    return httpx.post(f"{url}/graphql", json=body, timeout=60, **options)


@pytest.mark.soak
def test_a_day_is_run_over_graphql_by_who_may_and_by_nobody_else(
    served: str, environment: dict[str, str]
) -> None:
    operator, viewer = ("operator", PASSWORD), ("viewer", LOOKING)
    assert ask(served, LAUNCH, params()).status_code == 401
    assert ask(served, LAUNCH, params(), auth=viewer).status_code == 403
    evil = {"origin": "https://evil.example"}
    assert ask(served, LAUNCH, params(), auth=operator, headers=evil).status_code == 403
    link = httpx.get(f"{served}/graphql", params={"query": LAUNCH}, auth=operator)
    assert link.status_code == 405

    armed = params(resources={"settings": {"config": {"broker": "alpaca", "dry_run": False}}})
    refused = ask(served, LAUNCH, armed, auth=operator).json()["data"]["launchRun"]
    assert refused["__typename"] == "RunConfigValidationInvalid"

    started = ask(served, LAUNCH, params(), auth=operator).json()["data"]["launchRun"]
    assert started["__typename"] == "LaunchRunSuccess", started
    its = {"id": started["run"]["id"]}

    def status() -> str:
        return ask(served, STATUS, its, auth=viewer).json()["data"]["runOrError"]["status"]

    until(lambda: status() in {"SUCCESS", "FAILURE"}, seconds=200)
    assert status() == "SUCCESS"
    ledger = Ledger(environment["TP_LEDGER_URL"])
    assert ledger.decision("alpha_baseline", SESSION) is not None
    ledger.close()


@pytest.mark.soak
def test_the_first_start_of_all_in_a_folder_without_anything_finds_the_code(tmp_path: Path) -> None:
    """Pages, daemon and code server all come to files that nobody has made yet."""
    whole_day.make_checkout(tmp_path)
    port = free_port()
    process = spawn(
        [PROGRAM, "ui", "--port", str(port)],
        log=tmp_path / "ui.log",
        death_signal=signal.SIGTERM,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: httpx.get(f"{url}/server_info").is_success, seconds=90)
        found = ask(url, LOCATIONS, {}).json()["data"]["workspaceOrError"]["locationEntries"]
        assert [each["locationOrLoadError"]["__typename"] for each in found] == [
            "RepositoryLocation"
        ], (tmp_path / "ui.log").read_text()[-3000:]
    finally:
        stop(process, signal.SIGINT)


def test_an_address_that_others_reach_needs_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["ui", "--host", "0.0.0.0"]) == 3
    assert "set TP_WEB__OPERATOR_PASSWORD_FILE" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert run(["ui", "--port", str(port)]) == 3

    told = capsys.readouterr()
    assert told.out == ""
    assert f"127.0.0.1:{port} cannot be listened on (Address already in use)" in told.err
    assert "--port" in told.err
