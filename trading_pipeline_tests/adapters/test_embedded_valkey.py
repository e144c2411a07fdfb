"""The embedded Valkey: it answers to its password only, and nothing of it stays behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from trading_pipeline.adapters.embedded_valkey import EmbeddedValkey

PROGRAM = """
import sys, time
from trading_pipeline.adapters.embedded_valkey import EmbeddedValkey
with EmbeddedValkey() as server:
    print(server.url, server._process.pid, flush=True)
    time.sleep(60)
"""


def test_it_answers_on_loopback_to_its_password_only(tmp_path: Path) -> None:
    with EmbeddedValkey() as server:
        redis = Redis.from_url(server.url)
        assert redis.ping()
        assert server._process
        words = Path(f"/proc/{server._process.pid}/cmdline").read_text()
        assert redis.config_get("bind")["bind"] == "127.0.0.1"
        with pytest.raises(AuthenticationError):
            Redis(port=server._port, retry=Retry(NoBackoff(), 0)).ping()
        assert server._password not in words

    with (
        pytest.raises(OSError, match="refused"),
        socket.create_connection(("127.0.0.1", server._port)),
    ):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of the killed")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_the_process_that_started_it(how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    url, pid = parent.stdout.readline().split()
    assert Redis.from_url(url).ping()

    parent.send_signal(how)
    parent.wait()

    end = time.monotonic() + 5
    while time.monotonic() < end and _lives(int(pid)):
        time.sleep(0.02)
    assert not _lives(int(pid))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text()
