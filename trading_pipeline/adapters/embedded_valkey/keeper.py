"""Keeps a Valkey alive while anybody uses it: a program of its own, so that no user's end is its.

Whoever uses the server holds a shared lock on the file `users`, which the system takes back however
its holder ends. When this program can have the lock for itself, nobody is left. A server that dies
meanwhile is started again where it was. Run by its file name, without site packages; it reads the
server's configuration from its input.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_SECONDS: Final = 0.05
SOON_SECONDS: Final = 1.0
"""A server that ends sooner than this does not run at all, and is not started again."""

STOP_SECONDS: Final = 10.0
_LOCKS: Final = ("keeper", "users")
_PDEATHSIG: Final = 1


def keep(folder: Path, binary: str, configuration: bytes) -> int:
    """Run the server until nobody uses it or it cannot run; the exit code says which, 0 or 1."""
    own, users = (os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600) for name in _LOCKS)
    if not _is_alone(own):
        return 1  # another one keeps it
    server, begun = _launch(binary, configuration), time.monotonic()
    try:
        while not _is_alone(users):
            if server.poll() is not None:
                if time.monotonic() - begun < SOON_SECONDS:
                    return 1
                server, begun = _launch(binary, configuration), time.monotonic()
            time.sleep(LOOK_SECONDS)
        return 0
    finally:
        (folder / "server.json").unlink(missing_ok=True)
        _end(server)
        os.close(own)  # before whoever waits for the other may start the next one


def _is_alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _launch(binary: str, configuration: bytes) -> "subprocess.Popen[bytes]":
    server = subprocess.Popen(  # noqa: S603 - our own binary
        [binary, "-"],  # the configuration comes on standard input
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509 - there is one thread
    )
    if server.stdin is not None:
        server.stdin.write(configuration)
        server.stdin.close()
    return server


def _end(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # looked up before the fork

    def before_exec() -> None:
        library.prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return before_exec


def _asked(number: int, _: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _asked)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever uses the server
    sys.exit(keep(Path(sys.argv[1]), sys.argv[2], sys.stdin.buffer.read()))
