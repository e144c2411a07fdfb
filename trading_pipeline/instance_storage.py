"""Where the Dagster instance keeps its own records: one dagster.yaml for a laptop and for a server.

Without `TP_DAGSTER_URL` everything is SQLite and plain files under `<home>/data/dagster`; with it,
runs, events, schedules and check results go to that PostgreSQL database. `home` is `$DAGSTER_HOME`,
so the place does not depend on the folder a command was started from. The URL is read from the
environment by each process: it stands in no file, on no command line and in no dump of the
instance's configuration.
"""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MethodType
from typing import Any, Final, cast

from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import DagsterEvent
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.event import listen
from sqlalchemy.exc import ArgumentError, DisconnectionError

from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import dagster_database_url, home

POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"})
"""URL schemes that mean PostgreSQL; all are served by psycopg2, the driver Dagster speaks."""


class _Unconfigured:
    """What dagster.yaml may say to these classes: nothing, the environment decides."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}


class EnvSelectedStorage(_Unconfigured, DagsterStorage, ConfigurableClass):
    """Runs, events and schedules: SQLite under the home, or PostgreSQL when a URL is set.

    Never instantiated: Dagster asks the class for a storage and gets one of two.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, _config: Mapping[str, Any]
    ) -> DagsterStorage:
        """Return the storage that the environment asks for; SettingsError on an unusable URL."""
        if url := dagster_database_url():
            found = _postgres(postgres_url(url), inst_data)
            for storage in (found.run_storage, found.event_log_storage, found.schedule_storage):
                setattr(storage, _SERVED, _asked_first(storage))
        else:
            found = _FileRecords.from_local(str(folder()), inst_data)
        events = found.event_log_storage
        setattr(events, _PLANNED, MethodType(_store_planned_checks, events))
        setattr(events, _SERVED, _guarded(events.optimize_for_webserver))
        return found


class _FileEvents(SqliteEventLogStorage):
    """Dagster's own event log in files, with an engine a file.

    Dagster makes an engine for each event, and every statement is compiled anew for it: an eighth
    of what a whole trading day takes.
    """

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection


@lru_cache(maxsize=16)
def _engine(url: str) -> Engine:
    """The engine of a file; it holds no connection, so it may be shared and forked."""
    patience = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
    return create_engine(url, poolclass=NullPool, connect_args=patience)


class _FileRecords(DagsterSqliteStorage):
    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        events = self._event_log_storage
        assert isinstance(events, SqliteEventLogStorage)  # noqa: S101 - it was made just now
        self._event_log_storage = _FileEvents(events._base_dir)


class HomeArtifactStorage(_Unconfigured, LocalArtifactStorage):
    """Files that Dagster writes for runs, under `<home>/data/dagster/storage`."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, _config: Mapping[str, Any]
    ) -> LocalArtifactStorage:
        """Return Dagster's own local storage, rooted in the data folder."""
        return LocalArtifactStorage(str(folder()), inst_data)


class HomeComputeLogs(_Unconfigured, LocalComputeLogManager):
    """What steps print, under `<home>/data/dagster/storage`."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, _config: Mapping[str, Any]
    ) -> LocalComputeLogManager:
        """Return Dagster's own local log manager, rooted in the data folder."""
        return _QuietLogs(str(folder() / "storage"), inst_data=inst_data)


class _QuietLogs(LocalComputeLogManager):
    """One whose helpers do not hear a Ctrl-C: they end with the run, without a traceback each."""

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        with ExitStack() as kept:
            heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit it
            try:
                captured = kept.enter_context(super().capture_logs(log_key))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, heard)
            yield captured


_SERVED: Final = "optimize_for_webserver"
_PLANNED: Final = "_store_asset_check_evaluation_planned"


def _guarded(prepare: Callable[..., None]) -> Callable[..., None]:
    """Close the door as well, when Dagster tells a storage that this process serves pages."""

    def prepared(*arguments: Any, **named: Any) -> None:
        # heavy: only where pages are served
        from trading_pipeline.web_pages import close_the_door  # noqa: PLC0415

        close_the_door()
        prepare(*arguments, **named)

    return prepared


def _asked_first(storage: Any) -> Callable[..., None]:
    """Ask a kept connection before each use whether it still is one.

    Pages are served over connections that Dagster keeps; after a restart of PostgreSQL the first
    click would fail on each of them.
    """
    prepare = storage.optimize_for_webserver

    def prepared(*arguments: Any, **named: Any) -> None:
        prepare(*arguments, **named)
        engine = storage._engine
        listen(engine, "checkout", lambda connection, *_: _ask(engine, connection))

    return prepared


def _ask(engine: Engine, connection: DBAPIConnection) -> None:
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise DisconnectionError from error  # the pool takes a new one instead


def _store_planned_checks(
    storage: SqlEventLogStorage, event: EventLogEntry, event_id: int | None
) -> None:
    """Plan the checks of a range: a row a session, without the whole range repeated in each.

    Dagster's own puts the range, with every holiday of the calendar, into each row: 30 kB for each
    check and session, and half the time of a backfill of years.
    """
    told = cast("DagsterEvent", event.dagster_event)
    planned = told.asset_check_planned_data
    keys = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
    small = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    text = serialize_value(event._replace(dagster_event=told._replace(event_specific_data=small)))
    rows = [
        {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "partition": key,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": text,
            "evaluation_event_timestamp": datetime.fromtimestamp(event.timestamp, UTC).replace(
                tzinfo=None
            ),
            "evaluation_event_storage_id": event_id,
        }
        for key in keys
    ]
    with storage.index_connection() as connection:
        connection.execute(AssetCheckExecutionsTable.insert(), rows)


def folder() -> Path:
    """Where the instance's files lie: `<home>/data/dagster`, absolute."""
    return home() / "data" / "dagster"


def postgres_url(url: str) -> str:
    """Name the driver: `postgresql://…` becomes `postgresql+psycopg2://…`, all else unchanged.

    Raises SettingsError, which never repeats the URL, when it is no PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise SettingsError("TP_DAGSTER_URL is not a URL: postgresql://… is expected.") from None
    if "@" in (parsed.host or ""):  # else what stands before it would be told as a place
        raise SettingsError("TP_DAGSTER_URL has an @ in its password: %40 is expected there.")
    if parsed.drivername not in POSTGRES:
        raise SettingsError(
            f"TP_DAGSTER_URL names the database {parsed.drivername}: postgresql://… is expected; "
            "leave it unset for SQLite in the data folder."
        )
    driver = parsed.set(drivername="postgresql+psycopg2")
    return driver.render_as_string(hide_password=False)


def _postgres(url: str, inst_data: ConfigurableClassData | None) -> DagsterStorage:
    from dagster_postgres import DagsterPostgresStorage  # heavy: only where it is used

    return DagsterPostgresStorage(url, inst_data=inst_data)
