"""The book: fills, cash and corporate actions by average cost, exactly."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting.book import (
    Book,
    Entry,
    EntryKind,
    Position,
    expect,
    post,
    replay,
)
from trading_pipeline.core.execution.order import Fill, Order, Side
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.accounting.entries import (
    FIRST,
    Happening,
    apply,
    at,
    cash,
    entries,
    fill,
    happenings,
    prices,
    shares_of,
)

EMPTY = Book()


def position_after(*entries: Entry, symbol: str = "AAPL") -> Position:
    return replay(EMPTY, entries).position(symbol)


def test_opening_takes_the_price_of_the_fill() -> None:
    after = position_after(fill("AAPL", "10", "100"))
    assert (after.quantity, after.average_cost, after.realized) == (10, 100, 0)


def test_adding_averages_by_shares_and_realizes_nothing() -> None:
    after = position_after(fill("AAPL", "10", "100"), fill("AAPL", "30", "120"))
    assert (after.quantity, after.average_cost, after.realized) == (40, 115, 0)


def test_selling_five_of_ten_bought_at_100_for_120_realizes_100_and_keeps_the_average() -> None:
    after = position_after(fill("AAPL", "10", "100"), fill("AAPL", "-5", "120", day=1))
    assert (after.quantity, after.average_cost, after.realized) == (5, 100, 100)


def test_flipping_ten_long_to_five_short_realizes_on_the_old_ten_only() -> None:
    after = position_after(fill("AAPL", "10", "100"), fill("AAPL", "-15", "120", day=1))
    assert (after.quantity, after.average_cost, after.realized) == (-5, 120, 200)


def test_covering_a_short_below_its_price_is_a_gain() -> None:
    after = position_after(fill("AAPL", "-10", "100"), fill("AAPL", "4", "90", day=1))
    assert (after.quantity, after.average_cost, after.realized) == (-6, 100, 40)


def test_a_closed_position_stays_in_the_book_with_its_gain() -> None:
    book = replay(EMPTY, [fill("AAPL", "10", "100"), fill("AAPL", "-10", "60", day=1)])
    after = book.positions["AAPL"]
    assert (after.quantity, after.cost, after.average_cost, after.realized) == (0, 0, None, -400)


def test_commissions_are_fees_and_no_part_of_the_gain() -> None:
    book = replay(EMPTY, [fill("AAPL", "1", "100", fee="1"), fill("AAPL", "-1", "100", fee="2")])
    assert (book.position("AAPL").realized, book.position("AAPL").fees) == (0, 3)
    assert (book.fees, book.cash) == (3, -3)


def test_thirds_of_a_cent_are_kept_by_the_shares_that_remain() -> None:
    bought = [fill("AAPL", "2", "10"), fill("AAPL", "1", "10.01")]
    part = replay(EMPTY, [*bought, fill("AAPL", "-1", "10.01", day=1)]).position("AAPL")
    assert (part.realized, part.cost) == (Decimal("0.0067"), Decimal("20.0067"))
    whole = replay(
        EMPTY, [*bought, fill("AAPL", "-1", "10.01", day=1), fill("AAPL", "-2", "10.01", day=2)]
    )
    assert whole.position("AAPL").realized == Decimal("0.02")


def test_a_dividend_is_earned_by_longs_and_owed_by_shorts() -> None:
    book = replay(
        EMPTY,
        [
            fill("AAPL", "10", "100"),
            fill("MSFT", "-10", "30"),
            cash(EntryKind.DIVIDEND, "26.50", "AAPL", day=1),
            cash(EntryKind.DIVIDEND, "-2.30", "MSFT", day=1),
        ],
    )
    assert book.position("AAPL").realized == book.position("AAPL").dividends == Decimal("26.50")
    assert book.position("MSFT").realized == Decimal("-2.30")
    assert book.cash == -1000 + 300 + Decimal("24.20")


@pytest.mark.parametrize(("held", "change"), [("100", "300"), ("-100", "-300")])
def test_a_split_changes_shares_and_average_but_not_the_cost(held: str, change: str) -> None:
    after = position_after(
        fill("AAPL", held, "400"), cash(EntryKind.SPLIT, "0", "AAPL", change, day=1)
    )
    assert (after.quantity, after.average_cost, after.realized) == (
        Decimal(held) * 4,
        100,
        0,
    )


def test_cash_in_lieu_gives_back_cost() -> None:
    after = position_after(fill("AAPL", "5", "90"), cash(EntryKind.SPLIT, "30", "AAPL", "2", day=1))
    assert (after.quantity, after.cost, after.realized) == (7, 420, 0)


def test_cash_in_lieu_beyond_the_cost_is_a_gain() -> None:
    after = position_after(
        fill("AAPL", "3", "10"), cash(EntryKind.SPLIT, "1000", "AAPL", "-2", day=1)
    )
    assert (after.quantity, after.cost, after.realized) == (1, 0, 970)


def test_a_reverse_split_that_leaves_only_cash_closes_the_position() -> None:
    after = position_after(
        fill("AAPL", "3", "10"), cash(EntryKind.SPLIT, "33", "AAPL", "-3", day=1)
    )
    assert (after.quantity, after.cost, after.realized) == (0, 0, 3)


def test_cash_put_in_and_taken_out_is_no_gain() -> None:
    book = replay(
        EMPTY, [cash(EntryKind.DEPOSIT, "1000"), cash(EntryKind.WITHDRAWAL, "-400", day=1)]
    )
    assert (book.cash, book.cash_in, book.fees) == (600, 600, 0)


def test_a_fee_is_booked_to_the_account_or_to_its_symbol() -> None:
    book = replay(EMPTY, [cash(EntryKind.FEE, "-3"), cash(EntryKind.FEE, "-2", "AAPL")])
    assert (book.fees, book.cash, book.position("AAPL").fees) == (5, -5, 2)


def test_borrow_costs_and_interest_earned_stand_among_the_fees() -> None:
    book = replay(
        EMPTY, [cash(EntryKind.BORROW, "-3", "AAPL"), cash(EntryKind.INTEREST, "5", name="i")]
    )
    assert (book.cash, book.fees, book.position("AAPL").fees) == (2, -2, 3)


def test_a_trade_past_this_system_is_booked_with_what_it_cost_beyond_its_value() -> None:
    book = replay(EMPTY, [shares_of(EntryKind.TRADE, "AAPL", "10", "100", fee="1.5")])
    assert (book.quantity("AAPL"), book.position("AAPL").cost) == (10, 1000)
    assert (book.cash, book.fees, book.cash_in) == (Decimal("-1001.5"), Decimal("1.5"), 0)


def test_shares_that_come_in_kind_are_put_in_at_their_price() -> None:
    book = replay(
        EMPTY,
        [
            shares_of(EntryKind.TRANSFER, "AAPL", "10", "100"),
            shares_of(EntryKind.TRANSFER, "AAPL", "-4", "120", day=1),
        ],
    )
    assert (book.cash, book.cash_in) == (0, 1000 - 480)
    assert (book.quantity("AAPL"), book.position("AAPL").realized) == (6, 80)


IMPOSSIBLE = [
    replace(shares_of(EntryKind.TRADE, "AAPL", "1", "1"), price=None),
    replace(shares_of(EntryKind.TRANSFER, "AAPL", "1", "1"), quantity=Decimal(0)),
    replace(shares_of(EntryKind.TRANSFER, "AAPL", "1", "1"), amount=Decimal(1)),
    cash(EntryKind.DEPOSIT, "-1"),
    cash(EntryKind.WITHDRAWAL, "1"),
    cash(EntryKind.DIVIDEND, "1"),
    cash(EntryKind.SPLIT, "0", None, "1"),
    cash(EntryKind.SPLIT, "0", "MSFT", "1"),
    cash(EntryKind.SPLIT, "0", "AAPL", "-11"),
    replace(fill("AAPL", "1", "1"), quantity=Decimal(0)),
    fill("AAPL", "1", "0"),
    fill("AAPL", "1", "1", fee="-1"),
]


@pytest.mark.parametrize("entry", IMPOSSIBLE)
def test_an_entry_that_cannot_have_happened_is_refused(entry: Entry) -> None:
    with pytest.raises(TradingError, match=r"expected|names no symbol"):
        post(replay(EMPTY, [fill("AAPL", "10", "100")]), entry)


def test_a_split_is_posted_before_the_fills_of_its_session() -> None:
    told = [
        fill("AAPL", "-200", "100", day=1, name="a"),
        cash(EntryKind.SPLIT, "0", "AAPL", "300", day=1, name="z"),
        fill("AAPL", "100", "400", name="b"),
    ]
    after = position_after(*told)
    assert (after.quantity, after.average_cost, after.realized) == (200, 100, 0)


def test_fills_of_a_session_are_posted_in_the_order_they_happened() -> None:
    bought, sold, later = (
        replace(fill("AAPL", shares, price, name=name), filled_at=at(day))
        for day, (shares, price, name) in enumerate(
            [("10", "100", "b"), ("-5", "120", "c"), ("10", "140", "a")]
        )
    )
    after = position_after(later, sold, bought)
    assert (after.quantity, after.realized) == (15, 100)


def test_two_different_entries_with_one_id_are_a_broken_record() -> None:
    with pytest.raises(TradingError, match="different entries bear the id twin"):
        replay(EMPTY, [fill("AAPL", "1", "1", name="twin"), fill("AAPL", "2", "1", name="twin")])


def test_a_fill_and_a_cash_entry_may_share_an_id() -> None:
    book = replay(EMPTY, [fill("AAPL", "1", "5", name="1"), cash(EntryKind.DEPOSIT, "5", name="1")])
    assert (book.cash, book.quantity("AAPL")) == (0, 1)


def test_posting_leaves_the_old_book_as_it_was() -> None:
    before = replay(EMPTY, [fill("AAPL", "10", "100")])
    copy = replace(before, positions=dict(before.positions))
    post(before, fill("AAPL", "5", "100"))
    assert before == copy


def test_the_expected_book_counts_what_remains_of_an_order_and_no_fees() -> None:
    order = Order(
        client_order_id="o",
        strategy="s",
        session=FIRST,
        sequence=1,
        symbol="AAPL",
        side=Side.SELL,
        quantity=Decimal(10),
        reference_price=Decimal(100),
        target_weight=-0.5,
        filled_quantity=Decimal(4),
    )
    after = expect(EMPTY, order, Decimal(50))
    assert (after.quantity("AAPL"), after.cash, after.fees) == (-6, 300, 0)


def assert_balanced(book: Book) -> None:
    """The identity of the book, in fractions, which know no rounding."""
    positions = book.positions.values()
    realized = sum(Fraction(p.realized) for p in positions)
    cost = sum(Fraction(p.cost) for p in positions)
    assert Fraction(book.cash) == Fraction(book.cash_in) + realized - cost - Fraction(book.fees)
    for position in positions:
        assert position.quantity or not position.cost
        assert position.cost * position.quantity >= 0


@given(st.lists(happenings, max_size=25))
def test_cash_is_cash_put_in_plus_realized_less_cost_and_fees_to_the_last_digit(
    happened: list[Happening],
) -> None:
    book = EMPTY
    for what in happened:
        book = apply(book, what)
        assert_balanced(book)


@given(st.lists(entries, max_size=25), st.randoms(use_true_random=False))
def test_replaying_duplicates_in_any_order_is_replaying_once(
    happened: list[Entry], random: object
) -> None:
    told = [*happened, *happened[::2]]
    random.shuffle(told)
    assert replay(EMPTY, told) == replay(EMPTY, happened)


@given(st.lists(entries, max_size=25), st.integers(0, 9))
def test_replay_can_be_resumed_at_any_session(happened: list[Entry], day: int) -> None:
    limit = fill("X", "1", "1", day=day).session
    early = [entry for entry in happened if entry.session <= limit]
    late = [entry for entry in happened if entry.session > limit]
    assert replay(replay(EMPTY, early), late) == replay(EMPTY, happened)


def average_cost_oracle(trades: list[Fill]) -> tuple[Fraction, Fraction, Fraction]:
    """Quantity, cost and realized gain by the schoolbook, one share after another."""
    held: list[Fraction] = []
    sign, realized = 0, Fraction(0)
    for trade in trades:
        for _ in range(int(trade.quantity)):
            price = Fraction(trade.price)
            if held and sign != trade.side.sign:
                average = sum(held, Fraction(0)) / len(held)
                realized += (price - average) * sign
                held = [average] * (len(held) - 1)
            else:
                sign = trade.side.sign
                held.append(price)
    return Fraction(sign * len(held)), sign * sum(held, Fraction(0)), realized


small = st.integers(-6, 6).filter(bool).map(str)


@given(st.lists(st.tuples(small, prices), max_size=8))
def test_the_book_agrees_with_counting_shares_one_by_one(trades: list[tuple[str, str]]) -> None:
    filled = [fill("AAPL", quantity, price) for quantity, price in trades]
    after = position_after(*filled)
    quantity, cost, realized = average_cost_oracle(filled)
    assert after.quantity == quantity
    # each partial close rounds once, by less than a ten-thousandth of a dollar
    allowed = Fraction(len(trades), 10_000)
    assert abs(Fraction(after.cost) - cost) <= allowed
    assert abs(Fraction(after.realized) - realized) <= allowed
