"""Processes that die with the one that started them, and folders that do not stay behind."""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

_PREFIX = "trading-pipeline-tests-"


class ServerFolder:
    """A temporary folder that a later run removes when this process was killed before it could."""

    def __init__(self, parent: Path | None = None) -> None:
        base = parent or _reachable_temporary_folder()
        _sweep(base)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        self.path.chmod(0o755)
        self._lock = (self.path / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Delete the folder and all in it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def spawn(
    words: list[Any], *, log: Path, death_signal: int, **options: Any
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            words,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509 - touches no lock
            **options,
        )


def _die_with_parent(number: int) -> Callable[[], None] | None:
    """Return what the child does before it execs.

    The signal comes when the starting *thread* ends: start servers from the main one.
    """
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # looked up before the fork

    def before_exec() -> None:
        library.prctl(1, number, 0, 0, 0)  # PR_SET_PDEATHSIG, after setuid, survives exec

    return before_exec


def stop(process: subprocess.Popen[bytes] | None, number: int) -> None:
    """End a process that `spawn` started; one that does not is killed with all it has started."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # it leads a session, and so a group, of its own
        process.wait(60)


def until(happened: Callable[[], Any], seconds: float) -> None:
    """Wait for something that a server does; while it does not answer, it has not happened."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if happened():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"nothing happened within {seconds} s")


def _sweep(base: Path) -> None:
    """Delete the folders of killed runs: those whose lock nobody holds."""
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            with (folder / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, another user's, or just being made


def _reachable_temporary_folder() -> Path:
    folders = [Path(tempfile.gettempdir()), Path("/tmp")]
    return next(folder for folder in folders if os.geteuid() or others_can_reach(folder))


def others_can_reach(path: Path) -> bool:
    return all(part.stat().st_mode & stat.S_IXOTH for part in [path, *path.parents])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
