"""Live quotes: from the wire to Redis and to the live P&L, and what a read of 100 symbols costs.

The feed is a loopback server in a process of its own, read by the real alpaca-py; Redis is a Valkey
on this machine. Latencies are the time 99 of 100 quotes need, of one run; the yardstick is the time
of one PING, 99 of 100.
"""

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from redis import Redis

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore
from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline.core.features.alpha158 import NAMES
from trading_pipeline_tests.alpaca_twin.flood import names
from trading_pipeline_tests.benchmarks.harness import Figure
from trading_pipeline_tests.flows.load import Load, Looker, bear, hundred_positions
from trading_pipeline_tests.servers import Valkey

SYMBOLS = names(100)
READS = 500


def figures() -> list[Figure]:
    """Latencies at 10,000 and 40,000 quotes a second, of the live P&L, and of reads."""
    server = Valkey()
    try:
        url = server.start().url
        ping = _p99(Redis.from_url(url).ping)
        found = [_pace(server, Load(rate=10_000, seconds=10), 0.060, ping)]
        found.append(_pace(server, Load(rate=40_000, seconds=6, reader="fast"), 0.100, ping))
        found.append(_live_pnl(server, ping))
        return [*found, *_reads(url, ping)]
    finally:
        server.stop()


def _pace(server: Valkey, load: Load, limit: float, ping: float) -> Figure:
    server.flush()
    found = bear(server.url, load)
    assert found.written == found.sent
    name = f"quote to Redis, {load.rate:,}/s, p99"
    note = f"{load.reader} reader, p50 {found.p50 * 1000:.1f} ms, {found.sent:,} quotes"
    return _figure(name, found.p99, limit, ping, note)


def _live_pnl(server: Valkey, ping: float) -> Figure:
    server.flush()
    with TemporaryDirectory() as folder:
        looker = Looker(server.url, hundred_positions(Path(folder), SYMBOLS), 10)
        bear(server.url, Load(rate=10_000, seconds=12, symbols=100))
        found = looker.found()
    note = f"100 positions, 10,000/s, {found['looks']:,.0f} looks"
    return _figure("quote to live P&L, p99", found["p99"], 0.100, ping, note)


def _reads(url: str, ping: float) -> list[Figure]:
    store, features = QuoteStore(RedisLink(url)), FeatureStore(url)
    kind, session = FeatureSet("s", "1", tuple(NAMES)), date(2026, 11, 20)
    values = np.random.default_rng(7).normal(size=(len(SYMBOLS), len(NAMES)))
    frame = pl.DataFrame(values, schema=list(NAMES), orient="row")
    features.put(kind, session, frame.with_columns(pl.Series("symbol", SYMBOLS)))
    assert len(store.latest(SYMBOLS)) == features.get(kind, session, SYMBOLS).height == 100
    return [
        _figure(
            "latest quotes of 100 symbols, p99", _p99(lambda: store.latest(SYMBOLS)), 0.005, ping
        ),
        _figure(
            "features of 100 symbols, p99",
            _p99(lambda: features.get(kind, session, SYMBOLS)),
            0.005,
            ping,
            "158 features each",
        ),
    ]


def _figure(name: str, seconds: float, limit: float, ping: float, note: str = "") -> Figure:
    return Figure(
        name=name,
        seconds=seconds,
        limit=limit,
        ratio=seconds / ping,
        ratio_to="a PING to the same Redis, p99",
        note=note,
    )


def _p99(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(READS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[int(READS * 0.99)]
