"""Tax lots: first in, first out, and the same dollars as the book."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting.book import Book, EntryKind, replay
from trading_pipeline.core.accounting.lots import Gain, Lot, fold_lots
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.accounting.entries import FIRST, Happening, cash, fill, happenings
from trading_pipeline_tests.core.accounting.test_attribution import happened


def test_the_oldest_shares_are_sold_first() -> None:
    lots = fold_lots(
        [
            fill("AAPL", "10", "100"),
            fill("AAPL", "10", "120", day=1),
            fill("AAPL", "-15", "130", day=2),
        ]
    )
    assert [(gain.quantity, gain.gain, gain.opened) for gain in lots.gains] == [
        (10, 300, FIRST),
        (5, 50, FIRST + timedelta(days=1)),
    ]
    assert lots.open["AAPL"] == (
        Lot(
            symbol="AAPL",
            opened=FIRST + timedelta(days=1),
            quantity=Decimal(5),
            cost=Decimal(600),
        ),
    )


def test_a_short_is_covered_first_in_first_out_and_a_flip_opens_a_lot() -> None:
    lots = fold_lots([fill("AAPL", "-10", "100"), fill("AAPL", "15", "90", day=1)])
    assert [gain.gain for gain in lots.gains] == [100]
    assert [lot.quantity for lot in lots.open["AAPL"]] == [5]


def test_a_split_keeps_the_cost_and_the_age_of_every_lot() -> None:
    lots = fold_lots(
        [
            fill("AAPL", "3", "90"),
            fill("AAPL", "1", "80", day=1),
            cash(EntryKind.SPLIT, "0", "AAPL", "12", day=2),
        ]
    )
    assert [(lot.quantity, lot.cost) for lot in lots.open["AAPL"]] == [(12, 270), (4, 80)]
    assert lots.gains == ()


def test_a_reverse_split_that_leaves_only_cash_is_a_gain_of_each_lot() -> None:
    lots = fold_lots([fill("AAPL", "3", "10"), cash(EntryKind.SPLIT, "33", "AAPL", "-3", day=1)])
    assert ([gain.gain for gain in lots.gains], lots.open) == ([3], {})


def test_a_gain_is_long_term_after_more_than_a_year() -> None:
    held = {"symbol": "A", "quantity": Decimal(1), "cost": Decimal(1), "proceeds": Decimal(2)}
    year = Gain(opened=date(2013, 1, 2), closed=date(2014, 1, 2), **held)
    longer = Gain(opened=date(2013, 1, 2), closed=date(2014, 1, 3), **held)
    assert (year.is_long_term, longer.is_long_term) == (False, True)


def test_a_split_of_nothing_is_refused() -> None:
    with pytest.raises(TradingError, match="has no lots"):
        fold_lots([cash(EntryKind.SPLIT, "0", "AAPL", "3")])


@given(st.lists(happenings, max_size=25))
def test_lots_and_book_count_the_same_shares_and_the_same_dollars(told: list[Happening]) -> None:
    entries = happened(told)
    book, lots = replay(Book(), entries), fold_lots(entries)
    for symbol, position in book.positions.items():
        open_lots = lots.open.get(symbol, ())
        assert sum(lot.quantity for lot in open_lots) == position.quantity
        gains = sum(gain.gain for gain in lots.gains if gain.symbol == symbol)
        cost = sum(lot.cost for lot in open_lots)
        assert gains - cost == position.realized - position.dividends - position.cost
