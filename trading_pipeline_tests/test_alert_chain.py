"""From a breaker that trips to a call that wakes someone: the real programs, in their chain."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.core.risk.breaker import BREAKER
from trading_pipeline_tests.receivers import Receiver, receiving
from trading_pipeline_tests.server_process import free_port, spawn, stop
from trading_pipeline_tests.test_observability import ALERTMANAGER, DEPLOY, tool

pytestmark = pytest.mark.soak


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def got(receiver: Receiver, path: str) -> list[str]:
    return [json.dumps(body) for body in receiver.bodies(path)]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Starts a program that ends with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*words: str | Path, **environment: str) -> None:
        log = tmp_path / f"{Path(words[0]).name}.log"
        process = spawn(
            list(words), log=log, death_signal=signal.SIGTERM, env=os.environ | environment
        )
        processes.append(process)

    yield start
    for process in processes:
        stop(process, signal.SIGTERM)


def wait(what: Callable[[], object], seconds: float) -> float:
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        try:
            if what():
                return time.monotonic() - begun
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds} s")


def answers(url: str) -> Callable[[], bool]:
    return lambda: urlopen(url, timeout=9).status == 200


def test_a_breaker_that_trips_calls_within_a_minute(
    home: Path, tmp_path: Path, receiver: Receiver, started: Callable[..., None]
) -> None:
    prometheus, alertmanager = tool("prometheus"), tool("prometheus-alertmanager")
    ports = {name: free_port() for name in ("metrics", "prometheus", "alertmanager")}
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("slack_webhook_url", "pagerduty_key", "smtp_password"):
        (secrets / name).write_text(f"{receiver.url}/slack" if "slack" in name else "key")
    config = ALERTMANAGER.read_text().replace("/run/secrets", str(secrets))
    config = re.sub(r"url_file: .*dead_mans.*", f"url: {receiver.url}/dead", config)
    config = config.replace("global:", f"global:\n  pagerduty_url: {receiver.url}/pager", 1)
    (tmp_path / "alertmanager.yml").write_text(config)
    shutil.copy(DEPLOY / "prometheus/rules.yml", tmp_path)
    text = (DEPLOY / "prometheus/prometheus.yml").read_text()
    for name, standard in (("metrics", 9464), ("alertmanager", 9093)):
        text = text.replace(f"{name}:{standard}", f"127.0.0.1:{ports[name]}")
    (tmp_path / "prometheus.yml").write_text(text)

    program = Path(sys.executable).parent / "trading-pipeline"
    started(program, "metrics", f"--port={ports['metrics']}", DAGSTER_HOME=str(home))
    wait(answers(f"http://127.0.0.1:{ports['metrics']}/metrics"), 90)
    started(
        alertmanager,
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
        "--cluster.listen-address=",
    )
    wait(answers(f"http://127.0.0.1:{ports['alertmanager']}/-/ready"), 60)
    started(
        prometheus,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
    )
    # What fires before Prometheus knows of Alertmanager is sent again after a minute.
    wait(lambda: got(receiver, "/dead"), 180)
    assert not any("BreakerTripped" in said for said in got(receiver, "/slack"))

    ledger = Ledger(f"sqlite:///{home / 'data/ledger.db'}")
    told = {"told": [["daily_loss", "2012-11-01", "0.06"]], "alerts": []}
    session, now = date(2012, 11, 1), datetime(2012, 11, 5, 15, 0, tzinfo=UTC)
    run = Run(run_id=BREAKER, phase=BREAKER, session=session, at=now, detail=told)
    ledger.append_run(run)

    took = wait(
        lambda: all(
            any("The breaker has tripped: daily_loss" in said for said in got(receiver, path))
            for path in ("/slack", "/pager")
        ),
        60,
    )
    assert took < 60
    print(f"from the ledger to the call: {took:.1f} s")
