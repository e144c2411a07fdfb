"""The websocket under the feed: every message once, in order, however its bytes arrive."""

import asyncio
import itertools
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from trading_pipeline.adapters.alpaca_stream.frames import LARGEST, WAITING, Socket

OPENING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
PING = b"\x89\x02hi"


class Wire(asyncio.Transport):
    """The other end of a socket: what it was asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.written = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        return

    def abort(self) -> None:
        return

    def can_write_eof(self) -> bool:
        return False


def frame(body: bytes, kind: int = 0x82) -> bytes:
    size = len(body)
    if size < 126:
        return bytes([kind, size]) + body
    long = size >= 1 << 16
    return bytes([kind, 127 if long else 126]) + size.to_bytes(8 if long else 2) + body


def arrays(*counts: int) -> list[list[int]]:
    """Arrays of so many numbers, all numbers different."""
    ends = [sum(counts[: k + 1]) for k in range(len(counts))]
    return [list(range(end - count, end)) for end, count in zip(ends, counts, strict=True)]


def opened() -> tuple[Socket, Wire]:
    socket, wire = Socket(), Wire()
    socket.connection_made(wire)
    socket.data_received(OPENING)
    socket.reader._buffer.clear()  # the library has read it
    socket.connection_open()
    return socket, wire


def inside(work: Callable[[], object]) -> None:
    """Do it in an event loop, which a socket needs."""

    async def done() -> None:
        result = work()
        if asyncio.iscoroutine(result):
            await result
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(done())


@given(
    counts=st.lists(st.sampled_from([0, 1, 2, 15, 16, 300, 70_000]), max_size=8),
    cuts=st.lists(st.floats(0, 1), max_size=12),
    merges=st.booleans(),
    pinged=st.booleans(),
)
def test_every_message_comes_once_and_in_order_wherever_the_bytes_are_cut(
    counts: list[int], cuts: list[float], merges: bool, pinged: bool
) -> None:
    frames = [frame(msgpack.packb(array)) for array in arrays(*counts)]
    data = (PING if pinged else b"").join([OPENING, *frames])
    places = sorted({0, len(data), *(int(cut * len(data)) for cut in cuts)})

    async def work() -> None:
        socket, wire = Socket(), Wire()
        socket.merges = merges
        socket.connection_made(wire)
        socket.connection_open()
        for first, last in itertools.pairwise(places):
            socket.data_received(data[first:last])
        found = []
        while socket._whole:
            found.append(msgpack.unpackb(await socket.recv()))
        assert [number for part in found for number in part] == list(range(sum(counts)))
        assert merges or [len(part) for part in found] == counts

    inside(work)


def test_messages_in_pieces_are_put_together_and_text_is_as_good() -> None:
    async def work() -> None:
        socket, _ = opened()
        socket.data_received(frame(b"\x92\x01", 0x02) + PING + frame(b"\x02", 0x80))
        socket.data_received(frame(b"[1]", 0x81))
        assert [await socket.recv(), await socket.recv()] == [b"\x92\x01\x02", b"[1]"]

    inside(work)


def test_a_ping_is_answered_and_a_close_ends_it_after_what_came_before() -> None:
    async def work() -> None:
        socket, wire = opened()
        socket.data_received(PING + frame(b"\x90") + frame(b"\x03\xf3gone", 0x88))
        while b"\x8a" not in wire.written:  # a pong
            await asyncio.sleep(0)
        assert await socket.recv() == b"\x90"
        waiting = asyncio.ensure_future(socket.recv())
        await asyncio.sleep(0)
        socket.connection_lost(None)
        with pytest.raises(ConnectionClosed, match="1011"):
            await waiting

    inside(work)


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x82\xff" + (5).to_bytes(8),
        b"\x82\x85abcd12345",
        frame(b"x" * (LARGEST + 1)),
        frame(b"x" * LARGEST, 0x02) + frame(b"xx", 0x80),
    ],
    ids=["masked", "masked-short", "too-big", "too-big-in-pieces"],
)
def test_what_a_server_may_not_send_ends_the_connection(wrong: bytes) -> None:
    def work() -> None:
        socket, wire = opened()
        socket.data_received(wrong)
        assert wire.written[:1] == b"\x88", "a close"
        assert len(socket._whole) == 0

    inside(work)


def test_a_sender_that_is_too_quick_is_made_to_wait() -> None:
    async def work() -> None:
        socket, wire = opened()
        for _ in range(WAITING // LARGEST + 1):
            socket.data_received(frame(b"x" * LARGEST))
        assert wire.asked == ["pause"]
        await socket.recv()
        assert wire.asked == ["pause", "resume"]

    inside(work)


def test_a_refusal_is_the_librarys_with_its_reasons() -> None:
    def work() -> None:
        socket, refusal = Socket(), b"HTTP/1.1 429 Too Many Requests\r\n\r\n\x82\x01\x90"
        for first in range(0, len(refusal), 7):
            socket.data_received(refusal[first : first + 7])
        assert bytes(socket.reader._buffer) == refusal
        assert len(socket._whole) == 0

    inside(work)
