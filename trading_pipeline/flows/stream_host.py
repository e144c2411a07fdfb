"""Run a stream in this process until it ends or a signal asks for it."""

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from trading_pipeline.flows.stream import Stream
from trading_pipeline.flows.stream_parts import Host, Source
from trading_pipeline.flows.stream_report import Streamed
from trading_pipeline.flows.stream_rules import StreamRules

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def host_stream(
    source: Callable[[], Source],
    host: Host,
    rules: StreamRules,
    *,
    started: Callable[[Stream], None] | None = None,
) -> Streamed:
    """Stream until it ends; a signal ends it in good order, and is then given to who had it before.

    `started` is told of the stream before it connects.
    """

    async def work() -> tuple[Streamed, int | None]:
        stream = Stream(source(), host, rules)
        if started:
            started(stream)
        caught: list[int] = []
        loop = asyncio.get_running_loop()

        def end(number: int) -> None:
            caught.append(number)
            loop.call_soon_threadsafe(stream.stop, f"Asked by {signal.Signals(number).name}.")

        with _signals(end):
            return await stream.run(), next(iter(caught), None)

    before = [signal.getsignal(number) for number in _SIGNALS]
    with settled_memory():
        done, number = asyncio.run(work())
    if number is not None:
        handler = before[_SIGNALS.index(signal.Signals(number))]
        if callable(handler):
            handler(number, None)
    return done


@contextmanager
def settled_memory() -> Generator[None]:
    """Keep what is loaded out of garbage collections meanwhile: they would stop the stream.

    A full collection looks at every object of every library, for a tenth of a second and more.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _signals(end: Callable[[int], None]) -> Generator[None]:
    """Let `end` have the signals meanwhile; on another thread than the main one, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, _: FrameType | None) -> Any:
        end(number)

    before = {number: signal.signal(number, heard) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
