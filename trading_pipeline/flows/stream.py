"""Stream quotes into Redis: one process at a time, for as long as it is wanted.

Three tasks: the feed reads, the flusher writes, the keeper renews the lease, tells how things are,
and asks what is wanted. Whichever ends, ends all. Losing Redis ends nothing: quotes wait in the
buffer, and when Redis is back the lease is taken again, unless another process has it.
"""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

from trading_pipeline.adapters.live_store import Wishes
from trading_pipeline.core.market.quotes import Listener
from trading_pipeline.errors import TradingPipelineError, TransientError
from trading_pipeline.flows.flusher import Flusher, LeaseLostError
from trading_pipeline.flows.stream_parts import Bars, Host, Source
from trading_pipeline.flows.stream_report import Gap, Situation, Streamed
from trading_pipeline.flows.stream_rules import StreamRules

_log = logging.getLogger(__name__)

_REFRESHED_BY_ID: Final = "none yet"


class Stream:
    """One stream of quotes into Redis; `run` once, in an event loop."""

    def __init__(self, source: Source, host: Host, rules: StreamRules) -> None:
        """Put the parts together in the event loop that will run it; nothing connects yet."""
        self._source, self._host, self._rules = source, host, rules
        self._writer = source.writer
        self.flusher = Flusher(
            source.writer,
            clock=host.clock,
            seconds=rules.flush_milliseconds / 1000,
            size=rules.flush_size,
            capacity=rules.buffer,
        )
        self.feed = source.feed(
            Listener(
                self.flusher.take,
                self._connected,
                self._problem,
                lambda: host.is_open(host.now()),
            )
        )
        self.situation = Situation(self.flusher, self.feed, host.now(), rules.stale_seconds)
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._why = ""
        self._refreshed = (float("-inf"), frozenset[str](), _REFRESHED_BY_ID)
        self._aside: set[asyncio.Task[None]] = set()

    def stop(self, why: str) -> None:
        """End the stream in good order; for its own event loop."""
        self._why = self._why or why
        self._stopped.set()

    def stop_from_elsewhere(self, why: str) -> None:
        """End the stream in good order, from another thread."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self.stop, why)

    async def run(self) -> Streamed:
        """Stream until stopped, unwanted or `until`; return what was done and why it ended.

        Raises RejectedError when the feed says no for good, TransientError when another process
        holds the lease and the host does not stand by.
        """
        try:
            await self._take_lease()
            if not self._stopped.is_set():
                await self._work()
            return self.situation.summary(self._why)
        finally:
            for task in self._aside:
                task.cancel()
            await self._leave()

    async def _work(self) -> None:
        works = (self.feed.run(), self.flusher.run(), self._keep(), self._stopped.wait())
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        except LeaseLostError:
            self._why = "Another process streams now."
        except TradingPipelineError as error:
            self._problem(str(error))
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_lease(self) -> None:
        """Wait for the lease, and for the wish that there is a stream, or say why there is none."""
        while not self._stopped.is_set():
            try:
                why = await self._obstacle()
            except TransientError as error:
                why = str(error)
            if why is None:
                return
            if not self._host.stand_by:
                raise TransientError(why)
            if why != self.situation.problem:
                self._problem(why)
            await self._pause(2 * self._rules.beat_seconds)

    async def _obstacle(self) -> str | None:
        wishes = await self._writer.wishes()
        if not wishes.on:
            return f"The stream is to be off, by {wishes.reason}"
        if held := await self._writer.acquire(self._host.owner):
            return f"Another process streams already: {held}"
        return None

    async def _keep(self) -> None:
        """Renew, tell and ask, again and again."""
        while not self._stopped.is_set():
            try:
                await self._look()
            except TransientError as error:
                self._problem(str(error))
            if self._host.until and self._host.now() >= self._host.until:
                self.stop("The session is over.")
            await self._pause(self._rules.beat_seconds)

    async def _look(self) -> None:
        wishes = await self._writer.wishes()
        if not wishes.on:
            self.stop(f"It is to be off, by {wishes.reason}")
            return
        while not await self._writer.beat(facts := self._facts()):
            if not await self._writer.retake():
                raise LeaseLostError
        if self._host.told:
            await asyncio.to_thread(self._host.told, facts, self._host.now())
        self.situation.trimmed += await self._writer.trim()
        self._refresh(wishes)

    def _refresh(self, wishes: Wishes) -> None:
        """Look at positions and orders when something happened, and every few minutes."""
        now = self._host.clock() / 1e9
        at, manual, event = self._refreshed
        due = now - at >= self._rules.subscribe_seconds
        if due or manual != wishes.manual or event != wishes.last_event:
            self._refreshed = (now, wishes.manual, wishes.last_event)
            self._beside(self._subscribe(wishes.manual))

    async def _subscribe(self, manual: frozenset[str]) -> None:
        try:
            self.situation.wanted = await asyncio.to_thread(self._source.wanted, manual)
        except TradingPipelineError as error:  # what is subscribed stays, and the next look tries
            self._problem(str(error))
            return
        chosen, left_out = self.situation.wanted.within(self.feed.limit)
        if left_out:
            self._problem(f"Over the limit of {self.feed.limit} symbols: {', '.join(left_out)}")
        await self.feed.want([*chosen, *left_out])

    def _connected(self, epoch: int) -> None:
        if epoch == 1:
            return
        newest = max((quote.made_at for quote in self.flusher.last.values()), default=None)
        gap = Gap(epoch=epoch, since=newest or self.situation.started_at, until=self._host.now())
        self.situation.gaps.append(gap)
        _log.warning("quotes were missed", extra=gap.facts)
        if self._source.bars:
            self._beside(self._fill(gap, self._source.bars))

    async def _fill(self, gap: Gap, bars: Bars) -> None:
        """Fetch the minutes of a gap; what cannot be fetched is said and stays missing."""
        symbols = self.situation.wanted.within(self.feed.limit)[0]
        try:
            rows = await asyncio.to_thread(bars, symbols, gap.since, gap.until)
        except TradingPipelineError as error:
            self._problem(f"The bars of the gap before epoch {gap.epoch} are missing: {error}")
            return
        self.flusher.take_bars(rows, gap.epoch)

    def _problem(self, why: str) -> None:
        if why != self.situation.problem:
            _log.warning("stream", extra={"problem": why})
        self.situation.problem = why

    def _facts(self, *, ended: str = "") -> dict[str, str]:
        host = self._host
        return {**self.situation.facts(host.now(), ended), "owner": host.owner, **host.facts}

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    async def _leave(self) -> None:
        """Write what waits, tell the end and give the lease back, if Redis answers soon."""
        try:
            async with asyncio.timeout(2):
                await self.flusher.drain()
                await self._writer.beat(self._facts(ended=self._why or self.situation.problem))
        except (TimeoutError, TransientError, LeaseLostError) as error:
            _log.warning("quotes left behind", extra={"quotes": self.flusher.pending, "why": error})
        try:
            await self._writer.release()
        except TransientError:
            return  # it expires by itself
