"""How the ledger speaks to SQLite and PostgreSQL: URLs, locks, durability, and errors of ours."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy import event, exc

from trading_pipeline.adapters.ledger import migrations
from trading_pipeline.errors import (
    AdapterError,
    SettingsError,
    TradingError,
    TradingPipelineError,
    TransientError,
)

BUSY_SECONDS: Final = 10.0
"""How long a writer waits for another one."""

_CREATION_SECONDS: Final = 60.0
_WRITER_LOCK: Final = "SELECT pg_advisory_xact_lock(7236874)"
_BEGIN: Final = "ledger_begin"
_FOR_THE_USER: Final = (
    "unable to open",
    "readonly",
    "not a database",
    "does not exist",
    "authentication failed",
)
"""Words of failures that waiting does not mend."""


class LedgerEngine:
    """Connections to one database; none is made before the first use."""

    def __init__(self, url: str) -> None:
        self._url = normalized(url)
        self._is_sqlite = self._url.get_backend_name() == "sqlite"

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """One consistent view of the ledger; it never waits for writers."""
        self._require_file()
        if self._is_sqlite:
            return self._transaction(**{_BEGIN: "BEGIN"})
        return self._transaction(isolation_level="REPEATABLE READ")

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """One transaction that is alone in writing, committed whole or not at all."""
        self._require_file()
        return self._transaction(**{_BEGIN: self._lock})

    @contextmanager
    def creating(self) -> Iterator[sa.Connection]:
        """A writing transaction on a database that need not exist yet (SQLite) or may be empty."""
        with self._alone():
            if self._is_sqlite:
                self._use_write_ahead_log()
            with self._transaction(**{_BEGIN: self._lock}) as connection:
                yield connection

    def require_current(self) -> None:
        """Raise SettingsError when the tables are of another version of the product, or none."""
        with self.reading() as connection:
            if not migrations.is_current(connection):
                raise self._unfit(migrations.revision_of(connection))

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    @cached_property
    def _engine(self) -> sa.Engine:
        options: dict[str, Any] = {"json_serializer": partial(json.dumps, default=str)}
        if self._is_sqlite:
            options["connect_args"] = {"timeout": BUSY_SECONDS}
        else:
            options["pool_pre_ping"] = True
            options["connect_args"] = {"connect_timeout": int(BUSY_SECONDS)}
        engine = sa.create_engine(self._url, **options)
        if self._is_sqlite:
            event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin)
        return engine

    @property
    def _lock(self) -> str:
        return "BEGIN IMMEDIATE" if self._is_sqlite else _WRITER_LOCK

    def _require_file(self) -> None:
        """SQLite makes a missing file on first touch; only `creating` may."""
        if self._is_sqlite and not Path(str(self._url.database)).is_file():
            raise self._missing()

    def _missing(self) -> SettingsError:
        where = self._url.render_as_string(hide_password=True)
        return SettingsError(f"There is no ledger at {where}: expected one to be created first.")

    def _unfit(self, revision: str | None) -> SettingsError:
        """Why a table or column is not there: no ledger yet, or one of another version."""
        if revision is None:
            return self._missing()
        where = self._url.render_as_string(hide_password=True)
        return SettingsError(
            f"The ledger at {where} is of revision {revision}, and {migrations.HEAD} is expected: "
            "`trading-pipeline init` brings it up to date."
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from creating the same SQLite file; PostgreSQL has its own lock."""
        if not self._is_sqlite:
            yield
            return
        path = Path(str(self._url.database))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{path}.lock").acquire(_CREATION_SECONDS)
        except Timeout as error:
            raise TransientError(f"Another process is creating the ledger {path}.") from error
        except OSError as error:
            raise SettingsError(f"The ledger {path} cannot be written: {error}.") from error
        with lock:
            yield

    def _use_write_ahead_log(self) -> None:
        with self._translated(), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")

    @contextmanager
    def _transaction(self, **options: str) -> Iterator[sa.Connection]:
        with self._translated(), self._engine.execution_options(**options).begin() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (exc.IntegrityError, exc.InternalError) as error:
            raise TradingError(f"The ledger refused an entry: {_cause(error)}.") from error
        except exc.SQLAlchemyError as error:
            raised = getattr(error, "orig", None)
            if isinstance(raised, TradingPipelineError):  # by one of the tables' own types
                raise raised from None
            raise self._outage(error) from error

    def _outage(self, error: exc.SQLAlchemyError) -> TradingPipelineError:
        where = self._url.render_as_string(hide_password=True)
        cause = _cause(error)
        unknown = isinstance(error, exc.ProgrammingError) and "does not exist" in cause
        if unknown or cause.startswith(("no such table", "no such column")):
            with self._engine.connect() as connection:
                return self._unfit(migrations.revision_of(connection))
        if any(words in cause for words in _FOR_THE_USER):
            return SettingsError(f"The ledger at {where} cannot be used: {cause}.")
        if isinstance(error, (exc.OperationalError, exc.TimeoutError)):
            return TransientError(f"The ledger at {where} does not answer: {cause}.")
        return AdapterError(f"The ledger at {where} failed: {cause}.")


def normalized(url: str) -> sa.URL:
    """Return the URL with the driver that is installed; SettingsError for any other database.

    The message never repeats the URL, which may hold a password.
    """
    try:
        parsed = sa.make_url(url)
    except (exc.ArgumentError, ValueError):  # the latter for a port that is no number
        raise SettingsError(
            "The ledger's URL cannot be read: expected sqlite:///file or "
            "postgresql://user:password@host/database."
        ) from None
    if "@" in (parsed.host or ""):  # else what stands before it would be told as a place
        raise SettingsError("The ledger's URL has an @ in its password: %40 is expected there.")
    if parsed.drivername in {"postgres", "postgresql", "postgresql+psycopg2"}:
        return parsed.set(drivername="postgresql+psycopg2")
    if parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed
    raise SettingsError(
        f"The ledger cannot be kept by {parsed.drivername!r}: expected a SQLite file "
        "or a PostgreSQL database."
    )


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says, not by guess
    for setting in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: sa.Connection) -> None:
    if statement := connection.get_execution_options().get(_BEGIN):
        connection.exec_driver_sql(statement)


def _cause(error: exc.SQLAlchemyError) -> str:
    """Return what the database said, in one line and without the statement and its values."""
    said = str(getattr(error, "orig", None) or error).partition("\n\tIs the server running")[0]
    return " ".join(said.split()).rstrip(".")
