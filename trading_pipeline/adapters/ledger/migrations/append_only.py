"""Triggers that let rows be inserted and never changed, on SQLite and on PostgreSQL."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$
"""
"""What PostgreSQL's triggers call; created once, before the first table is guarded."""


def statements(dialect: str, table: str, key: Sequence[str]) -> Iterator[str]:
    """Yield the statements that guard `table`, whose primary key is `key`."""
    return _postgresql(table) if dialect == "postgresql" else _sqlite(table, key)


def clear(connection: sa.Connection, table: str) -> None:
    """Delete the rows that a migration put into `table` of a ledger that is to be restored."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - our own name
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return
    name = f"{table}_no_delete"
    made = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?"
    guard = connection.exec_driver_sql(made, (name,)).scalar_one()
    connection.exec_driver_sql(f"DROP TRIGGER {name}")
    connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - our own name
    connection.exec_driver_sql(guard)


def _postgresql(table: str) -> Iterator[str]:
    yield (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    yield (
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _sqlite(table: str, key: Sequence[str]) -> Iterator[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    for verb in ("UPDATE", "DELETE"):
        yield f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {refuse}"
    # INSERT OR REPLACE deletes the old row without firing its DELETE trigger.
    same = " AND ".join(f"{column} = NEW.{column}" for column in key)
    held = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - our own names
    yield f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {held} {refuse}"
