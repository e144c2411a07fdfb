"""The lake: Parquet tables of market data and of what is derived from them.

A table is stored twice over, each session in exactly one valid place::

    <root>/<table>/sessions/2012-06-01.parquet   one session, sorted by symbol: the daily partition
    <root>/<table>/years/2012.parquet            many sessions, sorted by symbol and session

The root is a folder or a prefix in an S3 bucket, `s3://bucket/prefix`.

A write of 20 or more sessions of a year goes into the year file; a smaller one makes session files.
Where both hold a session, the session file is the valid one. The Parquet metadata of a file lists
the sessions it covers and the symbols (or strategies) each was written for: what was asked for and
has no row is covered too.

Every file is replaced whole: written beside its place, synced, renamed. A year write renames the
year file first and removes the session files it took in afterwards, so that a process killed at any
point leaves each session either as it was or as it shall be, never lost, and the same write done
again completes it. Writers of one year of one table wait for each other; readers wait for nobody.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date, timedelta
from itertools import groupby
from typing import Any, TypeVar

import polars as pl
from filelock import FileLock, Timeout

from trading_pipeline.adapters.lake import coverage
from trading_pipeline.adapters.lake.bucket import BucketAccess, ObjectPath, location, mirror
from trading_pipeline.adapters.lake.coverage import Names, Part, part_of
from trading_pipeline.adapters.lake.files import LakePath, ReplacedError, damage, scan, versions
from trading_pipeline.adapters.lake.layout import (
    rows_within,
    session_files,
    write_sessions,
    write_year,
    year_files,
)
from trading_pipeline.adapters.lake.tables import (
    Choice,
    collected,
    empty,
    joined,
    order_of,
    require_known,
    require_only,
)
from trading_pipeline.errors import SettingsError, TransientError

__all__ = ["YEAR_FILE_FROM", "BucketAccess", "Lake", "LakePath", "empty", "location", "mirror"]

YEAR_FILE_FROM = 20
"""Sessions of one year in one write from which they go into the year file."""

MIN, ONE_DAY = date.min, timedelta(days=1)
_READ_ATTEMPTS = 5
_AT_ONCE = 2
"""Years written side by side: each takes the memory of its rows twice over."""

_Found = TypeVar("_Found")


class Lake:
    """Parquet tables in one place, replaced session by session, whole or not at all."""

    def __init__(self, root: LakePath, *, patience: float = 60.0) -> None:
        """Name the place, made by the first write, and the seconds to wait for a writer."""
        self.root = root
        self._patience = patience

    def write(
        self,
        table: str,
        frame: pl.DataFrame,
        sessions: Iterable[date],
        *,
        symbols: Collection[str] | None = None,
        strategy: str | None = None,
    ) -> None:
        """Replace exactly these sessions of the table; a session without rows is held as empty.

        With `symbols` (in predictions, signals and target_weights with `strategy`) only their rows
        are replaced, and the sessions are held for them whether or not each has a row; rows of
        others stay. Without, the frame is all there is of these sessions.

        Raises SchemaError when the frame does not have the table's shape or has rows of others than
        those to write, SettingsError when the folder cannot be written to, TransientError when
        another process keeps writing the same year. Nothing is written before the frame has passed.
        """
        from trading_pipeline.core.schemas import validate  # heavy: on first use

        wanted = sorted(set(sessions))
        require_known(table)
        part = part_of(table, symbols, strategy)
        validate(table, frame)
        require_only(table, frame, wanted)
        part.require_only(table, frame)
        years = [list(its) for _, its in groupby(wanted, key=lambda session: session.year)]

        def write(its: list[date]) -> None:
            rows = rows_within(frame, its) if len(years) > 1 else frame
            self._write(table, rows, its, part)

        with self.writing(table, wanted), ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(write, years))

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
        choice = Choice(symbols, columns)
        return self._again(table, lambda: self._read(table, first, last, choice))

    def held(
        self,
        table: str,
        first: date,
        last: date,
        *,
        symbols: Collection[str] | None = None,
        strategy: str | None = None,
    ) -> set[date]:
        """Return the sessions of first…last that are held, those held as empty included.

        With `symbols` or `strategy`, those that were written for all of them. Raises DataError that
        names a file which cannot be read.
        """
        part = part_of(table, symbols, strategy)
        if part.names is None:
            return self._again(table, lambda: self._sessions(table, first, last))
        covered = self._again(table, lambda: self._covered(table, first, last))
        return {session for session, names in covered.items() if part.is_covered_by(names)}

    @contextmanager
    def writing(self, table: str, sessions: Iterable[date]) -> Iterator[None]:
        """Keep other writers of these sessions' years out, so that what is read stays as it is.

        Writes by the same thread go ahead. Raises as `write` does.
        """
        with ExitStack() as held:
            for year in sorted({session.year for session in sessions}):
                held.enter_context(self._writing(table, year))
            yield

    def compact(self, table: str, before: date) -> int:
        """Take the session files of sessions before a day into their year files, as they are.

        Returns how many; raises as `write` does. What is held, and for whom, stays the same.
        """
        require_known(table)
        taken = 0
        for year in sorted({day.year for day in session_files(self.root, table, MIN, before)}):
            first, last = date(year, 1, 1), min(date(year, 12, 31), before - ONE_DAY)
            with self._writing(table, year):
                own = session_files(self.root, table, first, last)
                covered = {day: coverage.of_session_file(path) for day, path in own.items()}
                if covered:
                    rows = self._read(table, first, last, Choice())
                    mine = rows.filter(pl.col("session").is_in(list(covered)))
                    write_year(self.root, table, mine, covered)
            taken += len(covered)
        return taken

    def _again(self, table: str, look: Callable[[], _Found]) -> _Found:
        """Look once more when a file was just taken into a year, or replaced in a bucket."""
        for _ in range(_READ_ATTEMPTS):
            try:
                return look()
            except FileNotFoundError:
                continue
        raise TransientError(f"{self.root / table} is being rewritten faster than it can be read.")

    def _read(self, table: str, first: date, last: date, choice: Choice) -> pl.DataFrame:
        # Session files are listed before year files are opened: the order in which a year write
        # makes its rows visible, so that no session falls between the two.
        own = session_files(self.root, table, first, last)
        single = first == last and first in own
        years = [] if single else year_files(self.root, table, first, last)
        asked = pl.col("session").is_between(first, last) & ~pl.col("session").is_in(list(own))
        parts = [scan(path).filter(asked) for path in years]
        paths = [*own.values(), *years]
        if own:
            parts.append(scan(list(own.values())))
        if not parts:
            parts.append(empty(table).lazy())
        before = versions(paths)
        try:
            found = collected(table, parts, choice)
        except FileNotFoundError:
            raise
        except (pl.exceptions.PolarsError, OSError) as error:
            if versions(paths) != before:
                raise ReplacedError from error
            raise damage(table, paths, error) from error
        if versions(paths) != before:
            raise ReplacedError
        return found

    def _sessions(self, table: str, first: date, last: date) -> set[date]:
        found = set(session_files(self.root, table, first, last))
        for path in year_files(self.root, table, first, last):
            found.update(day for day in coverage.of_year_file(path) if first <= day <= last)
        return found

    def _covered(self, table: str, first: date, last: date) -> dict[date, Names]:
        """The sessions held, and for which names each; the files in the order of `_read`."""
        own = session_files(self.root, table, first, last)
        found = {session: coverage.of_session_file(path) for session, path in own.items()}
        if first == last and found:
            return found
        for path in year_files(self.root, table, first, last):
            for session, names in coverage.of_year_file(path).items():
                if first <= session <= last:
                    found.setdefault(session, names)
        return found

    def _write(self, table: str, rows: pl.DataFrame, sessions: list[date], part: Part) -> None:
        """Write sessions of one year, the rows they keep among them."""
        covered = dict.fromkeys(sessions, part.recorded)
        if part.names is not None:
            before = self._covered(table, sessions[0], sessions[-1])
            kept = {day for day in sessions if day in before and not part.is_all_of(before[day])}
            covered |= {day: part.recorded | before[day] for day in kept}
            if kept:
                rows = self._with_others(table, rows, kept, part)
        if len(sessions) >= YEAR_FILE_FROM:
            write_year(self.root, table, rows, covered)
        else:
            write_sessions(self.root, table, rows.sort(order_of(rows.columns)), covered)

    def _with_others(
        self, table: str, rows: pl.DataFrame, sessions: set[date], part: Part
    ) -> pl.DataFrame:
        """Add to `rows` those of the sessions that this part does not replace."""
        held = self._read(table, min(sessions), max(sessions), Choice())
        others = held.filter(pl.col("session").is_in(list(sessions)), part.others())
        return joined(rows, others, f"{table} of {min(sessions)}")

    @contextmanager
    def _writing(self, table: str, year: int) -> Iterator[None]:
        """Hold the one writer's place of this year; translate what the file system refuses."""
        path = self.root / table / "locks" / f"{year}.lock"
        try:
            for folder in ("sessions", "years", "locks"):
                if not (self.root / table / folder).is_dir():
                    (self.root / table / folder).mkdir(parents=True, exist_ok=True)
            with self._locked(path):
                yield
        except Timeout:
            raise TransientError(
                f"{table} of {year} has been written by another process for {self._patience:g} s."
            ) from None
        except OSError as error:
            raise SettingsError(
                f"{self.root / table} cannot be written to: {error.strerror or error}."
            ) from error

    def _locked(self, path: LakePath) -> AbstractContextManager[Any]:
        if isinstance(path, ObjectPath):
            return path.held(self._patience)
        # A singleton, so that a thread which holds the place may take it again.
        return FileLock(path, is_singleton=True).acquire(timeout=self._patience)
