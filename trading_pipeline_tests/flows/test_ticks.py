"""Quotes in Parquet: each one once, whenever the process is killed, and the bars made of them."""

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

from trading_pipeline.adapters.catalog import Catalog
from trading_pipeline.adapters.live_store import QuoteWriter, TickQueue
from trading_pipeline.adapters.tick_files import Hour, TickFiles
from trading_pipeline.core.market.quotes import Batch, Quote
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.ticks import drain
from trading_pipeline_tests.flows.streams import Rig, quote

MINUTE = 1_795_186_800_000_000_000
"""2026-11-20 15:00 UTC in nanoseconds."""


class KilledError(BaseException):
    """As good as a kill: nothing after it is done."""


def fill(rig: Rig, *batches: Batch) -> None:
    async def work() -> None:
        writer = QuoteWriter(rig.link)
        assert await writer.acquire("filler") is None
        for batch in batches:
            assert await writer.write(batch)
        await writer.release()

    asyncio.run(work())


def numbered(first: int, last: int) -> Batch:
    return Batch([quote("AB"[number % 2], number) for number in range(first, last)], 1)


def numbers(files: TickFiles) -> list[float]:
    paths = sorted(files.root.glob("quotes/*/*/*.parquet"))
    frames = [pl.read_parquet(path, glob=False) for path in paths]
    return [row for frame in frames for row in frame["bid_size"].to_list()]


def test_every_quote_goes_to_a_file_once_and_leaves_redis(redis_url: str, tmp_path: Path) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    fill(rig, *(numbered(10 * k, 10 * k + 10) for k in range(7)))

    done = drain(rig.queue, files, part_rows=20)
    again = drain(rig.queue, files)

    assert (done.quotes, done.parts, done.lost, again.parts) == (70, 4, 0, 0)
    assert numbers(files) == list(range(70))
    assert rig.queue.waiting() == 0


@pytest.mark.parametrize("part", [0, 1, 2])
def test_killed_between_file_and_acknowledgment_no_quote_is_written_twice_or_lost(
    redis_url: str, tmp_path: Path, part: int
) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    fill(rig, *(numbered(10 * k, 10 * k + 10) for k in range(3)))
    placed = []

    def die() -> None:
        placed.append(1)
        if len(placed) > part:
            raise KilledError

    with pytest.raises(KilledError):
        drain(rig.queue, files, part_rows=10, placed=die)
    fill(rig, numbered(30, 40))
    drain(rig.queue, files)  # cut in other parts than before

    assert numbers(files) == list(range(40))
    assert rig.queue.waiting() == 0


def test_killed_before_the_file_everything_is_handed_out_again(
    redis_url: str, tmp_path: Path
) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    fill(rig, numbered(0, 10), numbered(10, 20))
    assert next(rig.queue.entries()).rows

    drain(rig.queue, files)

    assert numbers(files) == list(range(20))


def test_two_do_not_bring_ticks_over_at_once(redis_url: str, tmp_path: Path) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    with FileLock(tmp_path / "drain.lock"), pytest.raises(TransientError, match="Another"):
        drain(rig.queue, files)


def test_what_left_redis_before_it_was_written_is_counted(redis_url: str, tmp_path: Path) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    fill(rig, numbered(0, 10), numbered(10, 20))
    next(rig.queue.entries())
    fill(rig, numbered(20, 30), numbered(30, 40), numbered(40, 50))
    rig.redis.xtrim("trading_pipeline:quotes", maxlen=2, approximate=False)

    done = drain(rig.queue, files)
    again = drain(TickQueue(rig.link), files)

    assert (done.lost, again.lost) == (3, 0), "two had been handed out, one never was"
    assert numbers(files) == list(range(30, 50))


def test_a_stream_that_takes_too_much_memory_loses_its_oldest(redis_url: str) -> None:
    rig = Rig(redis_url)
    sizes = [10, 20_000, *[10] * 50, 5_000]

    async def work() -> None:
        writer = QuoteWriter(rig.link, megabytes=1)
        assert await writer.acquire("filler") is None
        for size in sizes:
            assert await writer.write(Batch([quote("A", number) for number in range(size)], 1))
        assert await writer.trim() == len(sizes) - rig.queue.waiting() > 1
        assert await writer.trim() == 0
        await writer.release()

    asyncio.run(work())

    kept = [len(entry.rows or ()) for entry in rig.queue.entries()]
    assert kept == sizes[-len(kept) :]
    assert len(kept) > 20


