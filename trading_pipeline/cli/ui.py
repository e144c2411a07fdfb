"""`trading-pipeline ui`: Dagster's pages behind a door, and the daemon that starts what is due."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from trading_pipeline import logs
from trading_pipeline.adapters.web_guard.request import LOCAL
from trading_pipeline.cli.page import Page
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings, use_home

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext

PORT: Final = 3000
WORKSPACE: Final = "workspace.yaml"
_GRACE_SECONDS: Final = 20


def ui(
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    daemon: bool = True,
    read_only: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Open Dagster in the browser, and start what schedules, sensors and the queue ask for.

    Dagster itself asks nobody who they are and carries out what a link of any web page tells it to.
    Here every request must be meant for this machine's name and come from its own pages; with
    TP_WEB__OPERATOR_PASSWORD_FILE set, people log in.

    Examples: `trading-pipeline ui`; `trading-pipeline ui --port 3001 --read-only --no-daemon`.

    Args:
        host: The address to listen on; one that others reach needs a password.
        port: Where to listen.
        daemon: Start what is due; one process of an installation does.
        read_only: Let nobody change anything.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    if not settings.web.passwords() and host not in LOCAL:
        raise SettingsError(
            f"{host} is reached by others: set TP_WEB__OPERATOR_PASSWORD_FILE, or listen on "
            "127.0.0.1."
        )
    use_home(settings.home)
    file = settings.home / WORKSPACE
    if not file.is_file():
        raise SettingsError(
            f"{settings.home} has no {WORKSPACE}: run in the project's folder or set DAGSTER_HOME."
        )
    with (
        _listening(host, port) as listener,  # first: nothing is started in vain
        _records() as instance,  # before others come to them: two at once mar new files
        _daemon(file, wanted=daemon),
        _workspace(instance, file, read_only=read_only) as workspace,
    ):
        Page().line("Dagster", f"http://{host}:{port}")
        _serve(workspace, listener)
    return 0


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({why}): name another one with --port."
        ) from error


def _serve(workspace: "WorkspaceProcessContext", listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - heavy: on first use

    from trading_pipeline.web_pages import GuardedPages  # noqa: PLC0415 - heavy: on first use

    pages = GuardedPages(workspace, live_data_poll_rate=2000).create_asgi_app()
    config = uvicorn.Config(pages, log_config=None, server_header=False)  # ours are set
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _daemon(file: Path, *, wanted: bool) -> Iterator[None]:
    """Dagster's daemon as a child, ended with us."""
    if not wanted:
        yield
        return
    # Its lines are for people on a terminal, and for whoever collects them elsewhere.
    form = "colored" if sys.stderr.isatty() else "json"
    words = [sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(file)]
    words += ["--log-format", form]
    child = subprocess.Popen(words)  # noqa: S603 - fixed words
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()


@contextmanager
def _records() -> "Iterator[DagsterInstance]":
    import dagster as dg  # noqa: PLC0415 - heavy: on first use

    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            statement_timeout=15_000, pool_recycle=3600, max_overflow=20
        )
        yield instance


@contextmanager
def _workspace(
    instance: "DagsterInstance", file: Path, *, read_only: bool
) -> "Iterator[WorkspaceProcessContext]":
    from dagster import __version__  # noqa: PLC0415 - heavy: on first use
    from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: PLC0415
    from dagster._core.workspace.load_target import WorkspaceFileTarget  # noqa: PLC0415

    target = WorkspaceFileTarget([str(file)])
    with WorkspaceProcessContext(
        instance, target, version=__version__, read_only=read_only
    ) as workspace:
        yield workspace
