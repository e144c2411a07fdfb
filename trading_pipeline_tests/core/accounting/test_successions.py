"""Shares that become other shares: positions move at their cost, and no dollar is made or lost."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting.attribution import Books, replay_parts
from trading_pipeline.core.accounting.book import Book, Entry, EntryKind, post, replay
from trading_pipeline.core.accounting.entries import CashEntry
from trading_pipeline.core.accounting.journal import journal, postings
from trading_pipeline.core.accounting.lots import fold_lots
from trading_pipeline.core.accounting.pnl import Mark, mark
from trading_pipeline.core.accounting.successions import successions
from trading_pipeline.core.execution.account import MarketSession, Succession
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.accounting.entries import FIRST, cash, fill, fills

OPENS = {"AAPL": Decimal(80), "SPUN": Decimal(40), "IBM": Decimal(150)}


def became(symbol: str, new: str | None, shares: str = "1", dollars: str = "0") -> Succession:
    return Succession(
        symbol=symbol,
        keeps=False,
        new_symbol=new,
        new_shares=Decimal(shares),
        dollars=Decimal(dollars),
    )


def spun(symbol: str, new: str, shares: str, dollars: str = "0") -> Succession:
    return Succession(
        symbol=symbol,
        keeps=True,
        new_symbol=new,
        new_shares=Decimal(shares),
        dollars=Decimal(dollars),
    )


def told(
    held: dict[str, str], *found: Succession, opens: dict[str, Decimal] | None = None
) -> list[CashEntry]:
    market = MarketSession(
        session=FIRST.replace(day=30),
        opens=OPENS if opens is None else opens,
        closes={},
        splits={},
        dividends={},
        successions=found,
    )
    before = dict.fromkeys(held, Decimal(100))
    return list(successions(market, {name: Decimal(q) for name, q in held.items()}, before))


def after(opening: list[Entry], *found: Succession) -> Book:
    book = replay(Book(), opening)
    held = {name: str(p.quantity) for name, p in book.positions.items() if p.quantity}
    return replay(book, told(held, *found))


def test_a_renamed_position_moves_at_its_cost_and_realizes_nothing() -> None:
    book = after([fill("FB", "10.5", "100.333333")], became("FB", "META"))
    old, new = book.position("FB"), book.position("META")
    assert (old.quantity, old.cost, old.realized) == (0, 0, 0)
    assert (new.quantity, new.cost) == (Decimal("10.5"), Decimal("1053.4999965"))


def test_a_spin_off_delivers_shares_that_take_their_part_of_the_cost() -> None:
    book = after([fill("AAPL", "10", "60")], spun("AAPL", "SPUN", "0.5", "20"))
    assert (book.quantity("AAPL"), book.quantity("SPUN")) == (10, 5)
    assert (book.position("AAPL").cost, book.position("SPUN").cost) == (480, 120)
    assert book.cash == -600


def test_a_fraction_of_a_spun_off_share_is_paid_at_the_open() -> None:
    (entry,) = told({"AAPL": "9"}, spun("AAPL", "SPUN", "0.5", "20"))
    assert (entry.new_quantity, entry.amount) == (4, 20)


def test_a_spin_off_that_does_not_trade_is_paid_out_at_its_worth() -> None:
    (entry,) = told({"AAPL": "9"}, spun("AAPL", "SPUN", "0.5", "20"), opens={})
    assert (entry.kind, entry.amount, entry.quantity) == (EntryKind.DIVIDEND, 180, 0)
    (entry,) = told({"AAPL": "8"}, spun("AAPL", "SPUN", "0.5"), opens={})
    assert (entry.kind, entry.new_quantity, entry.cost_share) == (EntryKind.SUCCESSION, 4, 0)


@pytest.mark.parametrize(("shares", "realized"), [("10", 150), ("-10", -150)])
def test_a_delisting_for_cash_closes_longs_and_shorts(shares: str, realized: int) -> None:
    book = after([fill("WM", shares, "10")], became("WM", None, "1", "25"))
    assert (book.quantity("WM"), book.position("WM").realized) == (0, realized)


def test_a_worthless_delisting_is_a_loss_of_all_it_cost() -> None:
    book = after([fill("WM", "10", "10")], became("WM", None))
    assert (book.quantity("WM"), book.position("WM").realized, book.cash) == (0, -100, -100)


def test_cash_of_a_merger_gives_back_cost_first_and_the_rest_moves_on() -> None:
    book = after([fill("WM", "10", "10")], became("WM", "IBM", "0.5", "4"))
    assert (book.quantity("IBM"), book.position("IBM").cost) == (5, 60)
    assert book.position("WM").realized == 0
    rich = after([fill("WM", "10", "10")], became("WM", "IBM", "0.5", "14"))
    assert (rich.position("IBM").cost, rich.position("WM").realized) == (0, 40)


def test_shares_that_become_shares_which_are_owed_close_both() -> None:
    book = after([fill("WM", "10", "10"), fill("IBM", "-4", "30")], became("WM", "IBM"))
    assert (book.quantity("IBM"), book.position("IBM").cost) == (6, 60)
    assert book.position("IBM").realized == 80


@pytest.mark.parametrize(
    ("shares", "wrong"),
    [("-4", {}), ("-10", {"cost_share": Decimal(2)}), ("-10", {"new_symbol": "AAPL"})],
)
def test_a_succession_that_cannot_have_happened_is_refused(
    shares: str, wrong: dict[str, Any]
) -> None:
    book = replay(Book(), [fill("AAPL", "10", "100")])
    given: dict[str, Any] = {"new_symbol": "IBM", "new_quantity": Decimal(1)} | wrong
    with pytest.raises(TradingError, match="all or none"):
        post(book, cash(EntryKind.SUCCESSION, "0", "AAPL", shares, **given))


def test_a_rename_moves_nothing_between_the_accounts() -> None:
    book = replay(Book(), [fill("FB", "10", "100")])
    (entry,) = told({"FB": "10"}, became("FB", "META"))
    assert postings(book, entry) == {}


chains = st.lists(
    st.builds(became, st.sampled_from(["AAPL", "IBM"]), st.sampled_from(["SPUN", "NEW", None]),
              st.sampled_from(["1", "0.5", "0.333333", "3"]), st.sampled_from(["0", "7.77"]))
    | st.builds(spun, st.sampled_from(["AAPL", "IBM"]), st.sampled_from(["SPUN", "NEW"]),
                st.sampled_from(["0.1", "0.5", "2"]), st.sampled_from(["0", "12.5"])),
    max_size=4,
)  # fmt: skip


@given(st.lists(fills, max_size=8), chains)
def test_whatever_becomes_of_shares_every_dollar_and_share_is_accounted_for(
    bought: list[Entry], found: list[Succession]
) -> None:
    before = replay(Book(), bought)
    held = {name: str(p.quantity) for name, p in before.positions.items() if p.quantity}
    entries = [*bought, *told(held, *found)]
    book = replay(Book(), entries)
    moved: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in told(held, *found):
        moved[entry.symbol or ""] += entry.quantity
        moved[entry.new_symbol or ""] += entry.new_quantity or 0
    assert all(book.quantity(s) == before.quantity(s) + q for s, q in moved.items() if s)
    marks = {symbol: Mark(price=Decimal(7), source="close") for symbol in book.positions}
    assert mark(book, marks, FIRST).nav == book.cash + 7 * sum(
        p.quantity for p in book.positions.values()
    )
    assert journal(None, entries).imbalance == 0
    _parts_add_up(entries, book)
    lots = fold_lots(entries)
    gains = sum(gain.gain for gain in lots.gains)
    cost = sum(lot.cost for its in lots.open.values() for lot in its)
    its = book.positions.values()
    assert gains - cost == sum(p.realized - p.dividends - p.cost for p in its)
    for symbol in book.positions:
        open_shares = sum(lot.quantity for lot in lots.open.get(symbol, ()))
        assert open_shares == book.quantity(symbol)


def _parts_add_up(entries: list[Entry], book: Book) -> None:
    parts = replay_parts(Books(), entries).parts.values()
    assert sum(part.cash for part in parts) == book.cash
    for symbol in book.positions:
        assert sum(part.quantity(symbol) for part in parts) == book.quantity(symbol)
