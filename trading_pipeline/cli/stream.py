"""`trading-pipeline stream`: live quotes into Redis, by this process, and a look at whoever does.

The stream is one process, whichever: this command, or Dagster's job `market_data_stream`. Both take
the same lease, and both obey `stop` and `start`.
"""

import json as jsons
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event
from typing import Annotated

from cyclopts import App, Parameter

from trading_pipeline import logs
from trading_pipeline.adapters.live_store import QuoteStore
from trading_pipeline.cli.page import Page
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.stream_report import ALIVE_SECONDS, Streamed, age_of
from trading_pipeline.flows.supervise import is_open
from trading_pipeline.settings import Settings, utc_now

app = App(name="stream", help="Stream live quotes into Redis; see, stop and start the stream.")

Words = Annotated[str, Parameter(negative="")]
Flag = Annotated[bool, Parameter(negative="")]


@app.default
def run(*, stand_by: Flag = False) -> int:
    """Stream quotes until interrupted: of what is held, what is on order, and what was asked for.

    Without TP_REDIS_URL a Redis of the data folder's own runs as long as any process here needs it,
    and quotes go to files every five minutes and at the end.

    Args:
        stand_by: Wait while another process streams, the stream is to be off or there is no key,
            rather than end; for systemd and compose.
    """
    from trading_pipeline.defs import live  # noqa: PLC0415 - heavy: on first use
    from trading_pipeline.flows.stream_host import host_stream  # noqa: PLC0415

    settings = Settings.load()
    logs.configure(settings.log_level)
    page = Page()
    if stand_by and not settings.alpaca.key_id:
        page.line("Stream", "waits for a key of Alpaca's: TP_ALPACA__KEY_ID is not set")
        Event().wait()
    settings.alpaca.keys()
    with live.some_redis(settings) as link:
        kind = "configured" if settings.redis_url else "the data folder's own, at"
        page.line("Redis", f"{kind} {link.place}")
        own = live.host("cli", stand_by=stand_by)
        with live.draining(settings, link):
            done = host_stream(lambda: live.source(settings, link), own, settings.stream)
    show(page, done)
    return 0


def show(page: Page, done: Streamed) -> None:
    """Print what a stream did."""
    page.line("Ended", done.why)
    page.line("Quotes", f"{done.received:,} received, {done.written:,} in Redis")
    lost = {"dropped": done.overflow, "unreadable": done.bad, **done.faults}
    page.line("Faults", ", ".join(f"{count:,} {name}" for name, count in lost.items()))
    page.line("Connections", f"{done.epochs}, {len(done.gaps)} gaps")
    page.line("Latency", f"{done.lag * 1000:.0f} ms from quote to Redis, 99 of 100")


@app.command
def status(*, json: bool = False, stand_by: Flag = False) -> int:
    """Say whether a stream lives and how it is; exit code 1 when none does.

    Args:
        json: Print a JSON object and nothing else.
        stand_by: Also exit with 0 while none has to live: the exchange is closed, the stream is to
            be off, or there is no key.
    """
    settings, page = Settings.load(), Page()
    with _store() as store:
        heartbeat, desired, manual = store.heartbeat(), store.desired(), store.manual()
    age = age_of(heartbeat, utc_now())
    alive = age < ALIVE_SECONDS
    wanted = desired.on and settings.alpaca.key_id is not None and is_open(utc_now())
    code = 0 if alive or (stand_by and not wanted) else 1
    wish = {"desired": "on" if desired.on else "off", "by": desired.by, "reason": desired.reason}
    found = {"alive": alive, **wish, "manual": manual, "heartbeat": heartbeat}
    if json:
        page.console.out(jsons.dumps(found, indent=2), highlight=False)
        return code
    page.line("Stream", "alive" if alive else "not running", "green" if alive else "red")
    page.line("To be", f"{wish['desired']} {wish['by']} {wish['reason']}")
    for name, value in heartbeat.items():
        if value:
            page.line(name.replace("_", " ").capitalize(), value)
    return code


@app.command
def stop(*, reason: Words, by: Words = "operator") -> int:
    """Stop the stream, wherever it runs, and keep it stopped.

    Args:
        reason: Why, for whoever comes next.
        by: Who says so.
    """
    return _desire(on=False, by=by, reason=reason)


@app.command
def start(*, reason: Words, by: Words = "operator") -> int:
    """Let the stream run again: where it stands by at once, from Dagster within half a minute.

    Args:
        reason: Why it may.
        by: Who says so.
    """
    return _desire(on=True, by=by, reason=reason)


@app.command
def subscribe(*symbols: str) -> int:
    """Ask for quotes of symbols that are neither held nor on order.

    Args:
        symbols: Whose quotes.
    """
    return _wish(symbols, lambda store, names: store.subscribe(names))


@app.command
def unsubscribe(*symbols: str) -> int:
    """Take such a wish back; what is held or on order stays subscribed.

    Args:
        symbols: Whose quotes.
    """
    return _wish(symbols, lambda store, names: store.unsubscribe(names))


def _wish(symbols: tuple[str, ...], do: Callable[[QuoteStore, list[str]], None]) -> int:
    names = sorted({symbol.strip().upper() for symbol in symbols} - {""})
    if not names:
        raise SettingsError("Symbols are expected: trading-pipeline stream subscribe AAPL MSFT.")
    with _store() as store:
        do(store, names)
        Page().line("By hand", ", ".join(store.manual()) or "none")
    return 0


def _desire(*, on: bool, by: str, reason: str) -> int:
    if not reason.strip():
        raise SettingsError("A reason is expected: --reason 'the feed is wrong'.")
    with _store() as store:
        store.desire(on=on, by=by, reason=reason, now=utc_now())
    Page().line("Stream", f"to be {'on' if on else 'off'}, by {by}: {reason}")
    return 0


@contextmanager
def _store() -> Generator[QuoteStore]:
    """What the stream is asked and told: in the Redis that is configured or the data folder's."""
    from trading_pipeline.defs import live  # noqa: PLC0415 - heavy: on first use

    with live.some_redis(Settings.load()) as link:
        yield live.quote_store(link)
