"""The lake: Parquet tables of market data and of what is derived from them.

A table is stored twice over, each session in exactly one valid place::

    <root>/<table>/sessions/2012-06-01.parquet   one session, sorted by symbol: the daily partition
    <root>/<table>/years/2012.parquet            many sessions, sorted by symbol and session

A write of 20 or more sessions of a year goes into the year file, whose Parquet metadata lists the
sessions it covers (a session without rows is covered too); a smaller one makes session files. Where
both hold a session, the session file is the valid one.

Every file is replaced whole: written beside its place, synced, renamed. A year write renames the
year file first and removes the session files it took in afterwards, so that a process killed at any
point leaves each session either as it was or as it shall be, never lost, and the same write done
again completes it. Writers of one year of one table wait for each other; readers wait for nobody.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import polars as pl
from filelock import FileLock, Timeout

from trading_pipeline.core.features.alpha158 import NAMES
from trading_pipeline.errors import DataError, SchemaError, SettingsError, TransientError

YEAR_FILE_FROM = 20
"""Sessions of one year in one write from which they go into the year file."""

_COVERED = "sessions"
_ORDER = ("session", "symbol", "strategy", "ex_date", "kind", "known_at")
_READ_ATTEMPTS = 5


class _Choice(NamedTuple):
    """What of a range is read; None is all of it."""

    symbols: Sequence[str] | None
    columns: Sequence[str] | None


class Lake:
    """Parquet tables under one folder, replaced session by session, whole or not at all."""

    def __init__(self, root: Path, *, patience: float = 60.0) -> None:
        """Name the folder, which the first write makes, and the seconds to wait for a writer."""
        self.root = root
        self._patience = patience

    def write(self, table: str, frame: pl.DataFrame, sessions: Iterable[date]) -> None:
        """Replace exactly these sessions of the table; a session without rows is held as empty.

        Raises SchemaError when the frame does not have the table's shape or has rows of other
        sessions, SettingsError when the folder cannot be written to, TransientError when another
        process keeps writing the same year. Nothing is written before the frame has passed.
        """
        from trading_pipeline.core.schemas import validate  # heavy: on first use

        wanted = sorted(set(sessions))
        _require_known(table)
        validate(table, frame)
        _require_only(table, frame, wanted)
        ordered = frame.sort(_order(frame.columns))
        for year, group in groupby(wanted, key=lambda session: session.year):
            its = list(group)
            part = ordered.filter(pl.col("session").is_between(its[0], its[-1]))
            with self._writing(table, year):
                if len(its) >= YEAR_FILE_FROM:
                    self._write_year(table, year, part, its)
                else:
                    self._write_sessions(table, part, its)

    def read(
        self,
        table: str,
        first: date,
        last: date,
        *,
        symbols: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return the rows of first…last, both included, sorted by session and symbol.

        The frame has the table's columns (or `columns`, in that order) also when it has no rows.
        Raises DataError that names a file which cannot be read, SchemaError for a column that the
        table does not have.
        """
        for _ in range(_READ_ATTEMPTS):
            try:
                return self._read(table, first, last, _Choice(symbols, columns))
            except FileNotFoundError:  # a year write has just taken a session file in
                continue
        raise TransientError(f"{self.root / table} is being rewritten faster than it can be read.")

    def held(self, table: str, first: date, last: date) -> set[date]:
        """Return the sessions of first…last that are held, those held as empty included."""
        found = set(self._session_files(table, first, last))
        for path in self._year_files(table, first, last):
            found.update(session for session in _covered(path) if first <= session <= last)
        return found

    def _read(self, table: str, first: date, last: date, choice: _Choice) -> pl.DataFrame:
        # Session files are listed before year files are opened: the order in which a year write
        # makes its rows visible, so that no session falls between the two.
        own = self._session_files(table, first, last)
        single = first == last and first in own
        years = [] if single else self._year_files(table, first, last)
        asked = pl.col("session").is_between(first, last) & ~pl.col("session").is_in(list(own))
        parts = [_scan(path).filter(asked) for path in years]
        paths = [*own.values(), *years]
        if own:
            parts.append(_scan(list(own.values())))
        if not parts:
            parts.append(empty(table).lazy())
        try:
            return _collect(table, parts, choice)
        except FileNotFoundError:
            raise
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _damage(table, paths, error) from error

    def _session_files(self, table: str, first: date, last: date) -> dict[date, Path]:
        folder = self.root / table / "sessions"
        if first == last:
            path = folder / f"{first}.parquet"
            return {first: path} if path.exists() else {}
        low, high = f"{first}.parquet", f"{last}.parquet"
        paths = folder.iterdir() if folder.is_dir() else ()
        own = sorted(path for path in paths if low <= path.name <= high and _is_own(path))
        return {date.fromisoformat(path.stem): path for path in own}

    def _year_files(self, table: str, first: date, last: date) -> list[Path]:
        folder = self.root / table / "years"
        paths = (folder / f"{year}.parquet" for year in range(first.year, last.year + 1))
        return [path for path in paths if path.exists()]

    def _write_sessions(self, table: str, rows: pl.DataFrame, sessions: list[date]) -> None:
        for session in sessions:
            own = rows.filter(pl.col("session") == session)
            _replace(self.root / table / "sessions" / f"{session}.parquet", own, {})
        _sync(self.root / table / "sessions")

    def _write_year(self, table: str, year: int, rows: pl.DataFrame, sessions: list[date]) -> None:
        path = self.root / table / "years" / f"{year}.parquet"
        covered = _covered(path) if path.exists() else set[date]()
        if others := covered - set(sessions):
            rows = _joined(path, rows, others)
        listed = ",".join(str(session) for session in sorted(covered | set(sessions)))
        order = ["symbol", *(name for name in _order(rows.columns) if name != "symbol")]
        _replace(path, rows.sort(order), {_COVERED: listed})
        _sync(path.parent)
        own = self._session_files(table, sessions[0], sessions[-1])
        if taken_in := set(sessions) & own.keys():
            for session in taken_in:
                own[session].unlink()
            _sync(self.root / table / "sessions")

    @contextmanager
    def _writing(self, table: str, year: int) -> Iterator[None]:
        """Hold the one writer's place of this year; translate what the file system refuses."""
        lock = self.root / table / "locks" / f"{year}.lock"
        try:
            for folder in ("sessions", "years", "locks"):
                (self.root / table / folder).mkdir(parents=True, exist_ok=True)
            with FileLock(lock, timeout=self._patience):
                yield
        except Timeout:
            raise TransientError(
                f"{table} of {year} has been written by another process for {self._patience:g} s."
            ) from None
        except OSError as error:
            raise SettingsError(
                f"{self.root / table} cannot be written to: {error.strerror or error}."
            ) from error


