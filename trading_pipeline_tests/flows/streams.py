"""A stream to be tested: a feed that says what it is told to, around the real Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis import Redis

from trading_pipeline.adapters.live_store import QuoteStore, QuoteWriter, RedisLink, TickQueue
from trading_pipeline.core.market.quotes import Listener, Quote
from trading_pipeline.flows.stream import Stream
from trading_pipeline.flows.stream_parts import Host, Source
from trading_pipeline.flows.stream_report import Streamed
from trading_pipeline.flows.stream_rules import StreamRules
from trading_pipeline.flows.subscriptions import Wanted

PATIENCE = 0.3


def quote(symbol: str = "A", number: int = 1, **changes: Any) -> Quote:
    """A sound quote; its bid size is its number."""
    values: dict[str, Any] = {
        "symbol": symbol,
        "at": time.time_ns(),
        "bid": 100.0,
        "ask": 100.02,
        "bid_size": float(number),
        "ask_size": 4.0,
        "exchange": "U",
        "epoch": 1,
    }
    return Quote(**values | changes)


class ScriptedFeed:
    """A feed (`flows.stream_parts.Feed`) that connects when told and delivers what it is given."""

    bad = 0

    def __init__(self, listener: Listener, limit: int = 30) -> None:
        self.tell, self.limit = listener, limit
        self.epoch = 0
        self.asked: list[list[str]] = []
        self.subscribed: frozenset[str] = frozenset()
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def want(self, symbols: Sequence[str]) -> None:
        self.asked.append(list(symbols))
        self.subscribed = frozenset(symbols[: self.limit])

    async def run(self) -> None:
        self.connect()
        await self.end

    def connect(self) -> None:
        self.epoch += 1
        self.tell.connected(self.epoch)


class Rig:
    """A stream on `url` and what one needs to look at it."""

    def __init__(self, url: str, **options: Any) -> None:
        self.redis = Redis.from_url(url)
        self.link = RedisLink(url, patience=PATIENCE)
        self.store, self.queue = QuoteStore(self.link), TickQueue(self.link)
        self.wanted: dict[str, frozenset[str]] = {"positions": frozenset({"A"})}
        self.fault: Exception | None = None
        self.bars: Any = options.pop("bars", None)
        self.rules = StreamRules(**{"beat_seconds": 0.05} | options.pop("rules", {}))
        self.owner = options.pop("owner", "one")
        self.options = options
        self.feeds: list[ScriptedFeed] = []

    def source(self) -> Source:
        def made(listener: Listener) -> ScriptedFeed:
            self.feeds.append(ScriptedFeed(listener))
            return self.feeds[-1]

        def ask(manual: frozenset[str]) -> Wanted:
            if self.fault:
                raise self.fault
            return Wanted({**self.wanted, "manual": manual})

        writer = QuoteWriter(self.link, lease_seconds=self.rules.lease_seconds)
        return Source(feed=made, writer=writer, wanted=ask, bars=self.bars)

    def stream(self) -> Stream:
        host = Host(owner=self.owner, clock=time.time_ns, is_open=lambda _: True, **self.options)
        return Stream(self.source(), host, self.rules)

    @property
    def feed(self) -> ScriptedFeed:
        return self.feeds[-1]

    def rows(self) -> list[list[Any]]:
        """Every quote in the stream, in order."""
        entries = [entry for entry in self.queue.entries() if entry.kind == "quotes"]
        return [row for entry in entries for row in entry.rows or ()]


Check = Callable[[Stream], Awaitable[None]]


async def watched(stream: Stream, check: Check) -> Streamed:
    """Run a stream while `check` lasts, then stop it in good order."""
    running = asyncio.ensure_future(stream.run())
    checking = asyncio.ensure_future(check(stream))
    done, _ = await asyncio.wait(
        {running, checking}, timeout=60, return_when=asyncio.FIRST_COMPLETED
    )
    stream.stop("The test is over.")
    if not done:
        checking.cancel()
        raise AssertionError(f"nothing came of it: {stream.situation.problem}")
    if checking in done:
        checking.result()
    else:
        checking.cancel()
    return await running


def run(stream: Callable[[], Stream], check: Check) -> Streamed:
    async def work() -> Streamed:
        return await watched(stream(), check)

    return asyncio.run(work())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)
