"""Start the Valkey of a folder or find the one that runs, and hold it while it is used.

In the folder: `users` is locked, shared, by everyone who uses the server, and `keeper` by the
program that keeps it alive; `server.json` tells its owner where it is, `aof/` is what it holds,
`server.log` what it says.
"""

import json
import os
import secrets
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from filelock import FileLock, Timeout

from trading_pipeline.adapters.embedded_valkey.binary import binary
from trading_pipeline.adapters.embedded_valkey.locks import can_have, hold, is_held
from trading_pipeline.adapters.embedded_valkey.place import Place, found, free_port, tell
from trading_pipeline.errors import AdapterError

READY_SECONDS: Final = 60.0
"""For which a server may read what it held before it answers."""

GONE_SECONDS: Final = 15.0
MEMORY: Final = "256mb"
_ATTEMPTS: Final = 3
_KEEPER: Final = Path(__file__).with_name("keeper.py")


class EmbeddedValkey:
    """The server of a folder while the `with` lasts; `url` is where it is."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; the `with` makes it, and starts the server unless it runs."""
        self.folder = folder.absolute()
        self._place: Place | None = None
        self._users: int | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The redis:// URL, password included: for a client only, never for a log."""
        if self._place is None:
            raise AdapterError("The embedded Valkey is not in use.")
        return self._place.url

    @property
    def is_there(self) -> bool:
        """Whether it is held, and answers."""
        return self._place is not None and self._place.answers()

    def __enter__(self) -> Self:
        """Find it or start it; AdapterError when this machine has none or it does not answer."""
        binary()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(stat.S_IRWXU)
            with self._turn():
                self._users = hold(self.folder / "users")
                self._place = self._find() or self._start()
        except (OSError, Timeout) as error:
            self._release()
            raise AdapterError(f"The embedded Valkey in {self.folder}: {error}.") from error
        except AdapterError:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it; if nobody else holds it, wait until it is gone."""
        place, self._place = self._place, None
        with suppress(OSError, Timeout), self._turn():
            self._release()
            if place and _is_over(self.folder / "users", place) and self._keeper is not None:
                self._keeper.wait()
        self._release()

    def _turn(self) -> FileLock:
        """Held while one comes or goes."""
        return FileLock(self.folder / "start.lock", timeout=READY_SECONDS)

    def _find(self) -> Place | None:
        """The server that runs; one that its keeper is starting again is waited for."""
        end = time.monotonic() + READY_SECONDS
        place = found(self.folder)
        while not place and is_held(self.folder / "keeper") and time.monotonic() < end:
            time.sleep(0.02)
            place = found(self.folder)
        return place

    def _release(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _start(self) -> Place:
        for _ in range(_ATTEMPTS):  # a port found free can be taken before the server has it
            place = Place(free_port(), secrets.token_urlsafe(24))
            tell(self.folder, place)
            self._keeper = self._launch(place)
            if _is_ready(self._keeper, place):
                return place
        raise AdapterError(
            f"The embedded Valkey did not start: see {self.folder / 'server.log'}, or set "
            "TP_REDIS_URL to a Redis that runs."
        )

    def _launch(self, place: Place) -> "subprocess.Popen[bytes]":
        options = (
            "bind 127.0.0.1",
            f"port {place.port}",
            f"requirepass {place.password}",
            f"dir {_quoted(self.folder)}",
            f"logfile {_quoted(self.folder / 'server.log')}",
            'save ""',
            "appendonly yes",
            "appenddirname aof",
            "appendfsync everysec",
            f"maxmemory {MEMORY}",
            "maxmemory-policy noeviction",
        )
        (self.folder / "server.log").unlink(missing_ok=True)
        keeper = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", _KEEPER, self.folder, binary()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        if keeper.stdin is not None:
            keeper.stdin.write("\n".join([*options, ""]).encode())
            keeper.stdin.close()
        return keeper


def _is_ready(keeper: "subprocess.Popen[bytes]", place: Place) -> bool:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and keeper.poll() is None:
        if place.answers():
            return True
        time.sleep(0.005)
    keeper.terminate()
    keeper.wait()
    return False


def _is_over(users: Path, place: Place) -> bool:
    """Wait until the server is gone that was just let go of; False when others hold it."""
    lock = os.open(users, os.O_RDWR)
    try:
        end = time.monotonic() + GONE_SECONDS
        while place.answers():
            if not can_have(lock, alone=True) and can_have(lock, alone=False):
                return False
            if time.monotonic() > end:
                place.ask("SHUTDOWN")  # its keeper was killed, and the system did not end it then
            time.sleep(0.01)
    finally:
        os.close(lock)
    os.close(hold(users))  # its keeper has it until all is done
    return True


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
