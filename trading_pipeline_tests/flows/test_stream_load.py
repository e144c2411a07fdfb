"""The stream holds its pace: every quote in order, quickly, without growing."""

from pathlib import Path
from typing import Any

import msgpack
import pytest
from redis import Redis

from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline_tests.alpaca_twin.flood import names
from trading_pipeline_tests.flows.load import Load, Looker, bear, hundred_positions

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
    looker = Looker(redis_url, ledger_url, 16)

    bear(redis_url, Load(rate=10_000, seconds=20, symbols=100))

    found = looker.found()
    print(found)
    assert found["looks"] > 100
    assert found["p99"] < 0.100


@FULL
def test_ten_minutes_take_no_more_memory_than_one(redis_url: str) -> None:
    found = bear(redis_url, Load(rate=2_000, seconds=600), keep=False)

    early, late = found.memory[3], found.memory[-1]
    assert late - early < 20 * MEGABYTE, [round(size / MEGABYTE) for size in found.memory]
    assert Redis.from_url(redis_url).memory_usage("trading_pipeline:quotes") < 40 * MEGABYTE
