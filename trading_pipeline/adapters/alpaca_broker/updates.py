"""Trade updates as they come: on a thread of its own, told one by one to whoever asks next."""

import asyncio
import contextlib
import logging
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, Self

from trading_pipeline.adapters.alpaca_broker.access import AlpacaAccess
from trading_pipeline.core.execution.reports import Connected, Update

_log = logging.getLogger(__name__)

_END_SECONDS: Final = 5.0


class AlpacaUpdates:
    """The stream of an account's trade updates, while it is entered as a context.

    It connects again by itself for as long as it takes. What happened while it was away is never
    told: each connection begins with a `Connected`, upon which the orders are to be looked at.
    """

    def __init__(self, access: AlpacaAccess, *, live: bool = False) -> None:
        self._keys, self._patience = access.keys(), access.answer_seconds
        self._url = access.stream_address(live=live)
        self._events: SimpleQueue[Connected | Update] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = Thread(target=self._run, name="trade updates", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # it has ended by itself meanwhile
                self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(_END_SECONDS)

    def next(self, seconds: float) -> Connected | Update | None:
        """Return the next event, or None when there was none for so many seconds."""
        try:
            return self._events.get(timeout=max(seconds, 0))
        except Empty:
            return None

    def _tell(self, event: Connected | Update | str) -> None:
        if isinstance(event, str):
            _log.warning("trade updates", extra={"why": event})
        else:
            self._events.put(event)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        self._loop.run_until_complete(self._follow())
        self._loop.close()

    async def _follow(self) -> None:
        from trading_pipeline.adapters.alpaca_broker.stream_client import (  # noqa: PLC0415 - heavy
            StreamClient,
        )

        client = StreamClient(self._keys, self._url, patience=self._patience, tell=self._tell)
        self._task = asyncio.ensure_future(client._run_forever())
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(Exception):
            await client.close()
