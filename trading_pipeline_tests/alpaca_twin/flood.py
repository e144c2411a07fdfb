"""Many quotes a second from a process of its own, so that the sender does not slow the reader.

`python -m trading_pipeline_tests.alpaca_twin.flood` serves `DataStreams` of the twin. For each line
`rate seconds symbols batch` on its input it sends that many quotes, `batch` to a frame, and then
prints how many. The bid size of a quote is its number, so that none can be lost or change places
unseen. Frames are packed by hand and written in bursts, as a server in a hurry does.
"""

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any, Self

import msgpack
from aiohttp import web

from trading_pipeline_tests.alpaca_twin.server import KEY, SECRET
from trading_pipeline_tests.alpaca_twin.streams import DataStreams

TICK = 0.001


def names(count: int) -> list[str]:
    return [f"S{number:04d}" for number in range(count)]


class Flood:
    """The process, from outside: `with Flood() as flood: flood.send(…)`."""

    url: str

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._line()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def begin(self, *, rate: int, seconds: float, symbols: int, batch: int = 1) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{rate} {seconds} {symbols} {batch}\n")
        self._process.stdin.flush()

    def sent(self) -> int:
        """How many quotes went, once all have gone."""
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def frame(quotes: list[dict[str, Any]]) -> bytes:
    """A binary websocket frame of a server."""
    body = msgpack.packb(quotes)
    size = len(body)
    head = bytes([0x82, size]) if size < 126 else b"\x82\x7e" + size.to_bytes(2, "big")
    return head + body


def quote(symbol: str, number: int, at: int) -> dict[str, Any]:
    bid = 100 + number % 100 / 100
    stamp = msgpack.Timestamp.from_unix_nano(at)
    return {"T": "q", "S": symbol, "bx": "U", "bp": bid, "bs": number, "ax": "Q", "ap": bid + 0.02,
            "as": 4, "c": ["R"], "z": "C", "t": stamp}  # fmt: skip


async def send(streams: DataStreams, rate: int, seconds: float, count: int, batch: int) -> int:
    """Send to the one listener, keeping pace with the clock."""
    symbols, sent, whole = names(count), 0, int(rate * seconds)
    (listener,) = streams._listeners
    request = listener.socket._req
    assert request is not None
    assert request.transport is not None
    begun = time.perf_counter()
    while sent < whole:
        due = min(int((time.perf_counter() - begun) * rate), whole)
        frames = []
        while sent < due:
            at = time.time_ns()
            numbers = range(sent, sent + batch)
            frames.append(frame([quote(symbols[n % count], n, at) for n in numbers]))
            sent += batch
        if frames:
            request.transport.write(b"".join(frames))  # type: ignore[attr-defined]
        await asyncio.sleep(TICK)
    return sent


async def serve() -> None:
    streams, app = DataStreams(KEY, SECRET), web.Application()
    streams.add_to(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"ws://127.0.0.1:{runner.addresses[0][1]}/v2/iex", flush=True)
    loop, asked = asyncio.get_running_loop(), asyncio.Queue[str]()
    threading.Thread(target=_listen, args=(loop, asked), daemon=True).start()
    while words := (await asked.get()).split():
        rate, seconds, count, batch = words
        print(await send(streams, int(rate), float(seconds), int(count), int(batch)), flush=True)


def _listen(loop: asyncio.AbstractEventLoop, asked: asyncio.Queue[str]) -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(asked.put_nowait, line)
    loop.call_soon_threadsafe(asked.put_nowait, "")


if __name__ == "__main__":
    asyncio.run(serve())
