"""The ledger's tables as frames, read in one read-only transaction of SQLite or PostgreSQL."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import polars as pl
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql

from trading_pipeline.errors import SettingsError, TransientError

AMOUNT: Final = pl.Decimal(38, 10)
"""The type of money, prices and shares: exact to ten decimals."""

PATIENCE: Final = 10
"""Seconds to wait for the database."""

_TYPES: Final[dict[type, Any]] = {
    Decimal: AMOUNT,
    datetime: pl.Datetime("us", "UTC"),
    date: pl.Date,
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
}
_TYPED: Final = postgresql.dialect()
_STEP: Final = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class LedgerTables:
    """Where the ledger is, and the tables it has, with their types."""

    url: sa.URL
    metadata: sa.MetaData

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(str(name) for name in self.metadata.tables)

    def columns(self, name: str) -> list[str]:
        """The columns of a table."""
        return [str(column.name) for column in self.metadata.tables[name].columns]

    def read(self, names: Iterable[str]) -> dict[str, pl.DataFrame]:
        """Return the tables whole, as they stood at one moment, sorted by their keys.

        Raises SettingsError where there is no ledger, TransientError when it does not answer.
        """
        with self._reading() as connection:
            tables = [self.metadata.tables[name] for name in sorted(names)]
            return {str(table.name): _frame(connection, table) for table in tables}

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        engine = self._sqlite() if self.url.get_backend_name() == "sqlite" else self._postgresql()
        try:
            with engine.connect() as connection:
                yield connection
        except exc.SQLAlchemyError as error:
            raise self._translated(error) from error
        finally:
            engine.dispose()

    def _sqlite(self) -> sa.Engine:
        path = Path(str(self.url.database))
        if not path.is_file():  # SQLite would make it
            raise self._missing()
        address = f"file:{quote(str(path.resolve()))}?mode=ro"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            return connection

        return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)

    def _postgresql(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url, poolclass=sa.NullPool, connect_args={"connect_timeout": PATIENCE}
        )
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def _missing(self) -> SettingsError:
        where = self.url.render_as_string(hide_password=True)
        return SettingsError(f"There is no ledger at {where}: the first run makes it.")

    def _translated(self, error: exc.SQLAlchemyError) -> SettingsError | TransientError:
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        if "no such table" in cause or isinstance(error, exc.ProgrammingError):
            return self._missing()
        where = self.url.render_as_string(hide_password=True)
        return TransientError(f"The ledger at {where} cannot be read: {cause}.")


def _frame(connection: sa.Connection, table: sa.Table) -> pl.DataFrame:
    found = connection.execute(sa.select(table).order_by(*table.primary_key)).all()
    cells = zip(*found, strict=True) if found else [()] * len(table.columns)
    return pl.DataFrame(
        [_series(column, values) for column, values in zip(table.columns, cells, strict=True)]
    )


def _series(column: sa.Column[Any], values: Iterable[Any]) -> pl.Series:
    python = _python_type(column.type)
    if python is Decimal:
        values = [None if value is None else _rounded(value) for value in values]
    elif python not in _TYPES:
        values = [_text(value) for value in values]
    return pl.Series(str(column.name), list(values), dtype=_TYPES.get(python, pl.String))


def _python_type(kind: Any) -> type:
    """What a column's values are; a decorated type says it by the column PostgreSQL would have."""
    if isinstance(kind, sa.types.TypeDecorator):
        return kind.load_dialect_impl(_TYPED).python_type
    return kind.python_type


def _rounded(value: Decimal) -> Decimal:
    with localcontext(prec=60):
        return value.quantize(_STEP)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return json.dumps(value, default=str)
