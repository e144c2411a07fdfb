"""Bring quotes from the stream into Parquet: each one once, whenever the process is killed.

Entries are read into parts of an hour; a part is renamed into its place and only then
acknowledged. Killed between the two, the next one is handed those entries again, sees by the name
of the newest part that they are written, and only acknowledges them.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import polars as pl
from filelock import FileLock, Timeout

from trading_pipeline.adapters.live_store import Entry, TickQueue
from trading_pipeline.adapters.tick_files import Hour, TickFiles, ordinal
from trading_pipeline.core.market.minute_bars import minute_bars, ticks_of, vendor_bars_of
from trading_pipeline.errors import TransientError

_log = logging.getLogger(__name__)

PART_ROWS: Final = 500_000
"""Quotes of a part at most."""


@dataclass(slots=True)
class Drained:
    """What was brought over: quotes, gap bars, parts, and entries that were lost before."""

    quotes: int = 0
    bars: int = 0
    parts: int = 0
    lost: int = 0
    hours: set[Hour] = field(default_factory=set[Hour])


def drain(
    queue: TickQueue,
    files: TickFiles,
    *,
    part_rows: int = PART_ROWS,
    placed: Callable[[], None] = lambda: None,
) -> Drained:
    """Write everything the stream holds, and remake the minute bars of the hours it touches.

    One process at a time: TransientError while another one does it. `placed` is called between a
    part's rename and its acknowledgment.
    """
    files.root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(files.root / "drain.lock", timeout=0):
            drain = _Drain(queue, files, placed)
            for part in _parts(queue.entries(), part_rows):
                drain.write(part)
            drain.done.lost += queue.missed
            for hour in sorted(drain.done.hours):
                _bars(files, hour)
    except Timeout as error:
        raise TransientError("Another process is bringing ticks over.") from error
    done = drain.done
    if done.parts:
        counts = {"quotes": done.quotes, "parts": done.parts, "lost": done.lost}
        _log.info("ticks written", extra=counts)
    return done


class _Drain:
    """One draining: what it has done, and the last entry that is in a file."""

    def __init__(self, queue: TickQueue, files: TickFiles, placed: Callable[[], None]) -> None:
        self._queue, self._files, self._placed = queue, files, placed
        self._written = ordinal(files.last_id)
        self.done = Drained()

    def write(self, part: list[Entry]) -> None:
        """Put a part in its place, then acknowledge its entries."""
        new = [entry for entry in part if ordinal(entry.id) > self._written]
        rows = [row for entry in new for row in entry.rows or ()]
        self.done.lost += sum(entry.rows is None for entry in new)
        if rows:
            self._place(new, rows)
            self._placed()
        self._queue.acknowledge([entry.id for entry in part])

    def _place(self, entries: list[Entry], rows: list[list[Any]]) -> None:
        (hour, kind), span = _shelf(entries[0]), (entries[0].id, entries[-1].id)
        if kind == "bars":
            self._files.write_gap(hour, span, vendor_bars_of(rows))
            self.done.bars += len(rows)
        else:
            self._files.write(hour, span, ticks_of(rows))
            self.done.quotes += len(rows)
        self._written = ordinal(span[1])
        self.done.parts += 1
        self.done.hours.add(hour)


def _parts(entries: Iterator[Entry], rows: int) -> Iterator[list[Entry]]:
    """Cut the entries into parts of one hour and one kind."""
    part: list[Entry] = []
    count = 0
    for entry in entries:
        if part and (count >= rows or _shelf(entry) != _shelf(part[-1])):
            yield part
            part, count = [], 0
        part.append(entry)
        count += len(entry.rows or ())
    if part:
        yield part


def _shelf(entry: Entry) -> tuple[Hour, str]:
    return Hour.of(entry.milliseconds), entry.kind


def _bars(files: TickFiles, touched: Hour) -> None:
    """Remake the bars of an hour and of the one before, of which quotes may have come late."""
    for hour in (touched.moved(-1), touched):
        begins = hour.begins_at
        inside = pl.lit(begins), pl.lit(begins + timedelta(hours=1))
        arrived = pl.concat([files.quotes(hour), files.quotes(hour.moved(1))])
        among = pl.col("at").is_between(*inside, closed="left")
        gaps = files.gaps(hour.day).filter(pl.col("minute").is_between(*inside, closed="left"))
        bars = minute_bars(arrived.filter(among), gaps)
        if not bars.is_empty():
            files.write_bars(hour, bars)
