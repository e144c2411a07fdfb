"""A DuckDB that can read the bound files and nothing else, with a limit on time, rows and memory.

It lives in memory, keeps nothing on disk, and is locked once its views are made: no file may be
opened but those of the views, no extension loaded, no setting changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from threading import Timer
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa

from trading_pipeline.adapters.catalog.lake_tables import literal
from trading_pipeline.adapters.catalog.statement import is_text, one_line
from trading_pipeline.errors import AdapterError, DataError, SettingsError, TradingPipelineError

BATCH: Final = 65_536
"""Rows that are computed at once, at most."""

VALUES: Final = (str, bool, int, float, Decimal, date, datetime, time)
"""What may stand for a `?`; also None, and lists of these."""

_SECURE: Final[dict[str, str | bool | int | float | list[str]]] = {
    "allow_community_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a query may cost: seconds, rows of the answer, and memory as DuckDB says it."""

    seconds: float = 60.0
    rows: int = 10_000_000
    memory: str = "50%"

    def __post_init__(self) -> None:
        """Refuse what limits nothing."""
        if not 0 < self.seconds <= 86_400:
            raise SettingsError(f"A time limit of {self.seconds} s is none: 0 to 86,400 is.")
        if self.rows < 1:
            raise SettingsError(f"A limit of {self.rows} rows is none: 1 or more is.")


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, and whether they are all: `is_cut` when the row limit cut some off."""

    frame: pl.DataFrame
    is_cut: bool

    def whole(self) -> pl.DataFrame:
        """The rows when they are all there are; SettingsError when some were cut off."""
        if self.is_cut:
            raise SettingsError(
                f"The query has more rows than the limit of {self.frame.height:,}: narrow it,"
                " or raise the limit."
            )
        return self.frame


class FileVanishedError(DataError):
    """A bound file has been taken away by a writer: list the files and bind again."""


class Engine:
    """A locked DuckDB over views."""

    def __init__(self, views: Mapping[str, str], files: Sequence[str], *, memory: str) -> None:
        """Make the views, each a SELECT over some of the files, then lock."""
        self._files = files
        self._memory = memory
        self._connection = duckdb.connect(":memory:", config={**_SECURE, "memory_limit": memory})
        try:
            with self._translated():
                self._prepare(views)
        except BaseException:
            self.close()
            raise

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The locked connection, to parse with."""
        return self._connection

    def close(self) -> None:
        """Give back memory."""
        self._connection.close()

    def register(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Make the frames tables of these names, instead of those that were."""
        for name, frame in frames.items():
            self._connection.register(name, frame.to_arrow())

    def unregister(self, names: Sequence[str]) -> None:
        """Forget frames."""
        for name in names:
            self._connection.unregister(name)

    def run(
        self, statement: duckdb.Statement | str, values: Sequence[object], limits: Limits
    ) -> Answer:
        """Answer a statement that has been judged, or one of our own.

        Raises SettingsError for a query that is wrong or costs too much, DataError that names a
        file which cannot be read.
        """
        given = [_value(value) for value in values]
        with self._interrupting(limits.seconds), self._translated(limits):
            relation = self._connection.sql(statement, params=given)  # pyright: ignore[reportArgumentType]
            reader = relation.to_arrow_reader(min(BATCH, limits.rows + 1))
            table = _taken(reader, limits.rows + 1)
        frame = _as_frame(table)
        return Answer(frame.head(limits.rows), frame.height > limits.rows)

    def _prepare(self, views: Mapping[str, str]) -> None:
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        for name, select in views.items():
            run(f'CREATE VIEW "{name}" AS {select}')
        run(f"SET allowed_paths = [{', '.join(map(literal, self._files))}]")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")

    @contextmanager
    def _interrupting(self, seconds: float) -> Iterator[None]:
        timer = Timer(seconds, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    @contextmanager
    def _translated(self, limits: Limits | None = None) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, pa.ArrowException, OSError) as error:  # Arrow wraps what comes late
            raise self._sentence(error, limits) from error

    def _sentence(self, error: Exception, limits: Limits | None) -> TradingPipelineError:
        said = one_line(error)
        for path in self._files:
            if path in str(error):
                return _fault_of(Path(path), said)
        if said.upper().startswith("INTERRUPT") and limits:
            return SettingsError(
                f"The query took longer than {limits.seconds:g} s: narrow it, or raise the limit."
            )
        if "Out of Memory" in said:
            return SettingsError(
                f"The query needs more memory than it may use ({self._memory}): narrow it."
            )
        if isinstance(error, (duckdb.InternalException, duckdb.FatalException)):
            return AdapterError(f"DuckDB failed: {said}.")
        return SettingsError(f"The query cannot be answered: {said}.")


_GONE = ("No files found", "No such file", ".parquet/**")
"""What DuckDB says of a file that is not there; in the last case it took it for a folder."""


def _fault_of(path: Path, said: str) -> DataError:
    if not path.exists() or any(words in said for words in _GONE):  # it may be back by now
        return FileVanishedError(f"{path} is being rewritten: ask again.")
    table, what = path.parts[-3], "session" if path.parent.name == "sessions" else "sessions of"
    return DataError(
        f"{path} cannot be read ({said}): delete it and rematerialize the"
        f" {what} {path.stem} of {table}."
    )


def _value(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_value(each) for each in value]
    if value is None or (isinstance(value, VALUES) and is_text(str(value))):
        return value
    raise SettingsError(
        f"A value for `?` cannot be {type(value).__name__}: text, numbers, dates, times, None and"
        " lists of them can."
    )


def _taken(reader: Any, rows: int) -> pa.Table:
    batches, count = [], 0
    for batch in reader:
        batches.append(batch)
        count += batch.num_rows
        if count >= rows:
            break
    return pa.Table.from_batches(batches, reader.schema)


def _as_frame(table: pa.Table) -> pl.DataFrame:
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"Two columns are named {twice[0]!r}: give one another name with AS.")
    try:
        frame = pl.from_arrow(table)
    except pl.exceptions.PolarsError as error:
        raise SettingsError(
            f"A column has a type that cannot be shown: cast it ({one_line(error)})."
        ) from error
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table makes a frame
    return frame
