"""Quotes in Parquet, by the hour they arrived in, and the minute bars made of them.

    <root>/quotes/2026-11-20/14/<first id>_<last id>.parquet    parts, each written once
    <root>/gaps/2026-11-20/<first id>_<last id>.parquet         minute bars that fill gaps
    <root>/minute_bars/2026-11-20/14.parquet                    replaced when its hour has changed

A part is in place whole or not at all, and its name says which entries of the stream it holds: that
is how a consumer that was killed knows what it has written. Hours are UTC.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from trading_pipeline.core.market.minute_bars import BARS, TICKS


class Hour(NamedTuple):
    """An hour of a UTC day."""

    day: date
    number: int

    @classmethod
    def of(cls, milliseconds: int) -> "Hour":
        """The hour of a moment, in milliseconds since 1970."""
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
        return cls(moment.date(), moment.hour)

    @property
    def begins_at(self) -> datetime:
        """Its first moment."""
        return datetime(self.day.year, self.day.month, self.day.day, self.number, tzinfo=UTC)

    def moved(self, hours: int) -> "Hour":
        """The hour so many hours later."""
        moment = self.begins_at + timedelta(hours=hours)
        return Hour(moment.date(), moment.hour)


class TickFiles:
    """The folder of ticks; for one writer at a time."""

    def __init__(self, root: Path) -> None:
        """Name the folder; the first write makes it."""
        self.root = root

    @property
    def last_id(self) -> str:
        """The last entry that is in place; `0-0` before the first."""
        newest = "0-0"
        for kind in ("quotes", "gaps"):
            names = (
                path.stem.partition("_")[2] for path in self.root.glob(f"{kind}/*/**/*_*.parquet")
            )
            newest = max([newest, *names], key=ordinal)
        return newest

    def write(self, hour: Hour, span: tuple[str, str], ticks: pl.DataFrame) -> Path:
        """Put a part of quotes (TICKS) in place; `span` is its first and last entry."""
        folder = self.root / "quotes" / str(hour.day) / f"{hour.number:02d}"
        return _place(ticks, folder / f"{span[0]}_{span[1]}.parquet")

    def write_gap(self, hour: Hour, span: tuple[str, str], bars: pl.DataFrame) -> Path:
        """Put minute bars of a gap (BARS) in place."""
        return _place(bars, self.root / "gaps" / str(hour.day) / f"{span[0]}_{span[1]}.parquet")

    def write_bars(self, hour: Hour, bars: pl.DataFrame) -> Path:
        """Put the minute bars of an hour in place, instead of those there were."""
        folder = self.root / "minute_bars" / str(hour.day)
        return _place(bars, folder / f"{hour.number:02d}.parquet")

    def quotes(self, hour: Hour) -> pl.LazyFrame:
        """The quotes that arrived in an hour, in order of arrival."""
        folder = self.root / "quotes" / str(hour.day) / f"{hour.number:02d}"
        parts = sorted(
            folder.glob("*.parquet"), key=lambda path: ordinal(path.stem.partition("_")[0])
        )
        if not parts:
            return pl.LazyFrame(schema=TICKS)
        return pl.scan_parquet(parts, glob=False, hive_partitioning=False)

    def gaps(self, day: date) -> pl.DataFrame:
        """The minute bars of the day's gaps, in the order they were fetched."""
        parts = sorted(
            (self.root / "gaps" / str(day)).glob("*.parquet"),
            key=lambda path: ordinal(path.stem.partition("_")[0]),
        )
        frames = [pl.read_parquet(path, glob=False) for path in parts]
        return pl.concat([pl.DataFrame(schema=BARS), *frames])

    def forget(self, before: date) -> int:
        """Delete the quotes of days before; return how many days. Minute bars stay."""
        gone = [folder for folder in self._days("quotes") if folder.name < str(before)]
        for folder in gone:
            shutil.rmtree(folder)
        return len(gone)

    def size(self) -> int:
        """Bytes of all quotes."""
        return sum(path.stat().st_size for path in self.root.glob("quotes/*/*/*.parquet"))

    def _days(self, kind: str) -> Iterator[Path]:
        folder = self.root / kind
        return (path for path in folder.iterdir()) if folder.is_dir() else iter(())


def ordinal(entry_id: str) -> tuple[int, int]:
    """Where an entry's id `<milliseconds>-<number>` stands in the order of arrival."""
    stamp, _, number = entry_id.partition("-")
    return int(stamp), int(number)


def _place(frame: pl.DataFrame, path: Path) -> Path:
    """Write beside, then rename: in its place the file is whole, also after a loss of power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    with beside.open("wb") as file:
        frame.write_parquet(file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return path
