"""What is started listens on this machine only, and shows no secret to who lists processes."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_pipeline.cli import run
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.forks import FORKS
from trading_pipeline_tests.server_process import free_port, spawn, stop
from trading_pipeline_tests.sockets import command_lines, listening

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked by /proc")

BIN = Path(sys.executable).parent
HERE = {"127.0.0.1", "::1"}
LONG = {
    "ui": (BIN / "trading-pipeline", "ui", "--port"),
    "metrics": (BIN / "trading-pipeline", "metrics", "--port"),
    "dagster dev": (BIN / "dagster", "dev", "--port"),
}
"""Every command of ours and of Dagster's that serves, but for the port; the stream's own test
looks at the stream."""


PLANTED = {
    "TP_ALPACA__KEY_ID": "PLANTEDkeyid",
    "TP_ALPACA__SECRET_KEY": "PLANTEDsecretkey",
    "TP_ALERTS__SLACK_URL": "http://127.0.0.1:1/PLANTEDslack",
    "TP_REDIS_URL": "redis://:PLANTEDredis@127.0.0.1:1/0",
}


def until_it_listens(pid: int, seconds: float = 60) -> set[str]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := listening(pid):
            return found
        time.sleep(0.2)
    raise AssertionError(f"it does not listen within {seconds} s")


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[int]:
    """The exporter, as a process of its own."""
    process = FORKS.Process(target=_metrics, args=(tmp_path,), daemon=True)
    process.start()
    assert process.pid
    yield process.pid
    process.terminate()
    process.join(30)


def _metrics(home: Path) -> None:
    os.environ["DAGSTER_HOME"] = str(home)
    run(["metrics", "--port", "0"])


def test_the_exporter_listens_on_this_machine_only(metrics: int) -> None:
    assert until_it_listens(metrics) <= HERE


def test_a_socket_that_is_open_to_others_would_be_seen() -> None:
    with socket.socket() as one, socket.socket(socket.AF_INET6) as other:
        one.bind(("0.0.0.0", 0))
        one.listen()
        other.bind(("::1", 0))
        other.listen()
        assert listening(os.getpid()) >= {"0.0.0.0", "::1"}


@pytest.mark.soak
@pytest.mark.parametrize("command", LONG)
def test_every_server_listens_on_this_machine_only_and_was_told_no_secret_by_its_arguments(
    home: Path, command: str
) -> None:
    whole_day.make_checkout(home)
    port = free_port()
    process = spawn(
        [*LONG[command], str(port), *(["-w", home / "workspace.yaml"] if "dev" in command else [])],
        log=home / "server.log",
        death_signal=signal.SIGTERM,
        env={**os.environ, **PLANTED, "DAGSTER_HOME": str(home)},
    )
    try:
        end = time.monotonic() + 90
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < end, (home / "server.log").read_text()[-3000:]
            time.sleep(0.3)
        assert until_it_listens(process.pid) <= HERE
        assert str(port) in command_lines(process.pid)
        assert "PLANTED" not in command_lines(process.pid)
        assert "PLANTED" not in (home / "server.log").read_text()
    finally:
        stop(process, signal.SIGINT)