def empty(table: str) -> pl.DataFrame:
    """Return the table without rows; `features` with the columns of the present feature list."""
    from trading_pipeline.core.schemas import TABLES  # heavy: on first use

    _require_known(table)
    columns = TABLES[table].to_schema().columns
    schema = {name: column.dtype.type for name, column in columns.items() if not column.regex}
    if table == "features":
        schema |= dict.fromkeys(NAMES, pl.Float32)
    return pl.DataFrame(schema=schema)


def _require_known(table: str) -> None:
    from trading_pipeline.core.schemas import TABLES  # heavy: on first use

    if table not in TABLES:
        raise SettingsError(f"{table} is no table of the lake: those are {', '.join(TABLES)}.")


def _require_only(table: str, frame: pl.DataFrame, sessions: list[date]) -> None:
    strays = frame.filter(~pl.col("session").is_in(sessions))["session"]
    if len(strays):
        raise SchemaError(
            f"{table} has {len(strays)} rows outside the sessions to write, the first of"
            f" {strays.min()}."
        )


def _order(columns: Iterable[str]) -> list[str]:
    present = set(columns)
    return [name for name in _ORDER if name in present]


def _is_own(path: Path) -> bool:
    return path.suffix == ".parquet" and len(path.stem) == len("2012-06-01")


def _scan(source: Path | list[Path]) -> pl.LazyFrame:
    # glob=False: a folder's name may hold the characters of a pattern.
    return pl.scan_parquet(source, glob=False, hive_partitioning=False)


def _collect(table: str, parts: list[pl.LazyFrame], choice: _Choice) -> pl.DataFrame:
    names = parts[0].collect_schema().names()
    wanted = list(names if choice.columns is None else choice.columns)
    if unknown := [name for name in wanted if name not in names]:
        raise SchemaError(f"{table} has no column {unknown[0]}: it has {', '.join(names[:12])}.")
    order = _order(names)
    needed = [*wanted, *(name for name in order if name not in wanted)]
    chosen = [part.select(needed) for part in parts]
    if choice.symbols is not None:
        among = pl.col("symbol").is_in(list(choice.symbols))
        chosen = [part.filter(among) for part in chosen]
    return pl.concat(pl.collect_all(chosen)).sort(order, maintain_order=True).select(wanted)


def _joined(path: Path, rows: pl.DataFrame, others: set[date]) -> pl.DataFrame:
    """Add to `rows` the year file's rows of the other sessions."""
    try:
        held = _scan(path).filter(pl.col("session").is_in(list(others))).collect()
    except pl.exceptions.PolarsError as error:
        raise _damage(path.parts[-3], [path], error) from error
    if held.schema != rows.schema:
        raise SchemaError(
            f"{path} has other columns than the rows to add: write all of its sessions at once."
        )
    return pl.concat([rows, held])


def _covered(path: Path) -> set[date]:
    try:
        listed = pl.read_parquet_metadata(path).get(_COVERED, "")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damage(path.parts[-3], [path], error) from error
    return {date.fromisoformat(text) for text in listed.split(",") if text}


def _damage(table: str, paths: list[Path], error: Exception) -> DataError:
    """Find the file that cannot be read, or that is shaped unlike the others."""
    for path in paths:
        try:
            pl.read_parquet(path, glob=False)
        except FileNotFoundError:
            continue
        except (pl.exceptions.PolarsError, OSError) as fault:
            what = "session" if path.parent.name == "sessions" else "sessions of"
            return DataError(
                f"{path} is damaged ({_first_line(fault)}): delete it and rematerialize the"
                f" {what} {path.stem} of {table}."
            )
    return DataError(
        f"{table} holds files of different shapes ({_first_line(error)}): rematerialize"
        f" the sessions from {paths[0].stem} to {paths[-1].stem}."
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:120]


def _replace(path: Path, frame: pl.DataFrame, metadata: dict[str, str]) -> None:
    """Put the frame in the file's place in one step; the caller syncs the folder."""
    beside = path.with_name(f"{path.name}.tmp")
    with beside.open("wb") as file:
        frame.write_parquet(file, compression="zstd", metadata=metadata)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _sync(folder: Path) -> None:
    """Make renames and removals in the folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
