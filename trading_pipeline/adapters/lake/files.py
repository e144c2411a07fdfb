"""The Parquet files of the lake: replaced whole, read by path, named when damaged."""

import os
from pathlib import Path

import polars as pl

from trading_pipeline.errors import DataError


def scan(source: Path | list[Path]) -> pl.LazyFrame:
    """Scan files by path: a folder's name may hold the characters of a pattern."""
    return pl.scan_parquet(source, glob=False, hive_partitioning=False)


def replace(path: Path, frame: pl.DataFrame, metadata: dict[str, str]) -> None:
    """Put the frame in the file's place in one step; the caller syncs the folder."""
    beside = path.with_name(f"{path.name}.tmp")
    with beside.open("wb") as file:
        frame.write_parquet(file, compression="zstd", metadata=metadata)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def sync(folder: Path) -> None:
    """Make renames and removals in the folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def damage(table: str, paths: list[Path], error: Exception) -> DataError:
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
