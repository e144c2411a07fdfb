"""Structured logs: one JSON object a line, with the session and the run on every one of them.

A line never holds a secret: what the settings keep secret is blotted out wherever it turns up, in a
message, a field or a traceback, and so is the password of any URL.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, SecretStr

_BOUND: ContextVar[dict[str, str]] = ContextVar("bound", default={})  # noqa: B039 - never mutated
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_BLOT: Final = "***"
_SHORTEST_SECRET: Final = 4
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^\s:/@\"']*):[^\s/\"']+(?=@)")
_PASSWORD_OF_URL: Final = re.compile(r"[^:/?#]+://[^:/@]*:(.*)@", re.DOTALL)
_hidden: set[str] = set()
_named: dict[str, str] = {"service": "trading-pipeline"}


class LogRules(BaseModel):
    """How long it is kept what runs have said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output_days: int = Field(default=30, ge=1, description="days what a run printed is kept")
    watch_days: int = Field(
        default=7, ge=1, description="days the records of runs are kept that only watched"
    )


def bind(**fields: str) -> None:
    """Put `fields` (such as session and run_id) on every later line of this context."""
    _BOUND.set(_BOUND.get() | fields)


def bind_run(run_id: str) -> None:
    """Put a run on every later line: its id, and the trace id, which is the same without dashes.

    Every process of a run has its id, so all of them agree on the trace and nothing is passed on.
    """
    bind(run_id=run_id, trace_id=run_id.replace("-", ""))


def name_service(service: str) -> None:
    """Put the name of what this process is on every line: a command, or Dagster."""
    _named["service"] = service


def begin_trace() -> None:
    """Give every line of this process one trace id, where no run has its own."""
    _named["trace_id"] = uuid4().hex


def hide(secrets: Iterable[str]) -> None:
    """Blot these out of everything that is written from now on; very short ones are words."""
    _hidden.update(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)


def secrets_of(model: BaseModel) -> Iterator[str]:
    """Yield every secret that is set, and the password of every URL."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
            yield from _passwords_of(value.get_secret_value())
        elif isinstance(value, str):
            yield from _passwords_of(value)
        elif isinstance(value, BaseModel):
            yield from secrets_of(value)


def _passwords_of(text: str) -> Iterator[str]:
    """The password of a URL, as it stands there and as it is meant.

    Of one with marks that should have been quoted also its parts: a library that takes the URL
    apart there complains of one of them.
    """
    if found := _PASSWORD_OF_URL.match(text):
        password = found[1]
        yield from {password, unquote(password), *re.split(r"[/?#@:]", password)}


def redacted(text: str) -> str:
    """Return the text without secrets, plain or as JSON has them, and without URLs' passwords."""
    for secret in sorted(_hidden, key=len, reverse=True):
        for form in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(form, _BLOT)
    return _URL_PASSWORD.sub(rf"\1:{_BLOT}", text)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC, ms, Z), level, service, logger, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; fields given by `extra=` stand beside the bound ones."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            **_named,
            "logger": record.name,
            "source": f"{record.filename}:{record.lineno}",
            "message": record.getMessage(),
            **_BOUND.get(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line, default=str))


def configure(level: str) -> None:
    """Send the platform's lines from `level` upward to standard error as JSON.

    So are warnings of the libraries, unless whoever started us has given them a place already;
    Dagster writes its own lines itself.
    """
    logger = logging.getLogger("trading_pipeline")
    logger.handlers = [_handler()]
    logger.setLevel(level)
    logger.propagate = False
    others = _handler()
    others.setLevel(logging.WARNING)
    others.addFilter(lambda record: not record.name.startswith("dagster"))
    logging.basicConfig(handlers=[others], level=logging.WARNING)


def _handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    return handler
