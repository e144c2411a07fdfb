"""`trading-pipeline sql`: one SELECT over the lake and the ledger, shown or written to a file."""

import io
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from uuid import uuid4

import polars as pl
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from trading_pipeline.adapters.catalog import LAKE_TABLES, Answer, Catalog, LedgerTables, Limits
from trading_pipeline.adapters.lake import mirror
from trading_pipeline.adapters.ledger.engine import normalized
from trading_pipeline.adapters.ledger.tables import metadata
from trading_pipeline.cli.page import Page, columns
from trading_pipeline.cli.replay import aware
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings

Format = Literal["table", "csv", "json", "parquet"]
TABLE_ROWS: Final = 1_000
FILE_ROWS: Final = 10_000_000
SHOWN_COLUMNS: Final = 12


def sql(  # noqa: PLR0913 - a flag each
    statement: str | None = None,
    /,
    *,
    param: Annotated[list[str] | None, Parameter(negative="")] = None,
    format: Format | None = None,  # noqa: A002 - the flag's name
    output: Path | None = None,
    limit: int | None = None,
    timeout: float = 60.0,
    as_known_at: datetime | None = None,
    tables: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Answer one SELECT over the tables of the lake and of the ledger; nothing can be changed.

    Examples: `trading-pipeline sql --tables`;
    `trading-pipeline sql "SELECT * FROM clean_bars WHERE symbol = ?" --param AAPL --output a.csv`.

    Args:
        statement: The query, in DuckDB's SQL, with `?` for values.
        param: The value of the next `?`, as text: DuckDB converts it where it is compared, and
            elsewhere CAST does.
        format: How rows are written; by the output's name, or a table.
        output: The file to write instead of standard output; Parquet needs one.
        limit: Rows at most. A table is cut there (1,000 unless told) and says so; the other formats
            are written whole or not at all.
        timeout: Seconds the query may take.
        as_known_at: Read the deliveries known at this time (UTC when it has no zone): raw_bars,
            corporate_actions and bar_verdicts; `trading-pipeline replay` makes the rest of them.
        tables: List the tables and their columns.
    """
    settings = Settings.load()
    wanted = _format(format, output)
    if (statement is None) == (not tables):
        raise SettingsError("Either a query or --tables is expected.")
    if output is not None:
        _require_outside(output, settings.data_dir)
    rows = limit if limit is not None else TABLE_ROWS if wanted == "table" else FILE_ROWS
    costs = Limits(seconds=timeout, rows=rows)
    with open_catalog(settings, limits=costs, as_known_at=aware(as_known_at)) as catalog:
        answer = _tables(catalog) if statement is None else catalog.run(statement, param or ())
    _write(answer, wanted, output)
    return 0


def open_catalog(
    settings: Settings, *, limits: Limits | None = None, as_known_at: datetime | None = None
) -> Catalog:
    """The catalog of the lake and of the ledger of the settings.

    Of a lake in a bucket the catalog reads a copy in the data folder, brought up to date first.
    """
    place = settings.lake_location
    if not isinstance(place, Path):
        place = mirror(place, settings.data_dir / "mirror", LAKE_TABLES)
    return Catalog(
        place,
        ledger=LedgerTables(normalized(settings.ledger_location), metadata),
        convention=settings.adjustment,
        limits=limits,
        as_known_at=as_known_at,
        ticks=settings.data_dir / "ticks",
    )


def show(answer: Answer, *, console: Console | None = None) -> None:
    """Print the rows as a table: drawn on a terminal, aligned text when piped."""
    page = Page(console)
    names = answer.frame.columns
    rows = [[_cell(value) for value in row] for row in answer.frame.iter_rows()]
    numeric = [dtype.is_numeric() for dtype in answer.frame.dtypes]
    if page.for_terminal:
        heads = [
            f"{name}{'>' * is_numeric}" for name, is_numeric in zip(names, numeric, strict=True)
        ]
        table = columns(*heads)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        page.console.print(table)
        return
    for line in _aligned([names, *rows], numeric):
        page.console.out(line, highlight=False)


def _tables(catalog: Catalog) -> Answer:
    found = catalog.describe()
    listed = [_listed(names) for names in found["columns"]]
    return Answer(found.with_columns(pl.Series("columns", listed)), is_cut=False)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_COLUMNS
    return ", ".join([*names[:SHOWN_COLUMNS], *([f"… {more} more"] if more > 0 else [])])


def _format(asked: Format | None, output: Path | None) -> Format:
    suffix = output.suffix.lower().removeprefix(".") if output else ""
    kinds: Mapping[str, Format] = {"txt": "table", **{name: name for name in get_args(Format)}}
    if asked is None and output is not None and suffix not in kinds:
        raise SettingsError(f"{output} has no known ending: .csv, .json, .parquet or --format.")
    wanted = asked or kinds.get(suffix, "table")
    if wanted == "parquet" and output is None:
        raise SettingsError("Parquet is no text: name a file with --output.")
    return wanted


def _require_outside(output: Path, data: Path) -> None:
    """The product's own data is written by the product only, reports aside."""
    place = output.resolve()
    if place.is_relative_to(data.resolve()) and not place.is_relative_to(
        data.resolve() / "reports"
    ):
        raise SettingsError(f"{output} lies in the data folder {data}: choose another place.")


def _write(answer: Answer, wanted: Format, output: Path | None) -> None:
    frame = answer.frame if wanted == "table" else answer.whole()
    if output is None:
        if wanted == "table":
            show(answer)
        else:
            sys.stdout.write(_encoded(frame, wanted).decode())
    elif wanted == "table":
        page = Console(file=io.StringIO(), width=80)
        show(answer, console=page)
        _replace(output, page.file.getvalue().encode())  # pyright: ignore[reportAttributeAccessIssue]
    else:
        _replace(output, _encoded(frame, wanted))
    if answer.is_cut:
        sys.stderr.write(
            f"trading-pipeline: the first {frame.height:,} rows; --limit shows more.\n"
        )


def _encoded(frame: pl.DataFrame, wanted: Format) -> bytes:
    buffer = io.BytesIO()
    if wanted == "parquet":
        frame.write_parquet(buffer)
    elif wanted == "csv":
        _flat(frame).write_csv(buffer)
    else:
        rows = [_json(row) for row in frame.iter_rows(named=True)]
        buffer.write(json.dumps(rows, indent=1, default=str, ensure_ascii=False).encode() + b"\n")
    return buffer.getvalue()


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """With text for what CSV has no form of: amounts without trailing zeros, lists, structs."""
    changed = [
        pl.Series(
            name, [None if value is None else _cell(value) for value in frame[name]], pl.String
        )
        for name, dtype in frame.schema.items()
        if dtype.is_decimal() or dtype.is_nested() or dtype in {pl.Binary, pl.Null}
    ]
    return frame.with_columns(changed)


def _json(value: Any) -> Any:
    """The value in what JSON has: amounts and bytes as text, and no number that is not finite."""
    if isinstance(value, Mapping):
        return {name: _json(part) for name, part in value.items()}
    if isinstance(value, (list, pl.Series)):
        return [_json(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _cell(value) if isinstance(value, (Decimal, bytes)) else value


def _cell(value: Any) -> str:
    """A value as text; null is empty, and what would steer a terminal is escaped."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, (Mapping, list, pl.Series)):
        return json.dumps(_json(value), default=str, ensure_ascii=False)
    text = value.hex() if isinstance(value, bytes) else str(value)
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


def _aligned(rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> list[str]:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        for row in rows
    )
    return [line.rstrip() for line in lines]


def _replace(path: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    beside = path.with_name(f".{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
