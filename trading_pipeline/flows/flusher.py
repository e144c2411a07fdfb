"""Quotes on their way to Redis: a bounded buffer, and the one task that empties it.

The handler of a quote only appends. A flush takes what came within a few milliseconds: its cost is
per flush and not per quote, so ten thousand quotes a second cost what two hundred flushes cost.
Where the machine is slow and answers take long, more is waiting by then and flushes are larger.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from trading_pipeline.core.market.quotes import Batch, Quote
from trading_pipeline.errors import TransientError

_log = logging.getLogger(__name__)

SAMPLES: Final = 5_000
"""How many latencies of the last quotes are kept."""

LARGEST: Final = 20_000
"""Quotes of a flush at most: a megabyte and a bit."""

SAMPLED: Final = 4
"""Every how many quotes the latency of one is noted."""

_INFINITE: Final = float("inf")
RETRY_SECONDS: Final = 0.2


class Writer(Protocol):
    """Where flushes go; see adapters.live_store.QuoteWriter."""

    async def write(self, batch: Batch, *, again: bool = False) -> bool:
        """Write a flush, or the last one `again` unless it is there; False when we may not."""
        ...

    async def retake(self) -> bool:
        """Take the lease again that Redis has forgotten; False when another process has it."""
        ...


class LeaseLostError(Exception):
    """Another process writes now, or Redis has forgotten that we do."""


class Flusher:
    """Takes quotes one by one and writes them in flushes; for one event loop.

    A flush goes after `seconds`, or at once when `size` quotes wait, and takes all that do. `clock`
    tells nanoseconds since 1970. When Redis does not answer, the buffer holds the last `capacity`
    quotes; older ones are dropped and counted in `overflow`.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        clock: Callable[[], int],
        seconds: float,
        size: int,
        capacity: int,
    ) -> None:
        self._writer, self._clock = writer, clock
        self._seconds, self._size = seconds, size
        self._waiting: deque[Quote] = deque(maxlen=capacity)
        self._wake = asyncio.Event()
        self._lags: deque[int] = deque(maxlen=SAMPLES)
        self._bars: deque[Batch] = deque()
        self._held: Batch | None = None
        self._in_doubt = False
        self.received = 0
        self.taken = 0
        self.written = 0
        self.flushes = 0
        self.faults: Counter[str] = Counter()
        self.last: dict[str, Quote] = {}

    def take(self, quote: Quote) -> None:
        """Append a quote; this is all that is done when it arrives."""
        self.received += 1
        self._waiting.append(quote)
        if not self._wake.is_set():
            self._wake.set()

    @property
    def overflow(self) -> int:
        """How many quotes were dropped because the buffer was full."""
        return self.received - self.taken - len(self._waiting)

    @property
    def pending(self) -> int:
        """How many quotes are not in Redis yet."""
        return self.received - self.overflow - self.written

    def take_bars(self, bars: Iterable[tuple[Any, ...]], epoch: int) -> None:
        """Append minute bars of the gap before `epoch`."""
        if rows := list(bars):
            self._bars.append(Batch(rows, epoch, "bars"))
            self._wake.set()

    def lag(self, share: float) -> float:
        """Seconds from a quote's own time to Redis's answer that `share` of the last ones took."""
        if not self._lags:
            return 0.0
        ordered = sorted(self._lags)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1e9

    async def run(self) -> None:
        """Flush until canceled; LeaseLostError when the writer may not write."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._seconds)
            self._wake.clear()
            await self._flush()
            while self._bars or len(self._waiting) >= self._size:
                await self._flush()

    async def drain(self) -> None:
        """Write everything that waits."""
        while self._held or self._bars or self._waiting:
            await self._flush()

    async def _flush(self) -> None:
        """Write one batch, if there is any, waiting for Redis as long as it takes."""
        if not (self._held or self._bars or self._waiting):
            return
        batch = self._held = self._held or self._next()
        while not await self._is_written(batch):
            await asyncio.sleep(RETRY_SECONDS)
        self._held = None
        if batch.kind == "quotes":
            now = self._clock()
            self._lags.extend([now - row[1] for row in batch.rows[::SAMPLED]])
            self.written += len(batch.rows)
            self.flushes += 1

    async def _is_written(self, batch: Batch) -> bool:
        try:
            mine = await self._writer.write(batch, again=self._in_doubt)
            if not mine and await self._writer.retake():
                mine = await self._writer.write(batch, again=True)
        except TransientError as error:
            if not self._in_doubt:
                _log.warning("redis does not answer", extra={"why": str(error)})
            self._in_doubt = True
            return False
        if not mine:
            raise LeaseLostError
        self._in_doubt = False
        return True

    def _next(self) -> Batch:
        if self._bars:
            return self._bars.popleft()
        count = min(LARGEST, len(self._waiting))
        quotes = [self._waiting.popleft() for _ in range(count)]
        self.taken += count
        latest: dict[str, Quote] = {}
        for quote in quotes:
            if 0 < quote.bid <= quote.ask < _INFINITE:  # the usual: no more is asked of it
                latest[quote.symbol] = quote
            else:
                self.faults[quote.fault or ""] += 1
        self.last |= latest
        return Batch(quotes, quotes[-1].epoch, latest=latest)
