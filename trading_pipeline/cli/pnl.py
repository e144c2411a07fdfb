"""`trading-pipeline pnl`: the account at the best prices there are now."""

import json as jsons
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trading_pipeline import logs
from trading_pipeline.adapters.report_files import direction, dollars, price, shares
from trading_pipeline.cli import services
from trading_pipeline.cli.page import STYLES, Page, columns, plain, signed
from trading_pipeline.core.market.quotes import Quote
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.live_pnl import LiveBook, LivePnl, LivePosition, Quotes
from trading_pipeline.settings import Settings, utc_now

Flag = Annotated[bool, Parameter(negative="")]

REFRESH_SECONDS = 1.0
BOOK_SECONDS = 5.0
"""How often the ledger is read again for new fills."""


def pnl(*, live: Flag = False, json: Flag = False, seconds: float | None = None) -> int:
    """Show what every holding and the account are worth now, and which price says so.

    Examples: `trading-pipeline pnl`; `trading-pipeline pnl --live`.

    A price is a real-time quote, else the last close, else what the shares cost.

    Args:
        live: Refresh until interrupted; without TP_REDIS_URL, and with a key of Alpaca's, this
            command streams the quotes itself unless another one here does. With --json: a document
            a line.
        json: Print JSON and nothing else.
        seconds: Stop after so many.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    if seconds is not None and seconds <= 0:
        raise SettingsError(f"More than 0 seconds are expected, got {seconds:g}.")
    ledger, lake = services.open_ledger(settings), services.lake(settings)
    with _quotes(settings, live=live) as quotes:
        book = LiveBook(ledger, lake, quotes, stale_seconds=settings.stream.stale_seconds)
        book.refresh(utc_now())
        if not live:
            _show(book.look(utc_now()), as_json=json)
        else:
            _watch(book, as_json=json, seconds=seconds)
    return 0


def _show(found: LivePnl, *, as_json: bool) -> None:
    page = Page()
    if as_json:
        page.console.out(jsons.dumps(found.document(), indent=2), highlight=False)
        return
    if page.for_terminal:
        page.console.print(_table(found))
        return
    rows = {row["symbol"]: {**row, "symbol": None} for row in found.document()["positions"]}
    page.rows("Position", rows, Table())
    for name, value in _totals(found).items():
        page.line(name, value)


def _watch(book: LiveBook, *, as_json: bool, seconds: float | None) -> None:
    """Look once a second, and at the ledger every few."""
    page = Page()
    begun = read = time.monotonic()
    screen = Live(console=page.console, auto_refresh=False) if page.for_terminal else None
    with screen or _nothing():
        while seconds is None or time.monotonic() - begun < seconds:
            if time.monotonic() - read >= BOOK_SECONDS:
                book.refresh(utc_now())
                read = time.monotonic()
            found = book.look(utc_now())
            if as_json or screen is None:
                page.console.out(jsons.dumps(found.document()), highlight=False)
            else:
                screen.update(_table(found), refresh=True)
            time.sleep(REFRESH_SECONDS)


def _table(found: LivePnl) -> RenderableType:
    table = columns(
        "Symbol", "Qty>", "Avg cost>", "Price>", "Unrealized>", "%>", "Age>", "Price of"
    )
    for row in found.positions:
        table.add_row(*_cells(row))
    lines = [Text(f"{name}: {value}") for name, value in _totals(found).items()]
    return Group(table, *lines)


def _cells(row: LivePosition) -> tuple[str | Text, ...]:
    each, gain = row.position, str(row.position.unrealized)
    return (
        each.symbol,
        plain(shares(str(each.quantity), signed=True)),
        price(str(each.average_cost)),
        price(str(each.price)),
        Text(signed(gain), STYLES[direction(gain)]),
        "" if row.percent is None else f"{row.percent:+}",
        "" if row.age is None else f"{row.age:.1f} s",
        each.source or "",
    )


def _totals(found: LivePnl) -> dict[str, str]:
    totals = found.pnl
    lines = {
        "NAV": plain(dollars(str(totals.nav))),
        "Unrealized": f"{signed(str(totals.unrealized))} ({found.percent or 0:+} %)",
        "Realized": signed(str(totals.realized)),
        "Total P&L": signed(str(totals.total)),
        "Real-time": f"{found.live} of {len(found.positions)}",
        "At": f"{found.at:%Y-%m-%d %H:%M:%S} UTC",
    }
    return lines | ({"Warning": found.warning} if found.warning else {})


@contextmanager
def _quotes(settings: Settings, *, live: bool) -> Generator[Quotes]:
    """Where quotes are read: Redis, into which this command streams where nobody else has to."""
    from trading_pipeline.defs.live import own_stream, quote_store, redis_link  # noqa: PLC0415

    if live and settings.alpaca.key_id and settings.redis_url is None:
        with own_stream(settings) as store:
            yield store.latest
    elif link := redis_link(settings):
        yield quote_store(link).latest
        link.close()
    else:
        yield _no_quotes


def _no_quotes(_: object) -> dict[str, Quote]:
    return {}


@contextmanager
def _nothing() -> Generator[None]:
    yield
