"""Dagster's records of runs, read by SQL: importing Dagster takes a second, a scrape must not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from trading_pipeline.errors import MissingDataError, TransientError

_PATIENCE: Final = {"connect_timeout": 2}
_RUNS_FILE: Final = "history/runs.db"
_SCHEDULES_FILE: Final = "schedules/schedules.db"
_COUNTS: Final = sa.text(
    "SELECT pipeline_name, status, count(*), max(end_time) FROM runs GROUP BY pipeline_name, status"
)

_FAILED: Final = sa.text(
    "SELECT run_id, pipeline_name, partition, end_time FROM ("
    "SELECT runs.*, lag(status) OVER (PARTITION BY pipeline_name, partition ORDER BY end_time) "
    "AS earlier FROM runs WHERE status IN ('SUCCESS', 'FAILURE')) AS ended "
    "WHERE status = 'FAILURE' AND end_time > :since AND coalesce(earlier, '') <> 'FAILURE' "
    "ORDER BY end_time"
)
"""The first of failures in a row: what fails every minute is told once."""

_FAILURES: Final = sa.text(
    "SELECT run_id, pipeline_name, partition, end_time FROM runs WHERE status = 'FAILURE' "
    "AND pipeline_name = :job ORDER BY end_time DESC LIMIT :count"
)

_SCHEDULES: Final = sa.text(
    "SELECT instigator_body FROM instigators "
    "WHERE instigator_type = 'SCHEDULE' AND status = 'RUNNING'"
)

_DAEMON: Final = sa.text(
    "SELECT max(timestamp) AS seen_at FROM daemon_heartbeats WHERE daemon_type = 'SCHEDULER'"
).columns(seen_at=sa.DateTime)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRuns:
    """How many runs of a job are on record with a status, and when the newest ended.

    `ended_at` is in seconds since 1970, None when none of them has ended.
    """

    job: str
    status: str
    count: int
    ended_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """A run that failed: its id, job, session if it has one, and its end in seconds since 1970."""

    run_id: str
    job: str
    partition: str | None
    ended_at: float


class RunRecords:
    """The records in a PostgreSQL database, or in the SQLite file under a home."""

    def __init__(self, *, url: str | None, home: Path) -> None:
        self._url, self._folder = url, home / "data" / "dagster"
        self._engines: dict[Path, sa.Engine] = {}

    def jobs(self) -> list[JobRuns]:
        """Return the counts by job and status.

        MissingDataError where there are no records yet, TransientError where nothing answers.
        """
        return [
            JobRuns(job=job, status=status, count=count, ended_at=ended)
            for job, status, count, ended in self._rows(_COUNTS)
        ]

    def failed_since(self, seconds: float) -> list[FailedRun]:
        """Return the runs that failed since a moment in seconds since 1970, the first of each row.

        A row are failures of one job, and of one session if it has one, without a success between.
        Raises as `jobs`.
        """
        return _failed(self._rows(_FAILED, since=seconds))

    def failures(self, job: str, count: int) -> list[FailedRun]:
        """Return the last runs of a job that failed, newest first; raises as `jobs`."""
        return _failed(self._rows(_FAILURES, job=job, count=count))

    def schedules_on(self) -> set[str]:
        """Return the names of the schedules that are switched on; raises as `jobs`."""
        bodies = self._rows(_SCHEDULES, file=_SCHEDULES_FILE)
        return {json.loads(body)["origin"]["job_name"] for (body,) in bodies}

    def daemon_seen_at(self) -> datetime | None:
        """Return when the daemon last told that it minds schedules; raises as `jobs`."""
        ((seen_at,),) = self._rows(_DAEMON)
        return seen_at.replace(tzinfo=UTC) if seen_at else None

    def _rows(
        self, query: sa.Executable, *, file: str = _RUNS_FILE, **values: float | str
    ) -> Sequence[Any]:
        path = self._folder / file
        if self._url is None and not path.is_file():
            raise MissingDataError(f"There are no records at {path}: the first run makes it.")
        try:
            with self._engine(path).connect() as connection:
                return connection.execute(query, values).all()
        except exc.ProgrammingError as error:
            raise MissingDataError(
                "Dagster has no records yet: the first run makes them."
            ) from error
        except exc.SQLAlchemyError as error:
            raise TransientError("The database of Dagster's records does not answer.") from error

    def _engine(self, path: Path) -> sa.Engine:
        if path not in self._engines:
            self._engines[path] = self._opened(path)
        return self._engines[path]

    def _opened(self, path: Path) -> sa.Engine:
        if self._url is None:
            return sa.create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
        address = sa.make_url(self._url).set(drivername="postgresql+psycopg2")
        return sa.create_engine(address, pool_pre_ping=True, connect_args=_PATIENCE)


def _failed(rows: Sequence[Any]) -> list[FailedRun]:
    return [
        FailedRun(run_id=run_id, job=job, partition=partition, ended_at=ended)
        for run_id, job, partition, ended in rows
    ]
