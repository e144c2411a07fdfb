"""The twin as a server on a thread of its own: `with AlpacaTwin() as twin: twin.url`."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from threading import Event, Thread
from typing import Any, Self

from aiohttp import web

from trading_pipeline_tests.alpaca_twin.checks import RefusedError
from trading_pipeline_tests.alpaca_twin.exchange import Exchange
from trading_pipeline_tests.alpaca_twin.faults import Faults, Handler, act
from trading_pipeline_tests.alpaca_twin.limits import RateLimit
from trading_pipeline_tests.alpaca_twin.market import MarketApi
from trading_pipeline_tests.alpaca_twin.rest import BOOKED, TradingApi
from trading_pipeline_tests.alpaca_twin.streams import DataStreams, TradeUpdates

KEY, SECRET = "twin-key", "twin-secret"
_PUBLIC = ("/stream", "/v2/iex", "/v2/sip")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request in the journal: what was asked, answered and booked, and the fault it met."""

    line: str
    status: int | None
    booked: str | None
    fault: str | None
    at: float


class AlpacaTwin:
    """Alpaca on 127.0.0.1; its clock stands at `now` when one is given."""

    def __init__(
        self,
        *,
        cash: Decimal = Decimal(100_000),
        now: datetime | None = None,
        limit: RateLimit | None = None,
    ) -> None:
        self.exchange = Exchange(cash, now)
        self.market = MarketApi()
        self.faults = Faults()
        self.limit = limit or RateLimit()
        self.journal: list[Seen] = []
        self.updates = TradeUpdates(KEY, SECRET)
        self.quotes = DataStreams(KEY, SECRET)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._started, self._stopped = Event(), asyncio.Event()
        self._thread = Thread(target=self._run, daemon=True, name="alpaca twin")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(60), "the twin did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(60)

    @property
    def stream_url(self) -> str:
        """Where the trade updates are."""
        return f"{self.url.replace('http', 'ws')}/stream"

    @property
    def data_stream_url(self) -> str:
        """Where market data streams."""
        return f"{self.url.replace('http', 'ws')}/v2/iex"

    def booked(self) -> list[str]:
        """The client ids of all orders that were booked."""
        return list(self.exchange.orders)

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do work of the streams on the twin's own thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        hanging = asyncio.all_tasks(self._loop)
        for task in hanging:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*hanging, return_exceptions=True))
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._journaled])
        TradingApi(self.exchange).add_to(app)
        self.market.add_to(app)
        self.updates.add_to(app)
        self.quotes.add_to(app)
        self.exchange.listeners.append(
            lambda update: self._loop.call_soon_threadsafe(self.updates.tell, update)
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._started.set()
        await self._stopped.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.cleanup(), 5)

    @web.middleware
    async def _journaled(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _PUBLIC:
            return await handler(request)
        fault = self.faults.next_for(request)
        status: int | None = None
        try:
            answer = await self._answer(request, handler, fault)
            status = answer.status
        finally:
            line = f"{request.method} {request.path}"
            seen = Seen(
                line, status, request.get(BOOKED), repr(fault) if fault else None, time.time()
            )
            self.journal.append(seen)
        return answer

    async def _answer(
        self, request: web.Request, handler: Handler, fault: Any
    ) -> web.StreamResponse:
        keys = (request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY"))
        if keys != (KEY, SECRET):
            return web.json_response({"message": "unauthorized."}, status=401)
        if not self.limit.take():
            return web.json_response(
                {"code": 42910000, "message": "too many requests."},
                status=429,
                headers=self.limit.headers(),
            )
        told = _told(handler)
        answer = await (act(fault, request, told) if fault else told(request))
        if not answer.prepared:
            answer.headers.update(self.limit.headers())
        return answer


def _told(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def tell(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refused:
            return web.json_response(refused.body, status=refused.status)

    return tell
