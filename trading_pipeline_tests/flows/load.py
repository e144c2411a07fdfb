"""The stream under load: quotes of a process of their own, through the feed, into a real Redis."""

import asyncio
import json
import resource
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from trading_pipeline.adapters.alpaca_stream import AlpacaFeed, FeedRules
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.live_store import QuoteStore, QuoteWriter, RedisLink
from trading_pipeline.core.market.quotes import Batch
from trading_pipeline.flows.live_pnl import LiveBook
from trading_pipeline.flows.stream import Stream
from trading_pipeline.flows.stream_host import settled_memory
from trading_pipeline.flows.stream_parts import Host, Source
from trading_pipeline.flows.stream_rules import StreamRules
from trading_pipeline.flows.subscriptions import Wanted
from trading_pipeline.settings import utc_now
from trading_pipeline_tests.alpaca_twin import KEY, SECRET
from trading_pipeline_tests.alpaca_twin.flood import Flood, names
from trading_pipeline_tests.fakes import NOW, filled, make_decision, make_fill, make_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many quotes a second, for how long, of how many symbols, how many to a frame."""

    rate: int
    seconds: float
    reader: str = "alpaca"
    symbols: int = 200
    batch: int = 1


class TimedWriter(QuoteWriter):
    """A writer that notes what each quote took to be in Redis; nothing else differs."""

    def __init__(self, link: RedisLink, *, megabytes: int) -> None:
        super().__init__(link, megabytes=megabytes)
        self.lags = array("q")

    async def write(self, batch: Batch, *, again: bool = False) -> bool:
        done = await super().write(batch, again=again)
        now = time.time_ns()
        self.lags.extend([now - quote[1] for quote in batch.rows])
        return done

    def lag(self, share: float) -> float:
        ordered = sorted(self.lags)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it: quotes sent, in order in Redis, latencies in seconds, memory in bytes."""

    sent: int
    written: int
    overflow: int
    p50: float
    p99: float
    longest: float
    memory: tuple[int, ...] = ()


def bear(url: str, load: Load, *, keep: bool = True) -> Measured:
    """Stream the load into the Redis at `url`; `keep` keeps every quote there to be looked at."""
    with settled_memory(), Flood() as flood:
        return asyncio.run(_bear(url, flood, load, keep=keep))


async def _bear(url: str, flood: Flood, load: Load, *, keep: bool) -> Measured:
    rules = FeedRules.model_validate(
        {"url": flood.url, "symbol_limit": load.symbols, "reader": load.reader}
    )
    writer = TimedWriter(RedisLink(url), megabytes=1_000 if keep else 20)
    source = Source(
        feed=lambda listener: AlpacaFeed(rules, (KEY, SECRET), listener),
        writer=writer,
        wanted=lambda _: Wanted({"positions": frozenset(names(load.symbols))}),
    )
    host = Host(owner="load", clock=time.time_ns, is_open=lambda _: True)
    stream = Stream(source, host, StreamRules())
    running = asyncio.ensure_future(stream.run())
    while len(stream.feed.subscribed) < load.symbols:
        await asyncio.sleep(0.02)
    flood.begin(rate=load.rate, seconds=load.seconds, symbols=load.symbols, batch=load.batch)
    sending = asyncio.ensure_future(asyncio.to_thread(flood.sent))
    memory = []
    while not sending.done():
        memory.append(resident())
        await asyncio.wait({sending}, timeout=max(1.0, load.seconds / 20))
    sent, end = sending.result(), time.monotonic() + 20
    while stream.flusher.written < sent and time.monotonic() < end:
        await asyncio.sleep(0.01)
    flusher = stream.flusher
    found = Measured(
        sent=sent,
        written=flusher.written,
        overflow=flusher.overflow,
        p50=writer.lag(0.5),
        p99=writer.lag(0.99),
        longest=writer.lag(1),
        memory=tuple(memory),
    )
    stream.stop("Enough.")
    await running
    return found


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def hundred_positions(folder: Path, symbols: Sequence[str]) -> str:
    """A ledger that holds ten shares of each symbol; its URL."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    ledger = Ledger(url)
    ledger.create()
    orders = [make_order(symbol, sequence=number) for number, symbol in enumerate(symbols, start=1)]
    ledger.record_decision(make_decision(), orders)
    for order in orders:
        fill = make_fill(order, price=Decimal(100))
        ledger.append(at=NOW, orders=filled(order, fill), fills=[fill])
    ledger.close()
    return url


class Looker:
    """A process that looks at the live P&L again and again while there is a load."""

    def __init__(self, redis_url: str, ledger_url: str, seconds: float) -> None:
        words = [sys.executable, "-m", __name__, redis_url, ledger_url, str(seconds)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def found(self) -> dict[str, float]:
        """Looks, and seconds from a quote's own time to the P&L that has it."""
        said, _ = self._process.communicate(timeout=120)
        return json.loads(said)


def look(redis_url: str, ledger_url: str, seconds: float) -> dict[str, float]:
    """Look for so long; every quote that a look is the first to show counts once."""
    store, shown, lags, looks = QuoteStore(RedisLink(redis_url)), {}, [], 0
    book = LiveBook(Ledger(ledger_url), Lake(Path()), store.latest, stale_seconds=60)
    book.refresh(utc_now())
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = utc_now()
        found = book.look(now)
        took = (utc_now() - now).total_seconds()
        for each in found.positions:
            if each.age is not None:
                at = now.timestamp() - each.age
                if shown.get(each.position.symbol, 0) < at - 1e-5:
                    shown[each.position.symbol] = at
                    lags.append(each.age + took)
        looks += 1
        time.sleep(0.005)
    ordered = sorted(lags)
    return {"looks": looks, "p50": ordered[len(lags) // 2], "p99": ordered[int(len(lags) * 0.99)]}


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
