"""Many quotes a second from a process of its own, so that the sender does not slow the reader.

`python -m trading_pipeline_tests.alpaca_twin.flood` serves `DataStreams` of the twin. For each line
`rate seconds symbols batch` on its input it sends that many quotes, `batch` to a frame, and then
prints how many. The bid size of a quote is its number, so that none can be lost or change places
unseen. Frames are packed by hand and written in bursts, as a server in a hurry does. `cpu` tells
what the sender takes of the machine's time.
"""

import asyncio
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import msgpack
from aiohttp import web

from trading_pipeline_tests.alpaca_twin.server import KEY, SECRET
from trading_pipeline_tests.alpaca_twin.streams import DataStreams

TICK = 0.001
PIECE = 100


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

    def cpu(self) -> float:
        """Seconds of processor time the sender has taken."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def sent(self) -> int:
        """How many quotes went, once all have gone."""
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


class Frames:
    """Binary websocket frames of a server, made of a template each: three times as quick.

    The number, the prices and the time are at known places of a symbol's template.
    """

    def __init__(self, symbols: list[str]) -> None:
        self._templates = [_template(symbol) for symbol in symbols]

    def frame(self, first: int, at: int, batch: int) -> bytes:
        """The frame of `batch` quotes from number `first` on, made at `at` (nanoseconds)."""
        body = b"".join(self._quote(number, at) for number in range(first, first + batch))
        body = (bytes([0x90 | batch]) if batch < 16 else b"\xdc" + batch.to_bytes(2)) + body
        size = len(body)
        return (bytes([0x82, size]) if size < 126 else b"\x82\x7e" + size.to_bytes(2)) + body

    def _quote(self, number: int, at: int) -> bytes:
        head, tail = self._templates[number % len(self._templates)]
        bid, (seconds, rest) = 100 + number % 100 / 100, divmod(at, 10**9)
        stamp = rest << 34 | seconds
        numbers = _NUMBERS.pack(bid, b"\xa2bs\xce", number, b"\xa2ap\xcb", bid + 0.02)
        return head + numbers + tail + stamp.to_bytes(8)


_NUMBERS = struct.Struct(">d4sI4sd")


def _template(symbol: str) -> tuple[bytes, bytes]:
    """What comes before the bid of a quote, and what between its ask and its time."""
    before = {"T": "q", "S": symbol, "bx": "U"}
    between = {"ax": "Q", "as": 4, "c": ["R"], "z": "C"}
    head = b"\x8b" + _pairs(before) + b"\xa2bp\xcb"
    return head, _pairs(between) + b"\xa1t\xd7\xff"


def _pairs(values: dict[str, Any]) -> bytes:
    return msgpack.packb(values)[1:]


async def send(streams: DataStreams, rate: int, seconds: float, count: int, batch: int) -> int:
    """Send to the one listener, keeping pace with the clock.

    A sender that was kept waiting catches up in pieces, so that what it has made is on its way.
    """
    frames, sent, whole = Frames(names(count)), 0, int(rate * seconds)
    (listener,) = streams._listeners
    request = listener.socket._req
    assert request is not None
    assert request.transport is not None
    begun = time.perf_counter()
    while sent < whole:
        due = min(int((time.perf_counter() - begun) * rate), whole)
        while sent < due:
            piece, end = [], min(due, sent + PIECE)
            while sent < end:
                piece.append(frames.frame(sent, time.time_ns(), batch))
                sent += batch
            request.transport.write(b"".join(piece))  # type: ignore[attr-defined]
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
