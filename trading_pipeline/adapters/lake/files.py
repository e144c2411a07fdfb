"""The Parquet files of the lake: replaced whole, read by path, named when damaged."""

import os
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import polars as pl

from trading_pipeline.adapters.lake.bucket import ObjectPath
from trading_pipeline.errors import DataError

LakePath = Path | ObjectPath
"""A file of the lake, in a folder or in a bucket."""


def scan(source: LakePath | Sequence[LakePath]) -> pl.LazyFrame:
    """Scan files by path: a folder's name may hold the characters of a pattern."""
    paths = source if isinstance(source, Sequence) else [source]
    return pl.scan_parquet(
        [str(path) for path in paths],
        glob=False,
        hive_partitioning=False,
        storage_options=options_of(paths[0]),
    )


def options_of(path: LakePath) -> dict[str, str] | None:
    """How polars reaches what does not lie in a folder."""
    return path.options if isinstance(path, ObjectPath) else None


class ReplacedError(FileNotFoundError):
    """Another file has the place of one that was being read."""


def versions(paths: Sequence[LakePath]) -> dict[str, str]:
    """What tells the objects of a bucket from those that are put in their places.

    They are read in several requests, and a replacement may come between two of them. A file of a
    folder stays what it is while it is open, and needs none.
    """
    objects = {path.key: path for path in paths if isinstance(path, ObjectPath)}
    if len(objects) == 1:
        return {key: path.tag() for key, path in objects.items()}
    folders = {path.parent.key: path.parent for path in objects.values()}
    tags = {key: tag for folder in folders.values() for key, tag in folder.tags().items()}
    return {key: tags.get(key, "") for key in objects}


def replace(path: LakePath, frame: pl.DataFrame, metadata: dict[str, str]) -> None:
    """Put the frame in the file's place in one step; the caller syncs the folder."""
    content = BytesIO()  # written in one piece: polars would hide what the file system says
    frame.write_parquet(content, compression="zstd", metadata=metadata)
    if isinstance(path, ObjectPath):
        path.write(content.getvalue())
        return
    beside = path.with_name(f"{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def sync(folder: LakePath) -> None:
    """Make renames and removals in the folder survive a loss of power."""
    if isinstance(folder, ObjectPath):
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def damage(table: str, paths: list[LakePath], error: Exception) -> DataError:
    """Find the file that cannot be read, or that is shaped unlike the others."""
    for path in paths:
        try:
            scan(path).collect()
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
