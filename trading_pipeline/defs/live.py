"""What is live, made from the settings: Redis, the feed, the stream and its files."""

import logging
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from threading import Event, Lock, Thread
from typing import Final
from uuid import uuid4

from trading_pipeline.adapters.alpaca_stream import AlpacaFeed, gap_bars
from trading_pipeline.adapters.embedded_valkey import EmbeddedValkey
from trading_pipeline.adapters.live_store import (
    QuoteStore,
    QuoteWriter,
    RedisLink,
    TickQueue,
)
from trading_pipeline.adapters.tick_files import TickFiles
from trading_pipeline.core.market.quotes import Listener
from trading_pipeline.defs.resources import ledger, redis_folder, redis_url
from trading_pipeline.errors import TradingPipelineError, TransientError
from trading_pipeline.flows.stream import Stream
from trading_pipeline.flows.stream_host import host_stream
from trading_pipeline.flows.stream_parts import Feed, Host, Source, Told
from trading_pipeline.flows.subscriptions import Wanted, wanted
from trading_pipeline.flows.supervise import is_open
from trading_pipeline.flows.ticks import drain
from trading_pipeline.settings import Settings, utc_now_ns

_log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 300.0
"""How often quotes are written to files where nothing else does it."""


def redis_link(settings: Settings) -> RedisLink | None:
    """The Redis that is configured, else the data folder's own while it runs, or None."""
    url = redis_url(settings)
    return RedisLink(url) if url else None


@contextmanager
def some_redis(settings: Settings) -> Generator[RedisLink]:
    """The Redis that is configured, else the data folder's own, held while the `with` lasts."""
    with ExitStack() as held:
        if settings.redis_url is None:
            url = held.enter_context(EmbeddedValkey(redis_folder(settings))).url
        else:
            url = settings.redis_url.get_secret_value()
        link = RedisLink(url)
        held.callback(link.close)
        yield link


class KeptRedis:
    """The same Redis, held from the first question on, until this process ends."""

    def __init__(self, settings: Settings) -> None:
        """Nothing starts yet."""
        self._settings = settings
        self._one_at_a_time = Lock()
        self._server: EmbeddedValkey | None = None

    def link(self) -> RedisLink:
        """Connect to it; AdapterError when this machine has none."""
        if self._settings.redis_url is not None:
            return RedisLink(self._settings.redis_url.get_secret_value())
        with self._one_at_a_time:
            if self._server is None or not self._server.is_there:
                self._let_go()  # it was killed: what it held is in its folder
                self._server = EmbeddedValkey(redis_folder(self._settings)).__enter__()
            return RedisLink(self._server.url)

    def release(self) -> None:
        """Let go of it before the end; the next question holds it again."""
        with self._one_at_a_time:
            self._let_go()

    def _let_go(self) -> None:
        held, self._server = self._server, None
        if held is not None:
            held.__exit__()


def quote_store(link: RedisLink) -> QuoteStore:
    """What anyone may ask of the stream."""
    return QuoteStore(link)


def tick_queue(link: RedisLink) -> TickQueue:
    """The quotes that are not in files yet."""
    return TickQueue(link)


def tick_files(settings: Settings) -> TickFiles:
    """The files of quotes in the data folder."""
    return TickFiles(settings.data_dir / "ticks")


def source(settings: Settings, link: RedisLink) -> Source:
    """The parts of a stream; SettingsError without keys. For the event loop that runs it."""
    keys = settings.alpaca.keys()
    access = settings.alpaca_data

    def feed(listener: Listener) -> Feed:
        return AlpacaFeed(settings.feed, keys, listener)

    def ask(manual: frozenset[str]) -> Wanted:
        return wanted(books, manual)

    books = ledger(settings)
    return Source(
        feed=feed,
        writer=QuoteWriter(
            link,
            lease_seconds=settings.stream.lease_seconds,
            price_seconds=settings.stream.price_seconds,
            megabytes=settings.stream.stream_megabytes,
        ),
        wanted=ask,
        bars=lambda symbols, since, until: gap_bars(
            access.url, keys, feed=settings.feed.feed, symbols=symbols, span=(since, until)
        ),
    )


def host(
    kind: str,
    *,
    until: datetime | None = None,
    stand_by: bool = False,
    told: Told | None = None,
    **facts: str,
) -> Host:
    """This process as a host of the stream; `kind` says what it is, `facts` whatever else."""
    return Host(
        owner=f"{kind}-{uuid4().hex[:12]}",
        facts={"host": kind, "pid": str(os.getpid()), **facts},
        until=until,
        stand_by=stand_by,
        told=told,
        clock=utc_now_ns,
        is_open=is_open,
    )


@contextmanager
def own_stream(settings: Settings) -> Generator[QuoteStore]:
    """Stream beside what this process does while the `with` lasts, unless another one streams."""
    with some_redis(settings) as link, draining(settings, link):
        streams: list[Stream] = []
        over, why = Event(), "The command is over."

        def started(stream: Stream) -> None:
            streams.append(stream)
            if over.is_set():  # it was over before this had begun
                stream.stop(why)

        def work() -> None:
            try:
                make = partial(source, settings, link)
                own = host("pnl", stand_by=True)
                host_stream(make, own, settings.stream, started=started)
            except TradingPipelineError as error:  # prices are then closes, which are named so
                _log.error("no stream", extra={"why": str(error)})

        thread = Thread(target=work)
        thread.start()
        try:
            yield QuoteStore(link)
        finally:
            over.set()
            for stream in streams:
                stream.stop_from_elsewhere(why)
            thread.join()


@contextmanager
def draining(settings: Settings, link: RedisLink) -> Generator[None]:
    """Write quotes to files every few minutes and at the end, where no Redis is configured.

    Nobody else may be there to do it; when another process just does, that is enough.
    """
    if settings.redis_url is not None:
        yield
        return
    over = Event()

    def once() -> None:
        try:
            drain(tick_queue(link), tick_files(settings))
        except TransientError as error:
            _log.info("ticks not written", extra={"why": str(error)})

    def work() -> None:
        while not over.wait(DRAIN_SECONDS):
            once()

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        once()
