"""Write the reference pages that restate the code: settings, commands, tables and the like.

`python docs/generate.py` writes them; a test holds the pages equal to what this module returns.
"""

import ast
import inspect
import re
import sys
import types
from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import polars as pl
import sqlalchemy as sa
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from trading_pipeline import errors
from trading_pipeline.adapters.ledger import tables as ledger
from trading_pipeline.core import events, schemas
from trading_pipeline.core.risk import checks
from trading_pipeline.flows.metrics import METRICS
from trading_pipeline.settings import PREFIX, Settings

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the code: `make fix` writes it again. -->"
DERIVED = {
    "home": "`$DAGSTER_HOME`, else the current folder",
    "data_dir": "`<home>/data`",
}
"""Settings whose default depends on another one."""

KINDS = {
    "str": "text",
    "Path": "path",
    "SecretStr": "secret",
    "AwareDatetime": "UTC time",
    "Decimal": "decimal",
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
}


def settings() -> str:
    """The page of every setting: its variable, kind, bounds, default and meaning."""
    parts = [_intro("Settings", SETTINGS_INTRO), *_group("General", Settings, PREFIX)]
    return "\n".join([*parts, ""])


def tables() -> str:
    """The page of every stored table: the lake's and the ledger's."""
    parts = [_intro("Tables", TABLES_INTRO), "## The lake", ""]
    for name, model in schemas.TABLES.items():
        parts += [f"### {name}", "", _flat(model.__doc__), "", *_columns(model), ""]
    parts += ["## The ledger", ""]
    meanings = _meanings(ledger)
    for table in ledger.metadata.sorted_tables:
        parts += [f"### {table.name}", "", meanings.get(table.name, ""), "", *_rows(table), ""]
    return "\n".join(parts)


def error_tree() -> str:
    """The page of every error: what it means and the exit code it ends a command with."""
    drawn = inspect.getdoc(errors) or ""
    parts = [_intro("Errors", ERRORS_INTRO), "| error | meaning | exit code |", "|---|---|---|"]
    for depth, kind in _family(errors.TradingPipelineError):
        dots = "· " * depth
        parts.append(f"| {dots}`{kind.__name__}` | {_flat(kind.__doc__)} | {kind.exit_code} |")
    tree = drawn.split("\n\n")[1]
    return "\n".join([*parts, "", "The same as a tree:", "", "```text", tree, "```", ""])


def metrics() -> str:
    """The page of every metric: its kind, its labels and its meaning."""
    parts = [_intro("Metrics", METRICS_INTRO), "| metric | kind | labels | meaning |"]
    parts.append("|---|---|---|---|")
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        meaning = _cell(metric.meaning)
        parts.append(f"| `{metric.name}` | {metric.kind} | {labels} | {meaning} |")
    return "\n".join([*parts, ""])


def commands() -> str:
    """The page of every command: its arguments, options, defaults and examples."""
    from trading_pipeline.cli import app  # noqa: PLC0415 - heavy: it reads every command

    given, sys.argv = sys.argv, ["trading-pipeline"]  # usage lines repeat how we were called
    try:
        text = app.generate_docs(output_format="markdown")
    finally:
        sys.argv = given
    return f"{NOTE}\n{text.replace('# trading-pipeline', '# Commands', 1).rstrip()}\n"


def facts() -> str:
    """The page of every fact that is told on the bus, with its fields."""
    parts = [_intro("Events", EVENTS_INTRO)]
    for kind in events.FACTS.values():
        parts += [f"## {kind.name}", "", _flat(kind.__doc__), ""]
        parts += ["| field | kind |", "|---|---|"]
        parts += [f"| `{name}` | {_kind(field)} |" for name, field in kind.model_fields.items()]
        parts.append("")
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    return {
        REFERENCE / "settings.md": settings(),
        REFERENCE / "tables.md": tables(),
        REFERENCE / "errors.md": error_tree(),
        REFERENCE / "cli.md": commands(),
        REFERENCE / "events.md": facts(),
        REFERENCE / "metrics.md": metrics(),
        REFERENCE / "risk-codes.md": f"{NOTE}\n{checks.page()}",
    }


SETTINGS_INTRO = f"""\
A setting is, first found first taken: a flag of the command · an environment variable · a line of
`.env` in the folder the command starts in · the default. An unknown `{PREFIX}` variable is an error
(exit code 3), so a misspelled limit never counts as the default; other names in `.env` are left
alone. Lists are comma-separated. Secrets are never printed."""

TABLES_INTRO = """\
Truth is appended, everything else is derived from it. The lake holds frames in Parquet, a file a
session; a session is replaced whole or not at all. The ledger holds what trading decided and did,
in SQLite or PostgreSQL; nothing in it is ever changed or deleted."""

EVENTS_INTRO = """\
Facts are told on a stream in Redis when there is one. A fact says that something happened; the
record of it is elsewhere, so losing one loses nothing but time."""

