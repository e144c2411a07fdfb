"""The stream under load: quotes of a process of their own, through the feed, into a real Redis."""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread

from trading_pipeline.adapters.alpaca_stream import AlpacaFeed, FeedRules
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.live_store import QuoteStore, QuoteWriter, RedisLink, TickQueue
from trading_pipeline.adapters.tick_files import TickFiles
from trading_pipeline.core.market.quotes import Batch
from trading_pipeline.flows.live_pnl import LiveBook
from trading_pipeline.flows.stream import Stream
from trading_pipeline.flows.stream_host import settled_memory
from trading_pipeline.flows.stream_parts import Host, Source
from trading_pipeline.flows.stream_rules import StreamRules
from trading_pipeline.flows.subscriptions import Wanted
from trading_pipeline.flows.ticks import drain
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
    """A writer that notes what each quote took to be in Redis; nothing else differs.

    How often each tenth of a millisecond was seen: as much memory for a second as for an hour.
    """

    def __init__(self, link: RedisLink, *, megabytes: int) -> None:
        super().__init__(link, megabytes=megabytes)
        self.seen: Counter[int] = Counter()

    async def write(self, batch: Batch, *, again: bool = False) -> bool:
        done = await super().write(batch, again=again)
        now = time.time_ns()
        self.seen.update([min((now - quote[1]) // 100_000, 600_000) for quote in batch.rows])
        return done

    def lag(self, share: float) -> float:
        """Seconds that `share` of the quotes took at most, to a tenth of a millisecond."""
        left = self.seen.total() * share
        for tenth in sorted(self.seen):
            left -= self.seen[tenth]
            if left <= 0:
                return (tenth + 1) / 10_000
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it: quotes sent, in order in Redis, latencies in seconds, memory in bytes.

    `cpu` is what a quote took of the processor in the stream's process and `sender_cpu` in the
    sender's, in seconds: the steadier figure where others use the machine too.
    """

    sent: int
    written: int
    overflow: int
    trimmed: int
    p50: float
    p99: float
    longest: float
    cpu: float
    sender_cpu: float
    memory: tuple[int, ...] = ()


def bear(url: str, load: Load, *, megabytes: int = 1_000) -> Measured:
    """Stream the load into the Redis at `url`, which keeps so many megabytes of quotes."""
    with settled_memory(), Flood() as flood:
        return asyncio.run(_bear(url, flood, load, megabytes))


async def _bear(url: str, flood: Flood, load: Load, megabytes: int) -> Measured:
    rules = FeedRules.model_validate(
        {"url": flood.url, "symbol_limit": load.symbols, "reader": load.reader}
    )
    writer = TimedWriter(RedisLink(url), megabytes=megabytes)
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
    own, senders = time.process_time(), flood.cpu()
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
        trimmed=stream.situation.trimmed,
        p50=writer.lag(0.5),
        p99=writer.lag(0.99),
        longest=writer.lag(1),
        cpu=(time.process_time() - own) / sent,
        sender_cpu=(flood.cpu() - senders) / sent,
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


class Other:
    """A process beside a load; what it prints at the end is JSON."""

    def __init__(self, *words: object) -> None:
        line = [sys.executable, "-m", __name__, *map(str, words)]
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def found(self) -> dict[str, float]:
        """Wait for its end, which it may be waiting to be told; what it found."""
        said, _ = self._process.communicate("\n", timeout=120)
        return json.loads(said)


def look(redis_url: str, ledger_url: str, seconds: str) -> dict[str, float]:
    """Look at the live P&L again and again for so long: looks, and the time from a quote to it.

    Every quote that a look is the first to show counts once; times are in seconds.
    """
    store, shown, lags, looks = QuoteStore(RedisLink(redis_url)), {}, [], 0
    book = LiveBook(Ledger(ledger_url), Lake(Path()), store.latest, stale_seconds=60)
    book.refresh(utc_now())
    end = time.monotonic() + float(seconds)
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


def save(redis_url: str, folder: str, seconds: str) -> dict[str, float]:
    """Bring quotes into files every so many seconds, until told to end, and once more then."""
    queue, files = TickQueue(RedisLink(redis_url)), TickFiles(Path(folder))
    told, done = Event(), Counter()

    def listen() -> None:
        sys.stdin.readline()
        told.set()

    Thread(target=listen, daemon=True).start()
    is_last = False
    while not is_last:
        is_last = told.wait(float(seconds))
        part = drain(queue, files)
        done.update(quotes=part.quotes, parts=part.parts, lost=part.lost)
    return done


if __name__ == "__main__":
    print(json.dumps({"look": look, "save": save}[sys.argv[1]](*sys.argv[2:])))
