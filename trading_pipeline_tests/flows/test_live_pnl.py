"""Live P&L: the best price of each holding, by name, exactly; at once also when Redis is down."""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline.core.execution.order import Side
from trading_pipeline.core.market.quotes import Quote
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.live_pnl import REAL_TIME, LiveBook, LivePnl
from trading_pipeline_tests.fakes import (
    NOW,
    filled,
    make_decision,
    make_entry,
    make_fill,
    make_order,
)
from trading_pipeline_tests.flows.streams import quote


@pytest.fixture
def book(_sqlite_ledger: Path, tmp_path: Path) -> Ledger:
    """A ledger that holds 10 A at 100, owes 10 B at 50, and has 5 C at 20."""
    shutil.copyfile(_sqlite_ledger, tmp_path / "ledger.db")
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    held = {"A": (Side.BUY, 10, "100"), "B": (Side.SELL, 10, "50"), "C": (Side.BUY, 5, "20")}
    orders = {
        symbol: make_order(symbol, side, quantity=Decimal(quantity), sequence=number)
        for number, (symbol, (side, quantity, _)) in enumerate(held.items(), start=1)
    }
    ledger.record_decision(make_decision(), list(orders.values()))
    ledger.append(at=NOW, entries=[make_entry()])
    for symbol, (_, quantity, price) in held.items():
        values = {"price": Decimal(price), "commission": Decimal(0)}
        fill = make_fill(orders[symbol], quantity, **values)
        ledger.append(at=NOW, orders=filled(orders[symbol], fill), fills=[fill])
    return ledger


def look(ledger: Ledger, tmp_path: Path, *quotes: Quote, stale: float = 60) -> LivePnl:
    def latest(symbols: Sequence[str]) -> Mapping[str, Quote]:
        return {each.symbol: each for each in quotes if each.symbol in symbols}

    found = LiveBook(ledger, Lake(tmp_path), latest, stale_seconds=stale)
    found.refresh(NOW)
    return found.look(NOW)


def at(seconds_ago: float) -> int:
    return int((NOW - timedelta(seconds=seconds_ago)).timestamp() * 1e9)


def test_a_fresh_quote_is_the_price_and_says_its_age(book: Ledger, tmp_path: Path) -> None:
    fresh = quote("A", bid=109.99, ask=110.01, at=at(2))

    found = look(book, tmp_path, fresh)

    a, b, c = found.positions
    assert (a.position.price, a.position.source, a.age) == (Decimal(110), REAL_TIME, 2)
    assert (a.position.unrealized, a.percent) == (100, Decimal("10.00"))
    assert (b.position.source, b.age, c.position.unrealized) == ("cost", None, 0)
    assert (found.live, found.pnl.unrealized, found.warning) == (1, 100, None)
    assert found.percent == Decimal("6.25"), "of 1,600 dollars that the open shares cost"


def test_a_short_gains_when_its_price_falls(book: Ledger, tmp_path: Path) -> None:
    (_, b, _) = look(book, tmp_path, quote("B", bid=44.0, ask=46.0, at=at(1))).positions

    assert (b.position.unrealized, b.percent) == (50, Decimal("10.00"))


def test_an_old_or_faulty_quote_is_no_price_and_the_last_close_is_named(
    book: Ledger, tmp_path: Path
) -> None:
    first = look(book, tmp_path, *(quote(name, bid=11.0, ask=13.0, at=at(1)) for name in "ABC"))
    book.append_snapshot(first.pnl, run_id="r", at=NOW)

    a, b, c = look(
        book,
        tmp_path,
        quote("A", at=at(61)),
        quote("B", bid=0.0, at=at(1)),
        quote("C", at=at(1)),
    ).positions

    day = first.pnl.session
    assert [p.position.source for p in (a, b, c)] == [f"close of {day}"] * 2 + [REAL_TIME]
    assert (a.position.price, a.age) == (12, 61)


def test_the_document_holds_exact_money_as_text(book: Ledger, tmp_path: Path) -> None:
    found = look(book, tmp_path, quote("A", bid=100.01, ask=100.02, at=at(1)))

    said = json.loads(json.dumps(found.document()))

    assert (said["version"], said["positions_open"], said["positions_real_time"]) == (1, 3, 1)
    first = said["positions"][0]
    assert (first["price"], first["source"], first["percent"]) == ("100.015", "real-time", "0.02")
    assert first["quote_age_seconds"] == 1
    assert Decimal(first["unrealized"]) == Decimal("0.15")


def test_without_redis_the_book_is_valued_at_once_and_says_why(
    book: Ledger, tmp_path: Path
) -> None:
    dead = QuoteStore(RedisLink("redis://127.0.0.1:1/0"))
    found = LiveBook(book, Lake(tmp_path), dead.latest, stale_seconds=60)
    found.refresh(NOW)

    said = found.look(NOW)

    assert said.live == 0
    assert "does not answer" in (said.warning or "")
    with pytest.raises(TransientError):
        dead.latest(["A"])


def test_new_entries_count_after_a_refresh(book: Ledger, tmp_path: Path) -> None:
    found = LiveBook(book, Lake(tmp_path), lambda _: {}, stale_seconds=60)
    found.refresh(NOW)
    order = make_order("D", strategy="another", client_order_id="another-d")
    book.record_decision(make_decision(strategy="another"), [order])
    fill = make_fill(order)
    book.append(at=NOW, orders=filled(order, fill), fills=[fill])

    assert len(found.look(NOW).positions) == 3
    found.refresh(NOW)
    assert len(found.look(NOW).positions) == 4
