"""Which files a table has, and how sessions are put into them."""

from collections.abc import Collection
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import coverage
from trading_pipeline.adapters.lake.coverage import Names
from trading_pipeline.adapters.lake.files import LakePath, damage, replace, scan, sync
from trading_pipeline.adapters.lake.tables import joined, order_of


def session_files(root: LakePath, table: str, first: date, last: date) -> dict[date, LakePath]:
    """The sessions of first…last that have a file of their own, oldest first."""
    folder = root / table / "sessions"
    if first == last:
        path = folder / f"{first}.parquet"
        return {first: path} if path.exists() else {}
    low, high = f"{first}.parquet", f"{last}.parquet"
    paths = folder.iterdir() if folder.is_dir() else ()
    own = sorted(path for path in paths if low <= path.name <= high and _is_own(path))
    return {date.fromisoformat(path.stem): path for path in own}


def year_files(root: LakePath, table: str, first: date, last: date) -> list[LakePath]:
    """The year files that may hold sessions of first…last."""
    folder = root / table / "years"
    paths = (folder / f"{year}.parquet" for year in range(first.year, last.year + 1))
    return [path for path in paths if path.exists()]


def write_sessions(
    root: LakePath, table: str, rows: pl.DataFrame, covered: dict[date, Names]
) -> None:
    """Give each session a file of its own."""
    folder = root / table / "sessions"
    for session, names in covered.items():
        own = rows_within(rows, [session])
        replace(folder / f"{session}.parquet", own, coverage.session_metadata(names))
    sync(folder)


def write_year(root: LakePath, table: str, rows: pl.DataFrame, covered: dict[date, Names]) -> None:
    """Put sessions of one year into its file, then remove the session files that were taken in."""
    first, last = min(covered), max(covered)
    path = root / table / "years" / f"{first.year}.parquet"
    before = coverage.of_year_file(path) if path.exists() else dict[date, Names]()
    if before.keys() - covered.keys():
        rows = joined(rows, _other_sessions(table, path, covered), str(path))
    order = ["symbol", *(name for name in order_of(rows.columns) if name != "symbol")]
    replace(path, rows.sort(order), coverage.year_metadata(before | covered))
    sync(path.parent)
    own = session_files(root, table, first, last)
    if taken_in := covered.keys() & own.keys():
        for session in taken_in:
            own[session].unlink()
        sync(root / table / "sessions")


def rows_within(rows: pl.DataFrame, sessions: list[date]) -> pl.DataFrame:
    """The rows from the first of the sessions to the last."""
    if rows.is_empty():
        return rows
    return rows.filter(pl.col("session").is_between(sessions[0], sessions[-1]))


def _is_own(path: LakePath) -> bool:
    return path.suffix == ".parquet" and len(path.stem) == len("2012-06-01")


def _other_sessions(table: str, path: LakePath, sessions: Collection[date]) -> pl.DataFrame:
    """The rows of the year file's other sessions."""
    try:
        return scan(path).filter(~pl.col("session").is_in(list(sessions))).collect()
    except pl.exceptions.PolarsError as error:
        raise damage(table, [path], error) from error
