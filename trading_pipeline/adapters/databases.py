"""PostgreSQL databases that are named in a URL and not there yet."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from trading_pipeline.errors import SettingsError, TransientError

_DRIVERS: Final = frozenset({"postgres", "postgresql", "postgresql+psycopg2"})
_MAINTENANCE: Final = "postgres"
_PATIENCE: Final = {"connect_timeout": 5}
_TAKEN: Final = ("42P04", "23505")
"""What PostgreSQL says when another process has just made the database."""


def ensure_database(url: str) -> bool:
    """Make the PostgreSQL database of the URL unless it is there; return whether it was made.

    URLs of other databases are left alone. Raises SettingsError when the server refuses us or may
    not make databases for us, or when the database cannot hold every letter, TransientError when it
    does not answer. No message holds a password.
    """
    try:
        address = sa.make_url(url)
    except (exc.ArgumentError, ValueError):  # the latter for a port that is no number
        raise SettingsError(
            "A database URL cannot be read: postgresql://user@host/name is expected."
        ) from None
    if address.drivername not in _DRIVERS:
        return False
    if "@" in (address.host or ""):  # else what stands before it would be told as a place
        raise SettingsError("A database URL has an @ in its password: %40 is expected there.")
    address = address.set(drivername="postgresql+psycopg2")
    if _answers(address):
        return False
    engine = _engine(address.set(database=_MAINTENANCE), isolation_level="AUTOCOMMIT")
    name = engine.dialect.identifier_preparer.quote(str(address.database))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    except exc.SQLAlchemyError as error:
        if getattr(getattr(error, "orig", None), "pgcode", None) in _TAKEN:
            return False
        raise _refusal(address, error) from error
    return True


def _answers(address: sa.URL) -> bool:
    try:
        with _engine(address).connect() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    except exc.SQLAlchemyError:
        return False  # why is found out where databases are made
    if encoding != "UTF8":  # names, reasons and what MLflow writes are not all ASCII
        where = address.render_as_string(hide_password=True)
        raise SettingsError(
            f"The database {where} holds text as {encoding}: UTF8 is expected, as in one made by"
            " `createdb --encoding=UTF8 --template=template0`."
        )
    return True


def _engine(address: sa.URL, **options: Any) -> sa.Engine:
    return sa.create_engine(address, poolclass=sa.NullPool, connect_args=_PATIENCE, **options)


def _refusal(address: sa.URL, error: exc.SQLAlchemyError) -> SettingsError | TransientError:
    said = " ".join(str(getattr(error, "orig", error)).split()).rstrip(".")
    where = address.render_as_string(hide_password=True)
    if "refused" in said or "timeout" in said or "could not translate" in said:
        return TransientError(f"The server of {where} does not answer: {said}.")
    return SettingsError(f"The database {where} is not there and cannot be made: {said}.")