KILLED_AFTER_ITS_FIRST_FILE = """
import os, sys
from pathlib import Path
from trading_pipeline.adapters.live_store import RedisLink, TickQueue
from trading_pipeline.adapters.tick_files import TickFiles
from trading_pipeline.flows.ticks import drain
queue, files = TickQueue(RedisLink(sys.argv[1])), TickFiles(Path(sys.argv[2]))
drain(queue, files, part_rows=10, placed=lambda: os.kill(os.getpid(), 9))
"""


def test_a_process_that_is_killed_between_file_and_acknowledgment_costs_no_quote(
    redis_url: str, tmp_path: Path
) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    fill(rig, *(numbered(10 * k, 10 * k + 10) for k in range(3)))
    words = [sys.executable, "-c", KILLED_AFTER_ITS_FIRST_FILE, redis_url, tmp_path]
    assert subprocess.run(words, check=False).returncode == -9
    assert numbers(files) == list(range(10))

    drain(rig.queue, files)

    assert numbers(files) == list(range(30))


def test_minute_bars_are_made_of_sound_quotes_and_of_the_vendors_in_a_gap(
    redis_url: str, tmp_path: Path
) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    now = time.time_ns() // 60_000_000_000 * 60_000_000_000
    mids = (100.0, 104.0, 98.0, 101.0)
    quotes = [
        quote("A", at=now + k * 1_000_000_000, bid=mid - 0.5, ask=mid + 0.5)
        for k, mid in enumerate(mids)
    ]
    faulty = quote("A", at=now, bid=0.0)
    vendor = ("B", now, 1.0, 4.0, 0.5, 2.0)
    mixed = quote("B", at=now, bid=9.0, ask=9.5)
    fill(rig, Batch([*quotes, faulty, mixed], 1), Batch([vendor], 2, "bars"))

    drain(rig.queue, files)

    (path,) = files.root.glob("minute_bars/*/*.parquet")
    first, second = pl.read_parquet(path, glob=False).to_dicts()
    assert [first[name] for name in ("open", "high", "low", "close")] == [100, 104, 98, 101]
    assert (first["quotes"], first["source"], second["source"]) == (4, "quotes", "vendor")
    assert (second["open"], second["close"]) == (1, 2)
    assert first["minute"] == datetime.fromtimestamp(now / 1e9, UTC)


def test_old_days_of_quotes_go_and_their_minute_bars_stay(redis_url: str, tmp_path: Path) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    fill(rig, numbered(0, 10))
    drain(rig.queue, files)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)

    assert files.forget(tomorrow - timedelta(days=1)) == 0
    assert files.forget(tomorrow) == 1
    assert (files.size(), len(list(files.root.glob("minute_bars/*/*")))) == (0, 1)


def test_hours_go_over_midnight() -> None:
    late = Hour.of(1_795_219_200_000 - 1)
    assert (str(late.day), late.number, late.moved(1).number) == ("2026-11-20", 23, 0)
    assert str(late.moved(1).day) == "2026-11-21"


def test_a_quote_keeps_its_time_to_the_nanosecond(redis_url: str, tmp_path: Path) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path)
    told = quote("A", 1, at=MINUTE + 123_456_789, epoch=7)
    fill(rig, Batch([told], 7))

    drain(rig.queue, files)

    (path,) = files.root.glob("quotes/*/*/*.parquet")
    frame = pl.read_parquet(path, glob=False)
    assert frame["at"].dt.timestamp("ns").to_list() == [MINUTE + 123_456_789]
    assert Quote(*frame.with_columns(pl.col("at").dt.timestamp("ns")).row(0)[:8]) == told


def test_ticks_and_minute_bars_are_tables_of_the_catalog(redis_url: str, tmp_path: Path) -> None:
    rig, files = Rig(redis_url), TickFiles(tmp_path / "ticks")
    with Catalog(tmp_path / "lake", ticks=tmp_path / "ticks") as catalog:
        assert catalog.query("SELECT count(*) AS n FROM ticks").item() == 0
        fill(rig, numbered(0, 10))
        drain(rig.queue, files)
        counts = "SELECT symbol, count(*) AS n FROM ticks GROUP BY symbol ORDER BY symbol"
        bars = "SELECT DISTINCT symbol, round(open, 2) FROM minute_bars ORDER BY symbol"

        assert catalog.query(counts).rows() == [("A", 5), ("B", 5)]
        assert catalog.query(bars).rows() == [("A", 100.01), ("B", 100.01)]
