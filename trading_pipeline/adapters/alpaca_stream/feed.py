"""The feed of live quotes from Alpaca: connects, reads, and connects again when it must."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from trading_pipeline.adapters.alpaca_stream.errors import StreamError
from trading_pipeline.adapters.alpaca_stream.rules import FeedRules
from trading_pipeline.core.market.quotes import Listener
from trading_pipeline.errors import RejectedError

if TYPE_CHECKING:
    from trading_pipeline.adapters.alpaca_stream.client import Client

_log = logging.getLogger(__name__)

SYMBOL_LIMIT: Final = 405
CONNECTION_LIMIT: Final = 406
CLOSE_SECONDS: Final = 3
CANCEL_SECONDS: Final = 0.1
FINAL: Final = frozenset({400, 401, 402, 408, 409})
"""Codes after which the same request gets the same answer: keys, plan and syntax."""


class AlpacaFeed:
    """Quotes of a changing set of symbols, over one websocket; for one event loop.

    A connection that ends, errs or falls silent is made anew after 5, 10, 20, 40 … 300 seconds, a
    fifth more or less; the first quote starts the series again. Alpaca never repeats what was
    missed meanwhile: each connection has a number of its own, its epoch.
    """

    def __init__(self, rules: FeedRules, keys: tuple[str, str], listener: Listener) -> None:
        """Name the feed; `run` connects."""
        from trading_pipeline.adapters.alpaca_stream import client  # noqa: PLC0415 - heavy

        self._rules, self._tell = rules, listener
        self._client: Client = client.Client(rules, keys, listener.quote)
        self._wanted: list[str] = []
        self._limit = rules.symbol_limit
        self._limited = 0
        self._changed = asyncio.Event()

    @property
    def epoch(self) -> int:
        """The number of the present connection, 0 before the first."""
        return self._client.epoch

    @property
    def bad(self) -> int:
        """How many quotes could not be read."""
        return self._client.bad

    @property
    def limit(self) -> int:
        """How many symbols may be subscribed to, as far as is known."""
        return self._limit

    @property
    def subscribed(self) -> frozenset[str]:
        """The symbols the server says it sends."""
        return self._client.confirmed

    async def want(self, symbols: Sequence[str]) -> None:
        """Subscribe to these symbols, the most important first; those over the limit wait."""
        self._wanted = list(symbols)
        self._changed.set()
        with contextlib.suppress(Exception):  # a dying socket: `run` subscribes on the next
            await self._client.want(self._wanted[: self._limit])

    async def run(self) -> None:
        """Read until canceled; RejectedError when the key, the plan or a limit says no for good."""
        delays = self._rules.delays()
        try:
            while True:
                while not self._wanted:
                    self._changed.clear()
                    await self._changed.wait()
                before = self._client.frames
                why = await self._connection()
                if self._client.frames > before:
                    delays, self._limited = self._rules.delays(), 0
                if why is None:  # the limit was learned: at once, with fewer symbols
                    continue
                delay = next(delays) * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
                self._tell.problem(f"{why}; connecting again in {delay:.0f} seconds")
                await asyncio.sleep(delay)
        finally:
            await self._close()

    async def _connection(self) -> str | None:
        """One connection from beginning to end; why it ended, None to go on at once."""
        from websockets.exceptions import WebSocketException  # noqa: PLC0415 - heavy

        try:
            await self._client.want(self._wanted[: self._limit])
            async with asyncio.timeout(self._rules.answer_seconds):
                await self._client.open()
            self._client.epoch += 1
            self._tell.connected(self._client.epoch)
            return await self._read()
        except StreamError as error:
            return self._judge(error)
        except TimeoutError:
            return f"No welcome within {self._rules.answer_seconds:g} seconds"
        except (WebSocketException, OSError) as error:
            status = getattr(error, "status_code", None)
            if status in {401, 403}:
                raise RejectedError(f"Alpaca refused the stream with HTTP {status}.") from error
            return f"The connection failed: {error or type(error).__name__}"
        except ValueError as error:
            return f"The stream said something unexpected: {error}"
        finally:
            await self._close()

    async def _read(self) -> str:
        seconds = self._rules.silence_seconds
        reading = asyncio.ensure_future(self._client.read())
        watching = asyncio.ensure_future(self._silence(seconds))
        try:
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                return "The connection ended"
            return f"No quote came for {seconds:g} seconds"
        finally:
            await _ended(reading, watching)

    async def _silence(self, seconds: float) -> None:
        """Return when no quote came for `seconds` though the market is open and some are due."""
        client, quiet, step = self._client, 0.0, min(1.0, seconds / 4)
        while quiet < seconds:
            seen = client.frames
            await asyncio.sleep(step)
            waiting = client.frames == seen and bool(client.confirmed) and self._tell.is_open()
            quiet = quiet + step if waiting else 0.0

    def _judge(self, error: StreamError) -> str | None:
        if error.code == SYMBOL_LIMIT:
            asked = min(len(self._wanted), self._limit)
            self._limit = max(len(self._client.confirmed), asked // 2, 1)
            self._tell.problem(
                f"Alpaca refused {asked} symbols: {error}. It is asked for {self._limit}"
            )
            return None if self._limit < asked else f"Alpaca refused one symbol: {error}"
        self._limited += error.code == CONNECTION_LIMIT
        if error.code in FINAL or self._limited >= self._rules.limited_attempts:
            raise RejectedError(f"Alpaca refused the stream: {error}.")
        return f"Alpaca says: {error}"

    async def _close(self) -> None:
        with contextlib.suppress(Exception):  # it is dead already, or has never lived
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.close()


async def _ended(*tasks: "asyncio.Future[None]") -> None:
    """Cancel tasks until they end: alpaca-py can overhear it when a quote comes just then."""
    while waiting := {task for task in tasks if not task.done()}:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=CANCEL_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