METRICS_INTRO = """\
What `trading-pipeline metrics` answers at `http://127.0.0.1:9464/metrics`, read from ledger, lake,
Dagster's records and Redis at that moment: nothing is pushed, and nothing grows stale unseen. A
metric of a source that is down is absent, and `trading_pipeline_up` is 0. Counters are counted in
the ledger, so they survive restarts. How to collect them:
[watch it](../how-to/watch-and-be-woken.md)."""

ERRORS_INTRO = """\
Every error raised on purpose is one of these, arranged by what to do about it. Its message is one
sentence: what happened, to which thing, and what was expected. See [exit codes](exit-codes.md) for
what a command ends with."""


def _intro(title: str, text: str) -> str:
    return f"{NOTE}\n# {title}\n\n{text}\n"


def _group(title: str, model: type[BaseModel], prefix: str) -> Iterator[str]:
    nested = {}
    if title != "General":
        yield _flat(model.__doc__)
        yield ""
    yield "| variable | kind | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            nested[name] = kind
        else:
            variable = f"{prefix}{name.upper()}"
            meaning = _cell(field.description or "")
            yield f"| `{variable}` | {_kind(field)} | {_default(name, field)} | {meaning} |"
    yield ""
    for name, kind in nested.items():
        yield f"{'##' if prefix == PREFIX else '###'} {prefix}{name.upper()}__…"
        yield ""
        yield from _group(name, kind, f"{prefix}{name.upper()}__")


def _kind(field: FieldInfo) -> str:
    return _cell(" ".join([_name(field.annotation), *_bounds(field)]))


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in {Union, types.UnionType}:
        return " or ".join(_name(part) for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple:
        return f"list of {_name(get_args(kind)[0])}"
    name = getattr(kind, "__name__", str(kind))
    return KINDS.get(name, name)


def _bounds(field: FieldInfo) -> Iterator[str]:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    for bound in field.metadata:
        for attribute, sign in signs.items():
            if (value := getattr(bound, attribute, None)) is not None:
                yield f"{sign} {value}"


def _default(name: str, field: FieldInfo) -> str:
    if name in DERIVED:
        return DERIVED[name]
    value = field.default
    if value is PydanticUndefined:
        return "—"
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        value = ",".join(str(part) for part in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _columns(model: type[Any]) -> Iterator[str]:
    schema = model.to_schema()
    yield "| column | type | may be null | meaning |"
    yield "|---|---|---|---|"
    for name, column in schema.columns.items():
        shown = "the feature columns" if column.regex else f"`{name}`"
        kind = _polars(getattr(column.dtype, "type", column.dtype))
        meaning = schemas.MEANINGS.get(name, "")
        yield f"| {shown} | {kind} | {'yes' if column.nullable else 'no'} | {meaning} |"


def _polars(kind: Any) -> str:
    words = {pl.String: "text", pl.Date: "date", pl.Float64: "float64", pl.Float32: "float32"}
    known = {**words, pl.Int32: "int32", str: "text", date: "date", float: "float64"}
    if isinstance(kind, pl.Datetime) or kind in {pl.Datetime, datetime}:
        return "UTC time"
    return known.get(kind) or known.get(type(kind)) or str(kind)


def _rows(table: sa.Table) -> Iterator[str]:
    yield "| column | type | may be null | key |"
    yield "|---|---|---|---|"
    for column in table.columns:
        key = "primary" if column.primary_key else ", ".join(_targets(column))
        empty = "yes" if column.nullable else "no"
        yield f"| `{column.name}` | {_stored(column.type)} | {empty} | {key} |"


def _targets(column: sa.Column[Any]) -> list[str]:
    return sorted(f"of {key.column.table.name}" for key in column.foreign_keys)


def _stored(kind: Any) -> str:
    words = {
        "Money": "decimal, exact",
        "Moment": "UTC time",
        "Text": "text",
        "Date": "date",
        "Integer": "whole number",
        "Double": "float64",
        "JSON": "JSON",
    }
    name = type(kind).__name__
    if name == "Word":
        return " · ".join(f"`{word.value}`" for word in kind.words)
    return words.get(name, name)


def _meanings(module: types.ModuleType) -> dict[str, str]:
    """The sentence under each `name = sa.Table(…)` of a module, by the table's name."""
    body = ast.parse(inspect.getsource(module)).body
    found = {}
    for statement, after in pairwise(body):
        if not (isinstance(statement, ast.Assign) and isinstance(after, ast.Expr)):
            continue
        table = getattr(module, getattr(statement.targets[0], "id", ""), None)
        if isinstance(table, sa.Table) and isinstance(after.value, ast.Constant):
            found[table.name] = _flat(str(after.value.value))
    return found


def _family(
    kind: type[errors.TradingPipelineError], depth: int = 0
) -> Iterator[tuple[int, type[errors.TradingPipelineError]]]:
    yield depth, kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _family(child, depth + 1)


def _flat(text: str | None) -> str:
    return _cell(re.sub(r"\s+", " ", text or "").strip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


def main() -> None:
    """Write every page that is not current."""
    for path, text in pages().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
