"""The two websockets of the twin: trade updates, and quotes, trades and bars."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgpack
from aiohttp import WSMsgType, web

CHANNELS = {"q": "quotes", "t": "trades", "b": "bars", "u": "updatedBars", "d": "dailyBars",
            "s": "statuses", "l": "lulds"}  # fmt: skip


class TradeUpdates:
    """`/stream`: tells each connection that listens, in binary frames that hold JSON.

    `fates` are used up one an update: `drop` keeps it back for good, `twice` tells it twice,
    `late` tells it after the next one. `mute` says nothing to anyone and lets them stay connected;
    `refusals` is how many upgrades are answered 429.
    """

    def __init__(self, key: str, secret: str) -> None:
        self._keys = (key, secret)
        self._listening: set[web.WebSocketResponse] = set()
        self._late: list[dict[str, Any]] = []
        self.fates: deque[str] = deque()
        self.mute = False
        self.refusals = 0
        self.connections = 0

    def add_to(self, app: web.Application) -> None:
        app.add_routes([web.get("/stream", self._serve)])

    def tell(self, update: dict[str, Any]) -> None:
        """Tell an update, as its fate has it; on the twin's thread."""
        fate = self.fates.popleft() if self.fates else "once"
        if fate == "late":
            self._late.append(update)
            return
        times = {"drop": 0, "twice": 2}.get(fate, 1)
        for told in [update] * times + (self._late if fate != "drop" else []):
            self._send(told)
        self._late = self._late if fate == "drop" else []

    async def replay(self, updates: list[dict[str, Any]]) -> None:
        """Tell updates of the past again."""
        for update in updates:
            self._send(update)

    async def break_off(self, code: int | None = None) -> None:
        """End every connection: with a close code, or as a cable that is cut."""
        for socket in list(self._listening):
            if code is not None:
                await socket.close(code=code)
            elif socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()  # type: ignore[attr-defined]
        self._listening.clear()

    @property
    def listeners(self) -> int:
        return len(self._listening)

    def _send(self, update: dict[str, Any]) -> None:
        frame = json.dumps({"stream": "trade_updates", "data": update}).encode()
        for socket in [] if self.mute else list(self._listening):
            if not socket.closed:
                task = asyncio.ensure_future(_quietly(socket.send_bytes(frame)))
                _TASKS.add(task)
                task.add_done_callback(_TASKS.discard)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=429)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        try:
            async for message in socket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    await self._hear(socket, json.loads(message.data))
        finally:
            self._listening.discard(socket)
        return socket

    async def _hear(self, socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said["action"] in {"auth", "authenticate"}:
            data = said.get("data") or said
            keys = (data.get("key_id") or data.get("key"), data.get("secret_key"))
            status = "authorized" if keys == self._keys else "unauthorized"
            answer = {
                "stream": "authorization",
                "data": {"status": status, "action": "authenticate"},
            }
            await socket.send_bytes(json.dumps(answer).encode())
        elif said["action"] == "listen":
            self._listening.add(socket)
            answer = {"stream": "listening", "data": {"streams": ["trade_updates"]}}
            await socket.send_bytes(json.dumps(answer).encode())


@dataclass
class _Listener:
    socket: web.WebSocketResponse
    packed: bool
    known: bool = False
    wants: dict[str, set[str]] = field(default_factory=dict)

    async def send(self, messages: list[dict[str, Any]]) -> None:
        if self.packed:
            await self.socket.send_bytes(msgpack.packb(messages, datetime=True, default=_timestamp))
        else:
            await self.socket.send_str(json.dumps(messages, default=_iso))

    def wanted(self, message: Mapping[str, Any]) -> bool:
        names = self.wants.get(CHANNELS.get(message["T"], ""), set())
        return message["S"] in names or "*" in names


class DataStreams:
    """`/v2/iex` and `/v2/sip`: one connection a key, msgpack to those that ask for it, else JSON.

    `symbol_limit` is how many symbols may be subscribed to, `mute` keeps everything back, without
    `welcomes` those who connect are told nothing at all.
    """

    def __init__(self, key: str, secret: str) -> None:
        self._keys = (key, secret)
        self._listeners: list[_Listener] = []
        self.symbol_limit = 1_000_000
        self.connection_limit = 1
        self.mute = False
        self.welcomes = True
        self.refusals = 0
        self.connections = 0

    def add_to(self, app: web.Application) -> None:
        app.add_routes([web.get("/v2/iex", self._serve), web.get("/v2/sip", self._serve)])

    async def send(self, messages: list[dict[str, Any]]) -> int:
        """Send each listener what it subscribed to, in one frame; return how many frames went."""
        frames = 0
        for listener in [] if self.mute else list(self._listeners):
            if found := [message for message in messages if listener.wanted(message)]:
                await _quietly(listener.send(found))
                frames += 1
        return frames

    async def load(self, symbols: list[str], *, rate: int, seconds: float, batch: int = 1) -> int:
        """Send `rate` quotes a second for `seconds`, `batch` to a frame; return how many."""
        loop, sent = asyncio.get_running_loop(), 0
        begun = loop.time()
        while sent < rate * seconds:
            due = min(int((loop.time() - begun) * rate) + 1, int(rate * seconds))
            while sent < due:
                names = [symbols[(sent + k) % len(symbols)] for k in range(batch)]
                at = datetime.now(UTC)
                await self.send([quote(name, 100.0, 100.02, at) for name in names])
                sent += batch
            await asyncio.sleep(0.001)
        return sent

    async def break_off(self, code: int | None = None) -> None:
        """End every connection: with a close code, or as a cable that is cut."""
        for listener in list(self._listeners):
            if code is not None:
                await listener.socket.close(code=code)
            elif (request := listener.socket._req) is not None and request.transport is not None:
                request.transport.abort()  # type: ignore[attr-defined]
        self._listeners.clear()

    @property
    def subscriptions(self) -> list[dict[str, list[str]]]:
        """What each connection is subscribed to."""
        return [
            {channel: sorted(names) for channel, names in listener.wants.items()}
            for listener in self._listeners
        ]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=429)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        packed = request.headers.get("Content-Type") == "application/msgpack"
        listener = _Listener(socket, packed)
        if self.welcomes:
            await listener.send([{"T": "success", "msg": "connected"}])
        try:
            pieces = b""
            async for message in socket:
                data = message.data.encode() if isinstance(message.data, str) else message.data
                pieces += data
                said = msgpack.unpackb(pieces) if packed else json.loads(pieces)
                pieces = b""
                await self._hear(listener, said)
        finally:
            if listener in self._listeners:
                self._listeners.remove(listener)
        return socket

    async def _hear(self, listener: _Listener, said: dict[str, Any]) -> None:
        if said["action"] == "auth":
            await self._authenticate(listener, said)
        elif not listener.known:
            await listener.send([_error(401, "not authenticated")])
        elif said["action"] in {"subscribe", "unsubscribe"}:
            await self._subscribe(listener, said)
        else:
            await listener.send([_error(400, "invalid syntax")])

    async def _authenticate(self, listener: _Listener, said: dict[str, Any]) -> None:
        if (said.get("key"), said.get("secret")) != self._keys:
            await listener.send([_error(402, "auth failed")])
        elif len(self._listeners) >= self.connection_limit:
            await listener.send([_error(406, "connection limit exceeded")])
        else:
            listener.known = True
            self._listeners.append(listener)
            await listener.send([{"T": "success", "msg": "authenticated"}])

    async def _subscribe(self, listener: _Listener, said: dict[str, Any]) -> None:
        wants = {channel: set(names) for channel, names in listener.wants.items()}
        for channel in CHANNELS.values():
            names = set(said.get(channel) or ())
            held = wants.setdefault(channel, set())
            wants[channel] = held | names if said["action"] == "subscribe" else held - names
        if len(set().union(*wants.values()) - {"*"}) > self.symbol_limit:
            await listener.send([_error(405, "symbol limit exceeded")])
            return
        listener.wants = wants
        told = {channel: sorted(names) for channel, names in wants.items()}
        await listener.send([{"T": "subscription", **told}])


def quote(symbol: str, bid: float, ask: float, at: datetime) -> dict[str, Any]:
    """A quote as it goes over the wire."""
    sides = {"bx": "U", "bp": bid, "bs": 1, "ax": "Q", "ap": ask, "as": 4}
    return {"T": "q", "S": symbol, **sides, "c": ["R"], "z": "C", "t": at}


def bar(symbol: str, price: float, at: datetime, *, volume: int = 100) -> dict[str, Any]:
    """A flat minute bar as it goes over the wire."""
    prices = dict.fromkeys(("o", "h", "l", "c", "vw"), price)
    return {"T": "b", "S": symbol, **prices, "v": volume, "n": 1, "t": at}


_TASKS: set[asyncio.Future[Any]] = set()


async def _quietly(sending: Any) -> None:
    try:
        await sending
    except (ConnectionError, RuntimeError):
        return


def _error(code: int, message: str) -> dict[str, Any]:
    return {"T": "error", "code": code, "msg": message}


def _timestamp(value: Any) -> Any:
    return msgpack.Timestamp.from_datetime(value)


def _iso(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat().replace("+00:00", "Z")
