"""Live quotes and minute bars as tables, over the files they are drained into.

<ticks>/quotes/2026-11-20/14/<first id>_<last id>.parquet
<ticks>/minute_bars/2026-11-20/14.parquet
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from trading_pipeline.adapters.catalog.lake_tables import File, Files
from trading_pipeline.core.market.minute_bars import BARS, TICKS

_PLACES: Final = {"ticks": "quotes/*/*/*_*.parquet", "minute_bars": "minute_bars/*/*.parquet"}
_SCHEMAS: Final = {"ticks": TICKS, "minute_bars": BARS}

TICK_TABLES: Final = tuple(_PLACES)


def list_parts(root: Path | None, table: str) -> Files:
    """Find the table's parts; none without a folder. They hold each row once, as years do."""
    return Files((), tuple(_found(root, _PLACES[table])) if root else ())


def without_rows(table: str) -> pl.DataFrame:
    """The table without rows."""
    return pl.DataFrame(schema=_SCHEMAS[table])


def columns_of(table: str) -> list[str]:
    """The columns of the table."""
    return list(_SCHEMAS[table])


def _found(root: Path, pattern: str) -> Iterator[File]:
    for path in sorted(root.glob(pattern)):
        try:
            found = path.stat()
        except FileNotFoundError:  # its day has just been forgotten
            continue
        yield File(str(path), found.st_mtime_ns, found.st_size)
