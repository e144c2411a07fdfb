"""Profit and loss: the book at its marks, exactly."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting.book import Book, EntryKind, replay
from trading_pipeline.core.accounting.pnl import (
    AT_COST,
    Mark,
    Pnl,
    PositionPnl,
    change,
    fall_back,
    mark,
)
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.accounting.entries import (
    FIRST,
    Happening,
    Split,
    apply,
    cash,
    fill,
    happenings,
    prices,
    symbols,
)

EMPTY = Book()


def closes(**prices_: str) -> Mapping[str, Mark]:
    return {s: Mark(price=Decimal(p), source="close") for s, p in prices_.items()}


def of(pnl: Pnl, symbol: str) -> PositionPnl:
    return next(position for position in pnl.positions if position.symbol == symbol)


def test_the_worked_case_of_a_long_a_short_and_a_closed_loss() -> None:
    book = replay(
        EMPTY,
        [
            cash(EntryKind.DEPOSIT, "100000"),
            fill("AAPL", "100", "150"),
            fill("MSFT", "-90", "300"),
            fill("MSFT", "40", "295", day=1),
            fill("GOOGL", "40", "700"),
            fill("GOOGL", "-40", "690", day=1),
        ],
    )
    pnl = mark(book, closes(AAPL="152", MSFT="295"), FIRST)
    assert of(pnl, "AAPL").unrealized == 200
    assert (of(pnl, "MSFT").unrealized, of(pnl, "MSFT").realized) == (250, 200)
    assert (of(pnl, "GOOGL").realized, of(pnl, "GOOGL").is_open) == (-400, False)
    assert (pnl.unrealized, pnl.realized, pnl.total) == (450, -200, 250)
    assert (len(pnl.open_positions), len(pnl.closed_positions)) == (2, 1)
    assert pnl.nav == 100_250
    assert (pnl.gross, pnl.net) == (15_200 + 14_750, 15_200 - 14_750)


def test_an_empty_book_is_worth_nothing() -> None:
    assert mark(EMPTY, {}, FIRST).nav == 0


def test_a_position_without_a_mark_is_worth_its_cost_and_is_named() -> None:
    book = replay(EMPTY, [fill("AAPL", "3", "10"), fill("IBM", "1", "5"), fill("IBM", "2", "6")])
    pnl = mark(book, closes(AAPL="11"), FIRST)
    assert pnl.unpriced == ("IBM",)
    assert of(pnl, "IBM").mark == Mark(price=Decimal("5.6667"), source=AT_COST)
    assert (of(pnl, "IBM").value, of(pnl, "IBM").unrealized) == (17, 0)
    assert pnl.unrealized == 3


def test_a_flat_position_needs_no_mark_and_has_none() -> None:
    book = replay(EMPTY, [fill("AAPL", "3", "10"), fill("AAPL", "-3", "12")])
    assert of(mark(book, closes(AAPL="1"), FIRST), "AAPL").mark is None
    assert mark(book, {}, FIRST).unpriced == ()


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity"])
def test_a_mark_that_is_no_price_is_refused(price: str) -> None:
    book = replay(EMPTY, [fill("AAPL", "3", "10")])
    with pytest.raises(TradingError, match="The mark of AAPL from close"):
        mark(book, closes(AAPL=price), FIRST)


def test_a_book_whose_cash_does_not_follow_from_its_entries_is_refused() -> None:
    with pytest.raises(TradingError, match="expected cash put in"):
        mark(replace(EMPTY, cash=Decimal("0.0001")), {}, FIRST)


def test_nav_is_unchanged_by_a_split_at_the_split_price() -> None:
    book = replay(EMPTY, [cash(EntryKind.DEPOSIT, "5000"), fill("AAPL", "7", "400")])
    before = mark(book, closes(AAPL="410"), FIRST)
    after = mark(apply(book, Split("AAPL", "1.5", "273.3333")), closes(AAPL="273.3333"), FIRST)
    assert abs(after.nav - before.nav) <= Decimal("0.001")
    assert of(after, "AAPL").quantity == 10


marks = st.dictionaries(symbols, prices.map(lambda p: Mark(price=Decimal(p), source="close")))


@given(st.lists(happenings, max_size=25), marks)
def test_nav_is_cash_put_in_plus_realized_plus_unrealized_less_fees_exactly(
    happened: list[Happening], found: dict[str, Mark]
) -> None:
    book = EMPTY
    for what in happened:
        book = apply(book, what)
    pnl = mark(book, found, FIRST)
    parts = Fraction(pnl.cash_in) + Fraction(pnl.realized) + Fraction(pnl.unrealized)
    assert Fraction(pnl.nav) == parts - Fraction(pnl.fees)
    worth = Fraction(book.cash)
    for position in pnl.positions:
        if position.mark and position.mark.source == "close":
            worth += Fraction(position.quantity) * Fraction(position.mark.price)
        else:
            worth += Fraction(position.cost)
    assert Fraction(pnl.nav) == worth
    assert pnl.gross >= abs(pnl.net)


@given(st.lists(happenings, max_size=25), marks)
def test_the_arithmetic_of_the_caller_does_not_matter(
    happened: list[Happening], found: dict[str, Mark]
) -> None:
    posted = [what for what in happened if not isinstance(what, Split)]
    wide = mark(replay(EMPTY, posted), found, FIRST)
    with localcontext() as context:
        context.prec = 4
        assert mark(replay(EMPTY, posted), found, FIRST) == wide


def test_a_hundred_positions_are_valued_in_less_than_a_tenth_of_a_second() -> None:
    names = [f"S{number:03}" for number in range(100)]
    book = replay(EMPTY, [fill(name, "33", "17.3456", fee="1") for name in names])
    found = closes(**dict.fromkeys(names, "18.1"))
    started = process_time()
    mark(book, found, FIRST)
    assert process_time() - started < 0.1


def test_the_best_source_of_a_mark_goes_first() -> None:
    live = {"AAPL": Mark(price=Decimal(3), source="quote")}
    found = fall_back(live, closes(AAPL="1", IBM="2"))
    assert {symbol: each.source for symbol, each in found.items()} == {
        "AAPL": "quote",
        "IBM": "close",
    }


@given(st.lists(happenings, max_size=12), st.lists(happenings, max_size=12), prices, prices)
def test_a_change_of_nav_is_explained_to_the_last_digit(
    early: list[Happening], late: list[Happening], before: str, after: str
) -> None:
    book = EMPTY
    for what in early:
        book = apply(book, what)
    first = mark(book, closes(AAPL=before), FIRST)
    for what in late:
        book = apply(book, what)
    last = mark(book, closes(AAPL=after), FIRST)
    assert change(None, first).unexplained == change(first, last).unexplained == 0
    assert change(first, last).nav == last.nav - first.nav
