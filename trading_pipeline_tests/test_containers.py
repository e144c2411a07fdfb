"""docker-compose.yml in a real engine: the image is built, all comes up, and days run there."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from trading_pipeline_tests.cli.test_ui import LAUNCH, STATUS, ask, params
from trading_pipeline_tests.server_process import free_port, until
from trading_pipeline_tests.test_deployment import BIN, OURS, ROOT, STORES, WATCHERS

pytestmark = pytest.mark.soak

PORTS = {"webserver": 3000, "mlflow": 5000, "prometheus": 9090, "alertmanager": 9093}
"""What is published on the host; here at ports that are free."""
REVISION = "0123456789abcdef0123456789abcdef01234567"
RUNS = "api/2.0/mlflow/runs/search"
TAGS = "query Tags($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
MINUTES = 60


def docker(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return _run("docker", *words, **variables)


def _run(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        check=False,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=15 * MINUTES,
    )


class Site:
    """The services of one folder, as `docker compose` sees them there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in (*PORTS, "grafana")}
        published = {name: f"127.0.0.1:{self.ports[name]}:{port}" for name, port in PORTS.items()}
        published["grafana"] = f"127.0.0.1:{self.ports['grafana']}:3000"
        lines = [f'  {name}: {{ports: !override ["{at}"]}}' for name, at in published.items()]
        (folder / "ports.yml").write_text("\n".join(["services:", *lines]))
        shutil.copytree(ROOT / "docs/deploy", folder / "docs/deploy")
        assert _run("sh", ROOT / "docs/deploy/secrets.sh", folder / "secrets").returncode == 0
        settings = folder / "secrets/settings.env"
        settings.write_text(settings.read_text().replace("# TP_CELERY_URL", "TP_CELERY_URL"))

    def compose(self, *words: str) -> subprocess.CompletedProcess[str]:
        return _run(
            BIN / "docker-compose",
            *("--project-directory", self.folder, "--project-name", f"tp{os.getpid()}"),
            *("--file", ROOT / "docker-compose.yml", "--file", self.folder / "ports.yml"),
            *("--profile", "*"),
            *words,
        )

    def up(self, *services: str) -> None:
        words = ("up", "--detach", "--wait", "--wait-timeout", "300", "--no-build", *services)
        done = self.compose(*words)
        assert done.returncode == 0, f"{done.stderr[-3000:]}\n{self.logs(*services)[-6000:]}"

    def said(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What somebody is told who types this in the container of the daemon."""
        return self.compose("exec", "--no-TTY", "daemon", *words)

    def logs(self, *services: str) -> str:
        return self.compose("logs", "--no-color", "--tail", "200", *services).stdout

    def containers(self) -> dict[str, Any]:
        """What the engine knows of each service's container."""
        ids = self.compose("ps", "--all", "--quiet").stdout.split()
        found = json.loads(docker("inspect", *ids).stdout)
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def password(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All of ours and the stores, up and healthy."""
    if not shutil.which("docker") or docker("version").returncode:
        pytest.skip("no Docker engine answers here")
    words = ("--build-arg", f"REVISION={REVISION}", "--tag", "trading-pipeline:0.1.0", ROOT)
    built = docker("build", *words)
    assert built.returncode == 0, built.stderr[-3000:] + built.stdout[-3000:]
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        made.up(*sorted(STORES | OURS))
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans")


def test_a_day_runs_at_the_command_line_and_its_page_is_all_that_is_said(site: Site) -> None:
    done = site.said("trading-pipeline", "paper-run", "--as-of-date", "2012-11-01", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "success"
    assert '"level": "WARNING"' not in done.stderr
    asked = {"experiment_ids": ["1"], "max_results": 1}
    found = httpx.post(f"http://127.0.0.1:{site.ports['mlflow']}/{RUNS}", json=asked, timeout=60)
    tags = {tag["key"]: tag["value"] for tag in found.json()["runs"][0]["data"]["tags"]}
    assert tags["mlflow.source.git.commit"] == REVISION


def test_a_day_runs_over_graphql_on_a_worker_and_after_the_stores_came_back(site: Site) -> None:
    url = f"http://127.0.0.1:{site.ports['webserver']}"
    operator = ("operator", site.password("web_password"))
    assert ask(url, LAUNCH, params()).status_code == 401

    for restarted in ((), ("postgres",), ("redis",)):
        if restarted:
            assert site.compose("restart", *restarted).returncode == 0
            site.up(*sorted(STORES | OURS))
        launched = ask(url, LAUNCH, params(), auth=operator).json()["data"]["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = {"id": launched["run"]["id"]}

        def state(run: dict[str, str] = run) -> str:
            answer = ask(url, STATUS, run, auth=operator).json()
            return answer["data"]["runOrError"]["status"]

        until(lambda state=state: state() in {"SUCCESS", "FAILURE"}, 5 * MINUTES)
        assert state() == "SUCCESS", site.logs("daemon", "worker")
        tags = ask(url, TAGS, run, auth=operator).json()["data"]["runOrError"]["tags"]
        assert "dagster-celery/task_id" in {tag["key"] for tag in tags}

    status = site.said("trading-pipeline", "status", "--json")
    found = json.loads(status.stdout)
    assert (status.returncode, found["healthy"]) == (0, True), found["services"]
    assert found["schedule"]["daemon_alive"] is True
    doctor = site.said("trading-pipeline", "doctor")
    assert doctor.returncode == 0, doctor.stdout


def test_services_are_nobody_special_published_on_loopback_and_tell_no_secret(site: Site) -> None:
    containers = site.containers()
    secrets = {path.read_text() for path in (site.folder / "secrets").glob("*_password")} - {""}
    assert len(secrets) > 2

    assert set(containers) >= STORES | OURS
    for name, container in containers.items():
        published = container["HostConfig"]["PortBindings"] or {}
        assert {at["HostIp"] for ats in published.values() for at in ats} <= {"127.0.0.1"}
        assert name in STORES or container["Config"]["User"] == "10001:10001"
        assert name in STORES or container["HostConfig"]["CapDrop"] == ["ALL"]
    for told in (json.dumps(containers), site.compose("logs", "--no-color").stdout):
        assert not [secret for secret in secrets if secret in told]


def test_a_back_up_made_there_is_put_back_into_an_empty_place(site: Site) -> None:
    made = site.said("trading-pipeline", "backup", "data/backup")
    assert made.returncode == 0, made.stderr

    elsewhere = "TP_LEDGER_URL=sqlite:////tmp/ledger.db TP_DATA_DIR=/tmp"
    restored = site.said("sh", "-c", f"{elsewhere} trading-pipeline restore data/backup")

    assert restored.returncode == 0, restored.stderr


@pytest.mark.parametrize("watcher", sorted(WATCHERS))
def test_a_watcher_comes_up_with_what_it_is_told(site: Site, watcher: str) -> None:
    image = site.compose("config", "--images", watcher).stdout.split()[-1]
    if docker("image", "inspect", image).returncode and site.compose("pull", watcher).returncode:
        pytest.skip(f"{image} cannot be had here")

    site.up(watcher)

    if watcher == "prometheus":
        url = f"http://127.0.0.1:{site.ports[watcher]}/api/v1/targets"

        def health() -> dict[str, str]:
            targets = httpx.get(url, timeout=30).json()["data"]["activeTargets"]
            return {target["labels"]["job"]: target["health"] for target in targets}

        until(lambda: health().get("trading_pipeline") == "up", 2 * MINUTES)
