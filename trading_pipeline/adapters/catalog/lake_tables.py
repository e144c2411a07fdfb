"""The lake's tables as views over Parquet files, by the lake's own rule of which file is valid.

    <root>/<table>/sessions/2012-06-01.parquet   one session; it wins over its year file
    <root>/<table>/years/2012.parquet            many sessions, sorted by symbol and session

`raw_bars` and `corporate_actions` keep every delivery: a view of that name has the newest known
rows, one of the name with `_history` has all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow.parquet as pq
from pyarrow import ArrowException

from trading_pipeline.core.market.restatements import ACTIONS_KEY, BARS_KEY

LAKE_TABLES: Final = (
    "raw_bars",
    "corporate_actions",
    "action_checks",
    "clean_bars",
    "quarantined_bars",
    "bar_verdicts",
    "universe",
    "features",
    "predictions",
    "signals",
    "target_weights",
)
"""Those of core.schemas, whose import takes a second; a test holds the two equal."""

KEYS: Final[Mapping[str, Sequence[str]]] = {
    "raw_bars": BARS_KEY,
    "corporate_actions": ACTIONS_KEY,
}
"""Tables that keep what was known when, and what one of their rows is about."""

SAY_WHEN: Final = frozenset({*KEYS, "bar_verdicts"})
"""Tables whose rows say when they became known: those that can be read as known at a time."""

HISTORY: Final = "_history"
NAMES_IN_LAKE: Final = (*LAKE_TABLES, *(f"{name}{HISTORY}" for name in KEYS))


class File(NamedTuple):
    """A file as it was found; another one in its place differs in time or size."""

    path: str
    modified: int
    size: int

    @property
    def stem(self) -> str:
        """The session or the year it is of."""
        return Path(self.path).stem


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a table at one moment, by name."""

    sessions: tuple[File, ...]
    years: tuple[File, ...]

    def __iter__(self) -> Iterator[File]:
        return iter((*self.sessions, *self.years))


class KnownAt:
    """Remembers which files hold a single delivery: all of their rows are the newest known."""

    def __init__(self) -> None:
        self._single: dict[File, bool] = {}

    def is_single(self, file: File) -> bool:
        """Whether all rows of the file became known at one moment, by the file's statistics."""
        if file not in self._single:
            self._single[file] = _has_one_moment(file.path)
        return self._single[file]


def table_of(name: str) -> str:
    """The table of the lake that a name of the catalog reads."""
    return name.removesuffix(HISTORY)


def list_files(root: Path, table: str) -> Files:
    """Find the table's files; session files first, as a year write makes its rows visible."""
    sessions = tuple(_found(root / table / "sessions", len("2012-06-01")))
    return Files(sessions, tuple(_found(root / table / "years", len("2012"))))


def views(
    table: str, files: Files, known_at: KnownAt, until: datetime | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the name and the SELECT of each view over the files; there is at least one file.

    With `until`, of tables that say when a row became known, only the rows known then.
    """
    if until is not None and table in SAY_WHEN:
        yield from _views_until(table, files, until)
        return
    if table not in KEYS:
        yield table, _select(_parts(files))
        return
    yield f"{table}{HISTORY}", _select(_parts(files))
    single = Files(*(tuple(filter(known_at.is_single, part)) for part in _both(files)))
    mixed = Files(*(tuple(set(part) - set(single)) for part in _both(files)))
    # A row lies in one file with all that was ever known of it, so each file is judged by itself.
    newest = f" QUALIFY known_at = max(known_at) OVER (PARTITION BY {', '.join(KEYS[table])})"
    replaced = _replaced(files)
    several = [f"{part}{newest}" for part in _parts(mixed, replaced)]
    yield table, _select([*_parts(single, replaced), *several])


def _views_until(table: str, files: Files, until: datetime) -> Iterator[tuple[str, str]]:
    moment = literal(until.astimezone(UTC).isoformat())
    rows = f"SELECT * FROM ({_select(_parts(files))}) WHERE known_at <= TIMESTAMPTZ {moment}"  # noqa: S608
    if table not in KEYS:
        yield table, rows
        return
    yield f"{table}{HISTORY}", rows
    key = ", ".join(KEYS[table])
    yield table, f"{rows} QUALIFY known_at = max(known_at) OVER (PARTITION BY {key})"


def empty(table: str) -> pl.DataFrame:
    """The table without rows; features with the columns of the present feature list."""
    # heavy: on first use
    from trading_pipeline.core.features.alpha158 import NAMES  # noqa: PLC0415
    from trading_pipeline.core.schemas import TABLES

    columns = TABLES[table].to_schema().columns
    schema = {name: column.dtype.type for name, column in columns.items() if not column.regex}
    if table == "features":
        schema |= dict.fromkeys(NAMES, pl.Float32)
    return pl.DataFrame(schema=schema)


def literal(text: str) -> str:
    """The text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _found(folder: Path, length: int) -> Iterator[File]:
    paths = folder.iterdir() if folder.is_dir() else ()
    for path in sorted(path for path in paths if path.suffix == ".parquet"):
        if len(path.stem) == length and path.stem.replace("-", "").isdecimal():
            try:
                found = path.stat()
            except FileNotFoundError:  # a year write has just taken it in
                continue
            yield File(str(path), found.st_mtime_ns, found.st_size)


def _both(files: Files) -> tuple[tuple[File, ...], tuple[File, ...]]:
    return files.sessions, files.years


def _replaced(files: Files) -> dict[str, list[date]]:
    """The sessions that have a file of their own, by year."""
    by_year: dict[str, list[date]] = {}
    for file in files.sessions:
        by_year.setdefault(file.stem[:4], []).append(date.fromisoformat(file.stem))
    return by_year


def _parts(files: Files, replaced: Mapping[str, list[date]] | None = None) -> Iterator[str]:
    """SELECTs that together have each session once: whole files, then years less some sessions."""
    without = _replaced(files) if replaced is None else replaced
    whole = [file for file in files.years if file.stem not in without]
    for group in (files.sessions, whole):
        if group:
            yield _scan(group)
    for file in files.years:
        if file.stem in without:
            days = ", ".join(f"DATE '{day}'" for day in without[file.stem])
            yield f"{_scan([file])} WHERE session NOT IN ({days})"


def _scan(files: Sequence[File]) -> str:
    listed = ", ".join(literal(file.path) for file in files)
    return f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false)"  # noqa: S608


def _select(parts: Iterator[str] | Sequence[str]) -> str:
    return " UNION ALL BY NAME ".join(f"({part})" for part in parts)


def _has_one_moment(path: str) -> bool:
    try:
        metadata = pq.read_metadata(path)
    except (OSError, ArrowException):  # whoever reads its rows will say that it is damaged
        return False
    if "known_at" not in metadata.schema.names:
        return False
    index = metadata.schema.names.index("known_at")
    groups = [metadata.row_group(number).column(index) for number in range(metadata.num_row_groups)]
    bounds = [group.statistics for group in groups]
    if any(found is None or not found.has_min_max for found in bounds):
        return False
    return len({moment for found in bounds for moment in (found.min, found.max)}) <= 1
