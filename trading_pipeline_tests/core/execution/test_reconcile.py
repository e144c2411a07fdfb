"""Differences between our books and the broker's: found, named, and what they stop."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.execution.account import Account, BrokerOrder
from trading_pipeline.core.execution.breaks import Break, BreakKind, Reconciliation, Subject
from trading_pipeline.core.execution.order import OrderState, Side
from trading_pipeline.core.execution.reconcile import Clues, Statement, compare, ours, theirs
from trading_pipeline_tests.fakes import NOW, SESSION, accepted, make_order

NONE = Clues()


def held(cash: str = "1000", **positions: int) -> Statement:
    shares = {symbol: Decimal(quantity) for symbol, quantity in positions.items()}
    return Statement(cash=Decimal(cash), positions=shares)


def only(mine: Statement, other: Statement, clues: Clues = NONE) -> Break:
    (found,) = compare(mine, other, clues)
    return found


def kinds(mine: Statement, other: Statement, clues: Clues = NONE) -> dict[Subject, BreakKind]:
    return {each.subject: each.kind for each in compare(mine, other, clues)}


def test_equal_books_have_no_break() -> None:
    assert compare(held(AAPL=10), held(AAPL=10)) == []


@pytest.mark.parametrize(("cash", "ties"), [("1000.009", True), ("1000.01", False), ("999", False)])
def test_cash_ties_to_the_cent_and_stops_everything_when_it_does_not(cash: str, ties: bool) -> None:
    found = compare(held(), held(cash))
    assert (found == []) is ties
    assert all(each.blocks_everything for each in found)


def test_shares_that_differ_stop_their_symbol_only() -> None:
    found = only(held(AAPL=10, IBM=5), held(AAPL=10, IBM=7))
    assert (found.symbol, found.difference, found.blocks_everything) == ("IBM", 2, False)
    assert found.sentence.startswith("5 shares of IBM against 7")


def test_a_known_split_explains_shares_that_multiplied() -> None:
    clues = Clues(splits={"AAPL": Decimal(7)})
    assert only(held(AAPL=10), held(AAPL=70), clues).kind is BreakKind.CORPORATE_ACTION
    assert only(held(AAPL=10), held(AAPL=71), clues).kind is BreakKind.UNKNOWN


@pytest.mark.parametrize(("mine", "other"), [(10, 40), (40, 10), (-40, -10)])
def test_shares_that_multiply_while_cash_stays_look_like_a_split(mine: int, other: int) -> None:
    found = only(held(AAPL=mine), held(AAPL=other))
    assert found.kind is BreakKind.CORPORATE_ACTION
    assert "no split is known" in found.explanation


def test_an_open_order_explains_shares_that_moved_its_way() -> None:
    order = accepted(make_order("AAPL", quantity=Decimal(10)))[-1]
    orders = {order.client_order_id: order}
    at_broker = BrokerOrder(
        client_order_id=order.client_order_id,
        broker_order_id="b",
        state=OrderState.ACCEPTED,
        body=("AAPL", Side.BUY, Decimal(10)),
    )
    book = ours(Account(cash=Decimal(1000), positions={}), orders)
    account = Account(cash=Decimal(400), positions={"AAPL": Decimal(6)})
    broker = theirs(account, {order.client_order_id: at_broker})
    clues = Clues(prices={"AAPL": Decimal(101)})
    assert kinds(book, broker, clues) == {
        Subject.POSITION: BreakKind.MISSED_FILL,
        Subject.CASH: BreakKind.MISSED_FILL,
    }


def test_shares_and_cash_that_move_against_each_other_are_a_manual_trade() -> None:
    clues = Clues(prices={"AAPL": Decimal(100)})
    found = kinds(held(), held("495", AAPL=5), clues)
    assert set(found.values()) == {BreakKind.MANUAL_TRADE}


def test_a_dividend_that_was_not_told_explains_the_cash() -> None:
    clues = Clues(dividends={"AAPL": Decimal("0.5")})
    found = only(held(AAPL=10), held("1005", AAPL=10), clues)
    assert found.kind is BreakKind.CORPORATE_ACTION


@pytest.mark.parametrize(
    ("cash", "kind"),
    [("997", BreakKind.FEE), ("800", BreakKind.UNKNOWN), ("1003", BreakKind.UNKNOWN)],
)
def test_a_small_amount_that_is_missing_looks_like_a_fee(cash: str, kind: BreakKind) -> None:
    assert only(held(), held(cash)).kind is kind


AT_BROKER = {"x": ("IBM", Side.SELL, Decimal(5))}


def test_an_order_that_we_did_not_send_stops_its_symbol() -> None:
    found = only(held(), replace(held(), orders=AT_BROKER))
    assert (found.kind, found.symbol, found.reference) == (BreakKind.EXTERNAL_ORDER, "IBM", "x")


def test_an_order_of_ours_that_the_broker_has_lost_is_a_break_and_one_in_doubt_is_not() -> None:
    lost = replace(held(), orders=AT_BROKER, resting=frozenset({"x"}))
    assert only(lost, held()).kind is BreakKind.UNKNOWN
    assert compare(replace(lost, resting=frozenset()), held()) == []


def test_an_order_that_the_broker_adjusted_for_a_split_is_named_so() -> None:
    mine = replace(held(), orders=AT_BROKER, resting=frozenset({"x"}))
    split = replace(held(), orders={"x": ("IBM", Side.SELL, Decimal(10))})
    clues = Clues(splits={"IBM": Decimal(2)})
    assert only(mine, split, clues).kind is BreakKind.CORPORATE_ACTION
    assert only(mine, split).kind is BreakKind.UNKNOWN


def test_a_reconciliation_says_what_may_not_be_traded() -> None:
    breaks = compare(held("5", AAPL=1, IBM=2), held("5", AAPL=2, IBM=2))
    found = Reconciliation(
        session=SESSION,
        cause="orders",
        at=NOW,
        orders=0,
        positions=2,
        cash=Decimal(5),
        broker_cash=Decimal(5),
        breaks=tuple(breaks),
    )
    assert list(found.blocked) == ["AAPL"]
    assert not found.blocks_everything
    everything = replace(found, breaks=tuple(compare(held("5"), held("7"))))
    assert everything.blocks_everything
    assert everything.blocked == {}


shares = st.dictionaries(st.sampled_from(["A", "B", "C"]), st.integers(-9, 9).filter(bool))
books = st.builds(
    lambda cash, positions: held(f"{cash}.00", **positions), st.integers(0, 99), shares
)
clues = st.builds(
    lambda splits, prices: Clues(splits=splits, prices=prices, dividends=prices),
    st.dictionaries(st.sampled_from("ABC"), st.sampled_from([Decimal(2), Decimal("0.5")])),
    st.dictionaries(st.sampled_from("ABC"), st.decimals("0.5", "9", places=2)),
)


@given(books, books, clues)
def test_books_are_equal_just_when_nothing_is_broken(
    mine: Statement, other: Statement, known: Clues
) -> None:
    found = compare(mine, other, known)
    same = (mine.cash, mine.positions) == (other.cash, other.positions)
    assert (found == []) is same
    none = Decimal(0)
    names = mine.positions.keys() | other.positions.keys()
    differing = {s for s in names if mine.positions.get(s, none) != other.positions.get(s, none)}
    assert {each.symbol for each in found if each.symbol} == differing
    assert all(each.is_held and each.explanation for each in found)
