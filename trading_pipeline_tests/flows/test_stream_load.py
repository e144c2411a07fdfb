"""The stream holds its pace: every quote in order, quickly, without growing."""

from pathlib import Path
from typing import Any

import msgpack
import polars as pl
import pytest
from redis import Redis

from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline.adapters.tick_files import ordinal
from trading_pipeline_tests.alpaca_twin.flood import names
from trading_pipeline_tests.flows.load import Load, Other, bear, hundred_positions

MEGABYTE = 1_000_000
FULL = pytest.mark.soak


def rows(url: str) -> list[list[Any]]:
    """Every quote in the stream, in order."""
    found, after, redis = [], "-", Redis.from_url(url)
    while entries := redis.xrange("trading_pipeline:quotes", min=after, count=2_000):
        found += [row for _, fields in entries for row in msgpack.unpackb(fields[b"rows"])]
        after = f"({entries[-1][0].decode()}"
    return found


@pytest.mark.parametrize(
    ("load", "limit"),
    [
        (Load(rate=5_000, seconds=0.5), 1.0),
        pytest.param(Load(rate=10_000, seconds=60), 0.060, marks=FULL),
        pytest.param(Load(rate=40_000, seconds=20, reader="fast"), 0.100, marks=FULL),
    ],
    ids=["small", "alpaca-10000-60s", "fast-40000-20s"],
)
def test_no_quote_is_lost_or_late_or_out_of_order(redis_url: str, load: Load, limit: float) -> None:
    found = bear(redis_url, load)
    print(found)

    kept = rows(redis_url)
    assert found.sent == found.written == int(load.rate * load.seconds)
    assert found.overflow == 0
    assert [row[4] for row in kept] == list(range(found.sent))
    last = {row[0]: tuple(row) for row in kept[-load.symbols :]}
    assert QuoteStore(RedisLink(redis_url)).latest(names(load.symbols)) == last
    assert found.p99 < limit


@FULL
def test_a_quote_is_in_the_live_pnl_of_100_positions_within_100_ms(
    redis_url: str, tmp_path: Path
) -> None:
    ledger_url = hundred_positions(tmp_path, names(100))
    looker = Other("look", redis_url, ledger_url, 16)

    bear(redis_url, Load(rate=10_000, seconds=20, symbols=100))

    found = looker.found()
    print(found)
    assert found["looks"] > 100
    assert found["p99"] < 0.100


@pytest.mark.parametrize(
    ("seconds", "every"),
    [(0.6, 0.2), pytest.param(600, 60, marks=FULL)],
    ids=["small", "ten-minutes"],
)
def test_quotes_go_on_to_files_meanwhile_and_ten_minutes_take_no_more_memory_than_one(
    redis_url: str, tmp_path: Path, seconds: float, every: float
) -> None:
    saver = Other("save", redis_url, tmp_path, every)

    found = bear(redis_url, Load(rate=10_000, seconds=seconds), megabytes=192)

    saved = saver.found()
    print(found, saved)
    early, late = max(found.memory[: len(found.memory) // 2 + 1]), found.memory[-1]
    assert late - early < 20 * MEGABYTE, [round(size / MEGABYTE) for size in found.memory]
    assert (saved["quotes"], saved["lost"], found.trimmed) == (found.sent, 0, 0)
    paths = [(ordinal(path.stem.partition("_")[0]), path) for path in tmp_path.rglob("*_*.parquet")]
    parts = [pl.read_parquet(path, columns=["bid_size"], glob=False) for _, path in sorted(paths)]
    assert (pl.concat(parts)["bid_size"] == pl.int_range(found.sent, eager=True)).all()
