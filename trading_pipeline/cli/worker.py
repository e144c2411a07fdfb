"""`trading-pipeline worker`: executes runs that wait in the queue, on this machine or any other."""

import os
import socket
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from trading_pipeline import logs
from trading_pipeline.cli.page import Page
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings, use_home

if TYPE_CHECKING:
    from celery import Celery


def worker(
    *,
    concurrency: int = 2,
    queue: str | None = None,
    ping: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Execute runs from the queue of TP_CELERY_URL until stopped; runs that have begun are ended.

    It needs what every Dagster process needs: the same settings, TP_DAGSTER_URL among them. All
    workers together should have as many processes as `max_concurrent_runs` of dagster.yaml.

    Examples: `trading-pipeline worker --concurrency 3`; `trading-pipeline worker --queue nightly`;
    `trading-pipeline worker --ping`.

    Args:
        concurrency: How many runs at once, a process each.
        queue: Which queue to serve instead of the one for runs without the tag
            `dagster-celery/queue`.
        ping: Only say whether a worker of this machine answers; exit code 1 when none does.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    if settings.celery_url is None:
        raise SettingsError("A worker needs TP_CELERY_URL: the redis:// URL of the queue.")
    use_home(settings.home)
    from trading_pipeline.defs import run_workers  # noqa: PLC0415 - heavy: on first use

    url = settings.celery_url.get_secret_value()
    if not ping:
        return _work(run_workers.application(url), concurrency, queue or run_workers.QUEUE)
    names = run_workers.answering(url, socket.gethostname())
    Page().line("Workers", ", ".join(names) or "none answers on this machine")
    return 0 if names else 1


def _work(celery: "Celery", concurrency: int, queue: str) -> int:
    Page().line("Worker", f"{concurrency} runs at once of the queue {queue}")
    made: Any = celery.Worker(
        hostname=f"worker-{os.getpid()}@{socket.gethostname()}",
        concurrency=concurrency,
        queues=[queue],
        pool="prefork",
        quiet=True,  # its banner is a picture between lines of JSON
    )
    made.start()
    return int(made.exitcode or 0)
