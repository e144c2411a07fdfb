"""Which process a run is executed by: one of this machine, or a worker on any machine.

Without `TP_CELERY_URL` a run is a process that the code server starts. With it the run is put into
a queue in Redis, and the first free `trading-pipeline worker` takes it: runs are spread over
machines, and go on while Dagster's own processes are replaced. Within its worker a run is executed
in one process; Celery's executor of single steps is never used beside it, since a step that waits
for another worker inside a worker loses its events.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from dagster._core.launcher import DefaultRunLauncher, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from trading_pipeline.errors import SettingsError, TransientError
from trading_pipeline.settings import DagsterSettings, dagster_database_url

if TYPE_CHECKING:
    from celery import Celery
    from dagster_celery.launcher import CeleryRunLauncher

QUEUE: Final = "dagster"
"""Where a run waits unless its tag `dagster-celery/queue` names another."""

PING_SECONDS: Final = 2.0
"""How long workers have to answer."""

RUNS_PER_PROCESS: Final = 1
"""Each run has a process of its own, as without workers: one that is canceled while a library is
imported leaves it in pieces, at which the next one would fail."""


class EnvSelectedLauncher(RunLauncher, ConfigurableClass):
    """Starts runs here, or hands them to workers when a URL is set.

    Never instantiated: Dagster asks the class for a launcher and gets one of two.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What dagster.yaml may say: nothing, the environment decides."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, _config: Mapping[str, Any]
    ) -> RunLauncher:
        """Return the launcher that the environment asks for; SettingsError when it cannot be."""
        url = DagsterSettings().celery_url
        if url is None or not url.get_secret_value():
            return DefaultRunLauncher(inst_data=inst_data)
        return _by_celery(url.get_secret_value(), inst_data)


def application(url: str) -> "Celery":
    """What a worker runs: Celery with the tasks that execute a run, its queue at the URL.

    A worker takes a run only when a process of it is free. Nothing is taken back from one that has
    begun: orders are never sent again because a connection broke.
    """
    _require_redis(url)
    with _extra():
        from dagster_celery import tasks  # noqa: PLC0415 - heavy: on first use
        from dagster_celery.make_app import make_app  # noqa: PLC0415

    made = make_app(
        {
            "broker": url,
            "backend": url,
            "task_default_queue": QUEUE,
            "config_source": {
                "worker_disable_prefetch": True,
                "worker_prefetch_multiplier": 1,
                "worker_max_tasks_per_child": RUNS_PER_PROCESS,
                "worker_hijack_root_logger": False,
                "worker_redirect_stdouts": False,
                "broker_connection_retry_on_startup": True,
            },
        }
    )
    tasks.create_execute_job_task(made)
    tasks.create_resume_job_task(made)
    return made


def answering(url: str, host: str = "*") -> list[str]:
    """Return the names of the workers of a host, or of all, that answer within two seconds.

    TransientError when the queue itself does not.
    """
    from kombu.exceptions import OperationalError  # noqa: PLC0415 - heavy: on first use

    asked = {"reply": True, "timeout": PING_SECONDS, "pattern": f"*@{host}", "matcher": "glob"}
    made = application(url)
    try:
        with made.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=PING_SECONDS)
            answers: list[dict[str, Any]] = made.control.broadcast(
                "ping", connection=connection, **asked
            )
    except OperationalError as error:
        raise TransientError("The Redis of TP_CELERY_URL does not answer.") from error
    return sorted(name for answer in answers for name in answer)


def _by_celery(url: str, inst_data: ConfigurableClassData | None) -> "CeleryRunLauncher":
    _require_redis(url)
    if dagster_database_url() is None:
        raise SettingsError(
            "TP_CELERY_URL needs TP_DAGSTER_URL: workers find Dagster's records in PostgreSQL only."
        )
    return _launcher_class()(default_queue=QUEUE, broker=url, backend=url, inst_data=inst_data)


def _require_redis(url: str) -> None:
    """Raise SettingsError, which repeats nothing of it, for what is no URL of Redis."""
    try:
        address = urlsplit(url)
        is_known = address.scheme in {"redis", "rediss", "unix"} and address.port != 0
    except ValueError:  # a port that is no number, a bracket alone
        is_known = False
    if not is_known:
        raise SettingsError(
            "TP_CELERY_URL is not a URL of Redis: redis://… is expected, a / in a password as %2F."
        )


def _launcher_class() -> "type[CeleryRunLauncher]":
    with _extra():
        from dagster_celery.launcher import CeleryRunLauncher  # noqa: PLC0415 - heavy: as above
        from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG  # noqa: PLC0415

    class Launcher(CeleryRunLauncher):
        """Dagster's own, whose runs are interrupted as by a person and not killed."""

        def terminate(self, run_id: str) -> bool:
            run = self._instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                return False
            self._instance.report_run_canceling(run)
            task = self.celery.AsyncResult(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
            task.revoke(terminate=True, signal="SIGINT")
            return True

    return Launcher


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise SettingsError(
            "TP_CELERY_URL needs Celery: install trading-pipeline with its extra `scale`."
        ) from None
