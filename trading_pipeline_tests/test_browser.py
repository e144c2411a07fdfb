"""The web UI in a real browser: `make browser` runs this, and leaves screenshots behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from trading_pipeline.definitions import build
from trading_pipeline.settings import Settings
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.server_process import free_port, spawn, stop

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".venv-tools/bin/python"
SCREENSHOTS = ROOT / "build/screenshots"
PASSWORDS = {"operator": "correct horse battery", "viewer": "only looking here"}

pytestmark = pytest.mark.soak


@pytest.fixture
def chromium() -> str:
    """Where the browser is; without it or playwright, there is nothing to look with."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium on the path")
    if not TOOLS.exists():
        pytest.skip("playwright is not here: `make browser` installs it")
    return found


@pytest.fixture
def project(home: Path) -> Path:
    """A folder with two days, the second recorded by Dagster as a person's run is."""
    whole_day.make_checkout(home)
    code, _, errors = whole_day.paper_run(home, "--as-of-date", "2012-11-02")
    assert code == 0, errors
    for name, password in PASSWORDS.items():
        (home / name).write_text(password)
    return home


@pytest.fixture
def served(project: Path) -> Iterator[str]:
    port = free_port()
    process = spawn(
        [Path(sys.executable).parent / "trading-pipeline", "ui", "--port", str(port)],
        log=project / "ui.log",
        death_signal=signal.SIGTERM,
        env={
            **os.environ,
            **whole_day.SMALL_TRAINING,
            "DAGSTER_HOME": str(project),
            "TP_WEB__OPERATOR_PASSWORD_FILE": str(project / "operator"),
            "TP_WEB__VIEWER_PASSWORD_FILE": str(project / "viewer"),
        },
    )
    url = f"http://127.0.0.1:{port}"
    transport = httpx.HTTPTransport(retries=8)  # with pauses that double: two minutes in all
    try:
        with httpx.Client(transport=transport) as client:
            assert client.get(f"{url}/server_info", timeout=60).is_success
        yield url
    finally:
        stop(process, signal.SIGINT)


def the_run(url: str) -> str:
    """The id of the day's run."""
    body = {"query": "{ runsOrError { ... on Runs { results { runId jobName } } } }"}
    auth = ("operator", PASSWORDS["operator"])
    answer = httpx.post(f"{url}/graphql", json=body, auth=auth, timeout=60).json()
    (run,) = answer["data"]["runsOrError"]["results"]
    return run["runId"]


def test_a_person_sees_the_graph_an_asset_its_checks_and_a_run_and_launches_a_backfill(
    served: str, chromium: str, tmp_path: Path
) -> None:
    """And the console of the browser stays empty, and nothing is fetched from elsewhere."""
    graph = build(Settings.load(home=tmp_path)).resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    facts = {
        **PASSWORDS,
        "chromium": chromium,
        "groups": sorted({node.group_name for node in nodes}),
        "assets": sorted(node.key.to_user_string() for node in nodes),
        "session": "2012-11-02",
        "run_id": the_run(served),
        "range": ["2012-10-01", "2012-10-05"],
    }

    visited = subprocess.run(
        [TOOLS, ROOT / "trading_pipeline_tests/browser_visit.py", served, SCREENSHOTS],
        input=json.dumps(facts),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert visited.returncode == 0, visited.stderr
    assert {path.stem for path in SCREENSHOTS.glob("*.png")} >= {"asset-graph", "backfill"}
