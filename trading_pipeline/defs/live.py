"""What is live, made from the settings: Redis, the feed, the stream and its files."""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from threading import Thread
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
from trading_pipeline.defs.resources import ledger
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline.flows.stream import Stream
from trading_pipeline.flows.stream_host import host_stream
from trading_pipeline.flows.stream_parts import Feed, Host, Source, Told
from trading_pipeline.flows.subscriptions import Wanted, wanted
from trading_pipeline.flows.supervise import is_open
from trading_pipeline.settings import Settings, utc_now_ns

_log = logging.getLogger(__name__)


def redis_link(settings: Settings) -> RedisLink | None:
    """The Redis that is configured, or None."""
    return RedisLink(settings.redis_url.get_secret_value()) if settings.redis_url else None


@contextmanager
def some_redis(settings: Settings) -> Generator[RedisLink]:
    """The Redis that is configured, else one of this process's own while the `with` lasts."""
    if link := redis_link(settings):
        yield link
        link.close()
        return
    with EmbeddedValkey() as server:
        link = RedisLink(server.url)
        yield link
        link.close()


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
    """Stream into a Redis of this process's own, beside what it does, while the `with` lasts."""
    with EmbeddedValkey() as server:
        link = RedisLink(server.url)
        streams: list[Stream] = []

        def work() -> None:
            try:
                make = partial(source, settings, link)
                host_stream(make, host("pnl"), settings.stream, started=streams.append)
            except TradingPipelineError as error:  # prices are then closes, which are named so
                _log.error("no stream", extra={"why": str(error)})

        thread = Thread(target=work)
        thread.start()
        try:
            yield QuoteStore(link)
        finally:
            for stream in streams:
                stream.stop_from_elsewhere("The command is over.")
            thread.join()
