"""Structured logs: one JSON object a line, with the session and the run on every one of them."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

_BOUND: ContextVar[dict[str, str]] = ContextVar("bound", default={})  # noqa: B039 - never mutated
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def bind(**fields: str) -> None:
    """Put `fields` (such as session and run_id) on every later line of this context."""
    _BOUND.set(_BOUND.get() | fields)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: timestamp (UTC, ms, Z), level, logger, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; fields given by `extra=` stand beside the bound ones."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_BOUND.get(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send the platform's own lines to standard error as JSON, from `level` upward."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("trading_pipeline")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
