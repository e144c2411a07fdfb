"""What can go wrong on the wire, ahead of the booking of a request or after it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault for the next request that `where` ("POST /v2/orders") begins.

    `drop` closes the connection without an answer, `hang` never answers, `truncate` breaks off in
    the middle of the body, `garbage` is a 200 that is not JSON, a number is that status. With
    `booked` the request is done first, and only its answer is lost.
    """

    what: Literal["drop", "hang", "truncate", "garbage"] | int
    booked: bool = False
    where: str = "POST /v2/orders"
    html: bool = False


class Faults:
    """Faults in waiting; each is used once, in the order they were given."""

    def __init__(self) -> None:
        self._waiting: deque[Fault] = deque()
        self._lock = Lock()

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._waiting.extend(faults)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def next_for(self, request: web.Request) -> Fault | None:
        line = f"{request.method} {request.path}"
        with self._lock:
            for fault in self._waiting:
                if line.startswith(fault.where):
                    self._waiting.remove(fault)
                    return fault
        return None


async def act(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer as the fault says."""
    answer = await handler(request) if fault.booked else web.json_response({})
    if fault.what == "drop":
        return _drop(request)
    if fault.what == "hang":
        await asyncio.sleep(3600)
    if fault.what == "truncate":
        return await _truncate(request, answer)
    if fault.what == "garbage":
        return web.Response(text="<html>OK</html>", content_type="text/html")
    assert isinstance(fault.what, int)
    return failure(fault.what, html=fault.html)


def failure(status: int, *, html: bool = False) -> web.Response:
    """An answer of a gateway that failed."""
    if html:
        return web.Response(status=status, text=f"<html>{status}</html>", content_type="text/html")
    codes = {429: 42910000, 401: 40110000}
    body = {"code": codes.get(status, status * 100_000), "message": f"made to fail with {status}"}
    return web.json_response(body, status=status)


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()  # type: ignore[attr-defined]
    return web.Response()


async def _truncate(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    assert isinstance(answer, web.Response)
    body = bytes(answer.body or b"")  # type: ignore[arg-type]
    broken = web.StreamResponse(headers={"Content-Type": "application/json"})
    broken.content_length = len(body)
    await broken.prepare(request)
    await broken.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return broken
