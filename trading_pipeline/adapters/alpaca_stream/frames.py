"""The websocket under alpaca-py, with a quicker way for messages: what is waiting comes at once.

The library underneath takes a message from the socket in three awaits, and alpaca-py waits for each
with a timer and a task of its own: 20 microseconds a quote, of which reading it is two. Here frames
are cut as their bytes arrive, and all messages that have come since the last look are handed over
as one. So the slower the machine, the fewer and the larger the steps. The opening, pings and the
end of a connection stay the library's.

`client` imports this module on first use, since websockets is heavy.
"""

import asyncio
from collections import deque
from typing import Any, Final

from websockets.legacy.client import WebSocketClientProtocol

LARGEST: Final = 1 << 20
"""Bytes of a message at most; a larger one ends the connection."""

WAITING: Final = 4 << 20
"""Bytes that wait to be taken at most: then the sender is made to wait."""

_BINARY: Final = 0x82
_FINAL: Final = 0x80
_CONTROL: Final = 0x08
_MASKED: Final = 0x80
_PROTOCOL_ERROR: Final = 1002
_TOO_BIG: Final = 1009
_SHORT: Final = 126
"""The first size that does not fit the second byte of a frame."""

_ARRAY: Final = 0x9
_LONG_ARRAY: Final = b"\xdd"


class Socket(WebSocketClientProtocol):
    """A connection to a server that sends arrays in MessagePack.

    `recv` returns a message; once `merges` is set, all that are waiting as a single array.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.merges = False
        self._opening: bytes | None = b""
        self._is_refused = False
        self._rest = b""
        self._pieces = b""
        self._whole: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None

    def connection_open(self) -> None:
        """Begin: also when the library's own reading ends, `recv` has to look."""
        super().connection_open()
        self.transfer_data_task.add_done_callback(lambda _: self._wake())

    async def recv(self) -> bytes:
        """Return what came, the oldest first; ConnectionClosed when there is no more."""
        while not self._whole:
            if self.transfer_data_task.done():
                await self.ensure_open()  # waits for the end, and raises how it was
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        found = _merged(self._whole) if self.merges else self._whole.popleft()
        waiting, self._size = self._size, sum(map(len, self._whole)) if self._whole else 0
        if waiting > WAITING >= self._size:
            self.transport.resume_reading()
        return found

    def data_received(self, data: bytes) -> None:
        """Cut what came into messages; whatever else it is goes to the library."""
        if self._is_refused:
            return
        if self._opening is not None:
            data = self._after_opening(self._opening, data)
        waiting = self._size
        self._rest = self._cut(self._rest + data if self._rest else data)
        if self._size > WAITING >= waiting:
            self.transport.pause_reading()
        if self._whole:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _after_opening(self, before: bytes, data: bytes) -> bytes:
        """Give the server's answer to the opening to the library; return what comes after it."""
        head, end, rest = (before + data).partition(b"\r\n\r\n")
        if end and head.split(b" ", 2)[1:2] == [b"101"]:
            self._opening = None
            super().data_received(data[: len(data) - len(rest)])
            return rest
        self._opening = before + data  # not all there, or a refusal with its reasons
        super().data_received(data)
        return b""

    def _cut(self, data: bytes) -> bytes:
        """Take the frames there are; return the bytes of one that is not all there."""
        at, end, whole = 0, len(data), self._whole
        while end - at > 1:
            kind, size, body = data[at], data[at + 1], at + 2
            if size >= _SHORT:
                body, size = self._sized(data, at)
            if self._is_refused:
                return b""
            if (stop := body + size) > end:
                break
            if kind == _BINARY:
                whole.append(data[body:stop])
                self._size += size
            else:
                self._other(kind, data[at:stop], data[body:stop])
            at = stop
        return data[at:]

    def _sized(self, data: bytes, at: int) -> tuple[int, int]:
        """Where the body of a frame begins and how long it is, of one not short."""
        size = data[at + 1]
        body = at + (4 if size == _SHORT else 10)
        if size & _MASKED:
            self._refuse(_PROTOCOL_ERROR, "a server does not mask")
        elif len(data) >= body and (size := int.from_bytes(data[at + 2 : body])) > LARGEST:
            self._refuse(_TOO_BIG)
        return body, size

    def _other(self, kind: int, frame: bytes, body: bytes) -> None:
        """A frame that is not a whole binary message: a piece of one, text, or for the library."""
        if kind & _CONTROL:
            super().data_received(frame)
            return
        self._pieces += body
        if len(self._pieces) > LARGEST:
            self._refuse(_TOO_BIG)
        elif kind & _FINAL:
            self._whole.append(self._pieces)
            self._size += len(self._pieces)
            self._pieces = b""

    def _refuse(self, code: int, why: str = "") -> None:
        """End the connection; what comes after is not looked at."""
        self._is_refused = True
        self.fail_connection(code, why)


def _merged(messages: deque[bytes]) -> bytes:
    """Take messages as one array: those up to the first that is a longer array, or none at all."""
    if len(messages) == 1:
        return messages.popleft()
    count, parts = 0, list[bytes]()
    while messages and messages[0] and messages[0][0] >> 4 == _ARRAY:
        message = messages.popleft()
        count += message[0] & 0x0F
        parts.append(message[1:])
    return b"".join((_LONG_ARRAY, count.to_bytes(4), *parts)) if parts else messages.popleft()
