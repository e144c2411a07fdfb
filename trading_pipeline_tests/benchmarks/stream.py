"""Live quotes: from the wire to Redis and to the live P&L, and what a read of 100 symbols costs.

The feed is a loopback server in a process of its own, read by the real alpaca-py; Redis is a Valkey
on this machine. Both share its processors with the stream, and what the sender takes of them is
told with each figure. Latencies are the time 99 of 100 quotes need, the median of a few runs, since
a machine that does other things stops every process now and then; what a quote takes of a processor
says more about the stream itself. The yardstick is the time of one PING, 99 of 100.
"""

import statistics
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
from trading_pipeline_tests.flows.load import Load, Other, bear, hundred_positions
from trading_pipeline_tests.servers import Valkey

SYMBOLS = names(100)
READS = 500
RUNS = 3


def figures() -> list[Figure]:
    """Latencies at 10,000 and 40,000 quotes a second, of the live P&L, and of reads."""
    server = Valkey()
    try:
        url = server.start().url
        ping = _p99(Redis.from_url(url).ping)
        bear(url, Load(rate=1_000, seconds=0.2))  # what is loaded on first use
        found = [
            *_pace(server, Load(rate=10_000, seconds=6), 0.060, ping),
            *_pace(server, Load(rate=40_000, seconds=4, reader="fast"), 0.100, ping),
            _live_pnl(server, ping),
        ]
        return [*found, *_reads(url, ping)]
    finally:
        server.stop()


def _pace(server: Valkey, load: Load, limit: float, ping: float) -> list[Figure]:
    runs = []
    for _ in range(RUNS):
        server.flush()
        runs.append(bear(server.url, load))
        assert runs[-1].written == runs[-1].sent == load.rate * load.seconds
    late, cpu, senders = (
        statistics.median(values)
        for values in zip(*((run.p99, run.cpu, run.sender_cpu) for run in runs), strict=True)
    )
    worst = max(run.p99 for run in runs)
    kind = f"{load.rate:,}/s"
    note = f"{load.reader} reader, worst of {RUNS} runs {worst * 1000:.0f} ms"
    each = f"{cpu * 1e6:.1f} microseconds a quote; the sender takes {senders * load.rate:.2f} s"
    return [
        _figure(f"quote to Redis, {kind}, p99", late, limit, ping, note),
        _figure(f"processor time of a second, {kind}", cpu * load.rate, None, ping, each),
    ]


def _live_pnl(server: Valkey, ping: float) -> Figure:
    found = []
    with TemporaryDirectory() as folder:
        ledger_url = hundred_positions(Path(folder), SYMBOLS)
        for _ in range(RUNS):
            server.flush()
            looker = Other("look", server.url, ledger_url, 6)
            bear(server.url, Load(rate=10_000, seconds=7, symbols=100))
            found.append(looker.found())
    p99 = statistics.median(one["p99"] for one in found)
    looks = statistics.median(one["looks"] for one in found)
    note = f"100 positions, 10,000/s, {looks:,.0f} looks, the median of {RUNS} runs"
    return _figure("quote to live P&L, p99", p99, 0.100, ping, note)


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


def _figure(name: str, seconds: float, limit: float | None, ping: float, note: str = "") -> Figure:
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
