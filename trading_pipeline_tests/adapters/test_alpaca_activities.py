"""Account activities of Alpaca as entries: corporate actions in legs, and what stays unbooked."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from trading_pipeline.adapters.alpaca_broker import AlpacaBroker
from trading_pipeline.adapters.alpaca_broker.activities import entries_of
from trading_pipeline.core.accounting.book import Book, EntryKind, replay
from trading_pipeline.core.execution.order import Side
from trading_pipeline.core.execution.reports import unbooked
from trading_pipeline.core.market.calendar import next_session, session_open
from trading_pipeline_tests.alpaca_twin import AlpacaTwin
from trading_pipeline_tests.alpaca_twin.actions import spin_off, split, succeed
from trading_pipeline_tests.alpaca_twin.brokers import broker_of
from trading_pipeline_tests.alpaca_twin.exchange import Exchange
from trading_pipeline_tests.fakes import SESSION, make_order

D = Decimal
PRICES = {"source_symbol": "AAPL", "source_qty": "10", "source_price": "30", "new_price": "20"}

ACTIONS: dict[str, tuple[Callable[[Exchange], None], dict[str, tuple[str, str]]]] = {
    "a split": (lambda at: split(at, "AAPL", D("1.5")), {"AAPL": ("15", "1000")}),
    "a reverse split": (lambda at: split(at, "AAPL", D("0.1")), {"AAPL": ("1", "1000")}),
    "a name change": (lambda at: succeed(at, "NC", "AAPL", "NEW"), {"NEW": ("10", "1000")}),
    "a merger": (lambda at: succeed(at, "MA", "AAPL", "NEW", rate="0.2"), {"NEW": ("2", "1000")}),
    "a merger for cash": (lambda at: succeed(at, "MA", "AAPL", None, paid="120"), {}),
    "a merger for both": (
        lambda at: succeed(at, "MA", "AAPL", "NEW", paid="21"),
        {"NEW": ("10", "790")},
    ),
    "shares worth nothing": (lambda at: succeed(at, "REORG", "AAPL", None), {}),
    "a spin-off": (
        lambda at: spin_off(at, "AAPL", "NEW", "0.5", **PRICES),
        {"AAPL": ("10", "750"), "NEW": ("5", "250")},
    ),
}


def holding(twin: AlpacaTwin, side: Side = Side.BUY) -> tuple[AlpacaBroker, Callable[[], Book]]:
    """A broker at the twin with ten shares of AAPL at 100, and how its account is folded."""
    broker, order = broker_of(twin), make_order(side=side)
    broker.submit(order)
    for session in (next_session(SESSION), next_session(next_session(SESSION))):
        twin.exchange.move_to(session_open(session))

    def book() -> Book:
        fills = unbooked(order, broker.fills([order.client_order_id]))
        return replay(Book(), [*broker.activities(), *fills])

    return broker, book


@pytest.mark.parametrize("what", ACTIONS)
def test_a_corporate_action_in_legs_is_one_entry_with_its_cost(
    alpaca: AlpacaTwin, what: str
) -> None:
    broker, book = holding(alpaca)
    happen, left = ACTIONS[what]
    happen(alpaca.exchange)
    folded, account = book(), broker.account()
    held = {p.symbol: (p.quantity, p.cost) for p in folded.positions.values() if p.quantity}
    assert held == {symbol: (D(shares), D(cost)) for symbol, (shares, cost) in left.items()}
    assert (folded.cash, {s: q for s, (q, _) in held.items()}) == (account.cash, account.positions)
    assert len(broker.activities()) == 2


def test_a_short_follows_a_change_of_name(alpaca: AlpacaTwin) -> None:
    broker, book = holding(alpaca, Side.SELL)
    succeed(alpaca.exchange, "NC", "AAPL", "NEW")
    assert book().quantity("NEW") == -10
    assert broker.account().positions == {"NEW": -10}


def test_legs_without_a_group_are_those_of_one_kind_and_date() -> None:
    legs = [
        {"id": "1", "activity_type": "NC", "date": "2012-06-04", "symbol": "NEW", "qty": "10"},
        {"id": "2", "activity_type": "NC", "date": "2012-06-04", "symbol": "OLD", "qty": "-10"},
    ]
    (entry,) = entries_of(legs)
    assert (entry.entry_id, entry.kind, entry.symbol) == ("2", EntryKind.SUCCESSION, "OLD")
    assert (entry.quantity, entry.new_symbol, entry.new_quantity) == (-10, "NEW", 10)


@pytest.mark.parametrize(
    "legs",
    [
        [("NC", "OLD", "-10", "0")],
        [("MA", "OLD", "-10", "0")],
        [("MA", "OLD", "0", "300")],
        [("SPIN", "NEW", "5", "0")],
        [("NC", "A", "-1", "0"), ("NC", "B", "-2", "0"), ("NC", "C", "3", "0")],
        [("SPLIT", "UNIT", "-8", "0"), ("SPLIT", "SHARE", "8", "0"), ("SPLIT", "RIGHT", "2", "0")],
        [("ACATS", "A", "5", "0")],
    ],
)
def test_what_is_told_in_part_is_left_to_reconciliation(
    legs: list[tuple[str, str, str, str]],
) -> None:
    told = [
        {
            "id": str(number),
            "activity_type": kind,
            "date": "2012-06-04",
            "symbol": symbol,
            "qty": shares,
            "net_amount": cash,
            "group_id": "one",
        }
        for number, (kind, symbol, shares, cash) in enumerate(legs)
    ]
    assert entries_of(told) == []


def test_what_was_taken_back_is_not_booked() -> None:
    told = {"id": "1", "activity_type": "DIV", "date": "2012-06-04", "net_amount": "5"}
    assert entries_of([{**told, "status": "canceled"}]) == []
    assert len(entries_of([{**told, "status": "correct"}])) == 1
