"""Where the server of a folder is: a port and a password, told by a file for its owner only."""

import json
import os
import socket
from pathlib import Path
from typing import Final, NamedTuple

_PRIVATE: Final = 0o600
_OTHERS: Final = 0o077


class Place(NamedTuple):
    """Where a server is."""

    port: int
    password: str

    @property
    def url(self) -> str:
        """The redis:// URL, password included: for a client only, never for a log."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def answers(self) -> bool:
        """Whether our own server is there, and not another program on that port."""
        return self.ask("PING").endswith(b"+PONG\r\n")

    def ask(self, command: str) -> bytes:
        """Return the answers to the password and to a command; nothing when nobody answers."""
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(f"AUTH {self.password}\r\n{command}\r\n".encode())
                while answer.count(b"\r\n") < 2 and (more := connection.recv(64)):
                    answer += more
        except OSError:
            return b""
        return answer


def running(folder: Path) -> str | None:
    """The URL of the server of a folder if one runs, without holding it: it may end any time."""
    place = found(folder.absolute())
    return place.url if place else None


def found(folder: Path) -> Place | None:
    """The server that the folder's file tells of, if it is there; None for a file of others."""
    path = folder / "server.json"
    try:
        about = path.stat()
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    is_private = about.st_uid == os.geteuid() and not about.st_mode & _OTHERS
    if not is_private or said.get("folder") != str(folder):  # a copy of the folder has a copy of it
        return None
    place = Place(said["port"], said["password"])
    return place if place.answers() else None


def tell(folder: Path, place: Place) -> None:
    """Write the file of the folder, whole."""
    beside = folder / "server.json.part"
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:
        json.dump({"folder": str(folder), **place._asdict()}, file)
    beside.replace(folder / "server.json")


def free_port() -> int:
    """A port of this machine that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
