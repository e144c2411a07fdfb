"""The ledger as lines of JSON, the same from SQLite and from PostgreSQL: written and read whole.

A table is one file of gzipped lines, a row each, its values as SQLite stores them. So a ledger kept
in one of the two databases can be brought into the other.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from trading_pipeline.adapters.ledger import migrations
from trading_pipeline.adapters.ledger.engine import LedgerEngine, normalized
from trading_pipeline.adapters.ledger.migrations import append_only
from trading_pipeline.adapters.ledger.tables import halts, metadata
from trading_pipeline.errors import SettingsError

ENDING: Final = ".jsonl.gz"
_BATCH: Final = 500
_TEXT: Final = sqlite.dialect()
_SEEDED: Final = halts
"""The one table that is not empty in a new ledger: its first row says that trading is allowed."""


def dump(url: str, folder: Path) -> tuple[str, dict[str, int]]:
    """Write every table into `folder`, all as of one moment; return the revision and row counts.

    Writers are not held up. The ledger may be of an older revision than this version's.
    """
    engine = LedgerEngine(url)
    try:
        with engine.reading() as connection:
            revision = migrations.revision_of(connection)
            if revision is None:
                raise SettingsError("The ledger has no tables yet: expected one to be backed up.")
            names = set(sa.inspect(connection).get_table_names())
            held = [table for table in metadata.sorted_tables if table.name in names]
            return revision, {table.name: _dump(connection, table, folder) for table in held}
    finally:
        engine.close()


def require_empty(url: str) -> None:
    """Raise SettingsError unless the ledger has no tables yet, or no rows in them."""
    place = normalized(url)
    if place.get_backend_name() == "sqlite" and not Path(str(place.database)).exists():
        return
    engine = LedgerEngine(url)
    try:
        with engine.reading() as connection:
            _require_empty(connection)
    finally:
        engine.close()


def load(url: str, folder: Path, revision: str) -> dict[str, int]:
    """Read what `dump` wrote into a ledger without rows; return how many each table got.

    The tables are made as they were at `revision`, filled, and then brought up to date, all of it
    in one transaction. SettingsError when there are rows already, or tables of another revision.
    """
    engine = LedgerEngine(url)
    try:
        with engine.creating() as connection:
            _require_empty(connection)
            migrations.upgrade(connection, revision)
            if (found := migrations.revision_of(connection)) != revision:
                raise SettingsError(
                    f"The ledger's tables are of revision {found}, the back-up's of {revision}: "
                    "expected a database without tables."
                )
            append_only.clear(connection, _SEEDED.name)
            paths = {table: folder / f"{table.name}{ENDING}" for table in metadata.sorted_tables}
            held = {table: path for table, path in paths.items() if path.is_file()}
            counts = {table.name: _load(connection, table, path) for table, path in held.items()}
            if not migrations.is_current(connection):
                migrations.upgrade(connection)
        return counts
    finally:
        engine.close()


def _require_empty(connection: sa.Connection) -> None:
    names = set(sa.inspect(connection).get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in names:
            continue
        seeded = 1 if table is _SEEDED else 0
        count = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        if count > seeded:
            raise SettingsError(
                f"The ledger holds {count} rows in {table.name} already: nothing is overwritten, "
                "expected an empty ledger."
            )


def _dump(connection: sa.Connection, table: sa.Table, folder: Path) -> int:
    columns = _columns(connection, table)
    written = [column.type.dialect_impl(_TEXT).bind_processor(_TEXT) for column in columns]
    found = connection.execute(sa.select(*columns).order_by(*table.primary_key))
    count = 0
    with _lines(folder / f"{table.name}{ENDING}", "wb") as file:
        for count, row in enumerate(found, start=1):  # noqa: B007 - the last one is returned
            pairs = zip(columns, written, row, strict=True)
            line = {c.name: to(value) if to else value for c, to, value in pairs}
            file.write(json.dumps(line).encode() + b"\n")
    return count


def _load(connection: sa.Connection, table: sa.Table, path: Path) -> int:
    kinds = {c.name: c.type.dialect_impl(_TEXT).result_processor(_TEXT, None) for c in table.c}
    count = 0
    for rows in _batches(path):
        made = [
            {name: to(v) if (to := kinds[name]) else v for name, v in row.items()} for row in rows
        ]
        connection.execute(table.insert(), made)
        count += len(made)
    _advance_counter(connection, table)
    return count


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    with _lines(path, "rb") as file:
        rows = [json.loads(line) for line in file]
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


def _lines(path: Path, mode: str) -> gzip.GzipFile:
    return gzip.GzipFile(path, mode, compresslevel=6, mtime=0)  # the same rows, the same bytes


def _columns(connection: sa.Connection, table: sa.Table) -> list[sa.Column[Any]]:
    there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    return [column for column in table.columns if column.name in there]


def _advance_counter(connection: sa.Connection, table: sa.Table) -> None:
    """Let PostgreSQL number further rows after the restored ones; SQLite does so by itself."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    counter = sa.func.pg_get_serial_sequence(table.name, column.name)
    last = connection.scalar(sa.select(sa.func.max(column)))
    if last:
        connection.execute(sa.select(sa.func.setval(counter, last)))
