"""The types of the ledger's columns: money, moments and words, exact on either database."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from trading_pipeline.errors import SettingsError


class Money(TypeDecorator[Decimal]):
    """An exact decimal, dollars or shares: text on SQLite, unbounded NUMERIC on PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of the database at hand."""
        exact = sa.Numeric() if dialect.name == "postgresql" else sa.Text()
        return dialect.type_descriptor(exact)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Return what is stored; a number that is not finite is a SettingsError."""
        if value is None:
            return None
        if not value.is_finite():
            raise SettingsError(f"The amount {value} cannot be booked: expected a finite number.")
        return value if dialect.name == "postgresql" else f"{value:f}"

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Return the number that was stored, digit for digit."""
        return None if value is None else Decimal(value)


class Moment(TypeDecorator[datetime]):
    """An aware UTC time: ISO 8601 text on SQLite, TIMESTAMPTZ on PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of the database at hand."""
        moment = sa.DateTime(timezone=True) if dialect.name == "postgresql" else sa.Text()
        return dialect.type_descriptor(moment)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return what is stored; a time without a zone is a SettingsError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise SettingsError(f"The time {value} has no time zone: an aware one is expected.")
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time in UTC; SQLite's own CURRENT_TIMESTAMP bears no zone and is UTC."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class Word(TypeDecorator[StrEnum]):
    """A member of one of the core's enumerations, stored as its text."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text."""
        return None if value is None else self.words(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        """Return the member; a text that names none raises ValueError."""
        return None if value is None else self.words(value)
