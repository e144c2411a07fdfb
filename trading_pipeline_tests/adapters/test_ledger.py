"""The ledger's contract: every test here runs on SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, EntryKind, replay
from trading_pipeline.core.execution.order import OPEN, OrderState, Side, move, record
from trading_pipeline.errors import IllegalTransitionError, SettingsError, TradingError
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    STRATEGY,
    accepted,
    filled,
    make_decision,
    make_entry,
    make_fill,
    make_order,
)

NEXT = date(2012, 6, 4)
BUY = make_order("AAPL")
SELL = make_order("IBM", Side.SELL, sequence=2)


@pytest.fixture
def decided(ledger: Ledger) -> Ledger:
    assert ledger.record_decision(make_decision(), [BUY, SELL], {"MSFT": "zero_weight"})
    return ledger


def test_a_decision_is_kept_with_its_orders_and_skips(decided: Ledger) -> None:
    assert decided.decision(STRATEGY, SESSION) == make_decision()
    assert decided.orders() == [BUY, SELL]
    assert decided.skips(STRATEGY, SESSION) == {"MSFT": "zero_weight"}


def test_a_session_is_decided_once(decided: Ledger) -> None:
    other = make_order("GOOG", sequence=3)
    assert not decided.record_decision(make_decision(run_id="run-2"), [other], {"FB": "x"})
    assert decided.decision(STRATEGY, SESSION) == make_decision()
    assert decided.orders() == [BUY, SELL]
    assert "FB" not in decided.skips(STRATEGY, SESSION)


def test_a_decision_without_orders_is_a_decision(ledger: Ledger) -> None:
    assert ledger.record_decision(make_decision(), [])
    assert not ledger.record_decision(make_decision(), [BUY])


def test_an_order_of_another_session_is_no_part_of_a_decision(ledger: Ledger) -> None:
    with pytest.raises(TradingError, match="another decision"):
        ledger.record_decision(make_decision(), [make_order(session=NEXT)])
    assert ledger.decision(STRATEGY, SESSION) is None


def test_a_decision_with_an_id_used_before_is_refused_whole(decided: Ledger) -> None:
    reused = replace(BUY, session=NEXT)
    with pytest.raises(TradingError):
        decided.record_decision(make_decision(NEXT), [reused])
    assert decided.decision(STRATEGY, NEXT) is None


def test_the_last_decision_is_that_of_the_newest_session(decided: Ledger) -> None:
    assert decided.record_decision(make_decision(NEXT), [])
    assert decided.record_decision(make_decision(date(2012, 5, 1), strategy="other"), [])
    last = decided.last_decision(STRATEGY)
    assert last is not None
    assert last.session == NEXT
    assert decided.first_session() == date(2012, 5, 1)
    assert decided.last_decision("nobody") is None


def test_a_blocked_order_keeps_its_code_and_reason(ledger: Ledger) -> None:
    blocked = move(BUY, OrderState.BLOCKED, code="order_value", reason="Too large.")
    ledger.record_decision(make_decision(), [blocked])
    assert ledger.orders() == [blocked]


def test_an_order_stands_where_its_last_event_left_it(decided: Ledger) -> None:
    for step in accepted(BUY):
        decided.append_event(step, at=NOW)
    assert decided.orders() == [accepted(BUY)[-1], SELL]
    assert decided.orders(states=[OrderState.PLANNED]) == [SELL]
    assert decided.orders(states=OPEN, session=SESSION, strategy=STRATEGY) == decided.orders()
    assert decided.orders(session=NEXT) == decided.orders(strategy="other") == []
    assert decided.orders(states=[]) == []


def test_orders_come_by_session_and_sequence(decided: Ledger) -> None:
    early = date(2012, 5, 31)
    decided.record_decision(make_decision(early), [make_order(session=early)])
    assert [(order.session, order.sequence) for order in decided.orders()] == [
        (early, 1),
        (SESSION, 1),
        (SESSION, 2),
    ]


def test_a_move_that_the_table_does_not_have_is_refused(decided: Ledger) -> None:
    with pytest.raises(IllegalTransitionError):
        decided.append_event(accepted(BUY)[-1], at=NOW)  # SUBMITTING was left out
    assert decided.orders()[0].state is OrderState.PLANNED


def test_the_same_move_by_a_second_process_is_refused(decided: Ledger) -> None:
    sent = move(BUY, OrderState.SUBMITTING)
    decided.append_event(sent, at=NOW)
    with pytest.raises(IllegalTransitionError, match="Another process"):
        decided.append_event(sent, at=NOW)


def test_an_order_nobody_decided_cannot_move(ledger: Ledger) -> None:
    with pytest.raises(TradingError, match="not in the ledger"):
        ledger.append_event(move(BUY, OrderState.SUBMITTING), at=NOW)


def test_facts_are_appended_whole_or_not_at_all(decided: Ledger) -> None:
    steps = filled(BUY, make_fill(BUY))
    with pytest.raises(IllegalTransitionError):
        decided.append(
            at=NOW,
            orders=[*steps, steps[-1]],
            fills=[make_fill(BUY)],
            entries=[make_entry()],
            settled=[NEXT],
        )
    assert decided.entries() == []
    assert decided.orders() == [BUY, SELL]
    assert decided.last_settlement() is None


def test_facts_told_twice_are_kept_once(decided: Ledger) -> None:
    fill, entry = make_fill(BUY), make_entry()
    told = decided.append(
        at=NOW, orders=filled(BUY, fill), fills=[fill], entries=[entry], settled=[NEXT]
    )
    again = decided.append(at=NOW, fills=[fill, fill], entries=[entry, entry], settled=[NEXT])
    assert (told, again) == (([fill], [entry]), ([], []))
    assert decided.append_fills([fill]) == decided.append_cash_entries([entry]) == 0
    assert sorted(decided.entries(), key=repr) == sorted([entry, fill], key=repr)
    assert decided.last_settlement() == NEXT


def test_one_id_with_two_contents_is_refused(decided: Ledger) -> None:
    fill = make_fill(BUY)
    decided.append_fills([fill])
    with pytest.raises(TradingError, match="another content"):
        decided.append_fills([replace(fill, price=Decimal("101.2346"))])
    with pytest.raises(TradingError, match="another content"):
        decided.append_cash_entries([make_entry(), make_entry(amount="1")])
    assert decided.entries() == [fill]


def test_a_fill_of_an_order_nobody_decided_is_refused(ledger: Ledger) -> None:
    with pytest.raises(TradingError):
        ledger.append_fills([make_fill(BUY)])


def test_an_order_is_never_fuller_than_its_fills(decided: Ledger) -> None:
    with pytest.raises(TradingError, match="add up to 0"):
        decided.append(at=NOW, orders=filled(BUY, make_fill(BUY)))
    assert decided.orders()[0] == BUY


def test_a_partial_fill_is_never_lost_to_a_process_that_did_not_see_it(decided: Ledger) -> None:
    first, second = make_fill(BUY, 4), make_fill(BUY, 6, number=2)
    sent = accepted(BUY)
    decided.append(at=NOW, orders=[*sent, record(sent[-1], first)], fills=[first])
    with pytest.raises(TradingError):
        decided.append(at=NOW, orders=[record(sent[-1], second)], fills=[second])
    assert decided.fills([BUY.client_order_id]) == [first]
    decided.append(at=NOW, orders=[record(decided.orders()[0], second)], fills=[second])
    assert decided.orders()[0].state is OrderState.FILLED
    assert decided.fills([BUY.client_order_id, "other"]) == [first, second]


def test_entries_stop_at_the_session_asked_for(decided: Ledger) -> None:
    fill = make_fill(BUY)
    decided.append(at=NOW, fills=[fill], entries=[make_entry()])
    assert decided.entries(SESSION) == [make_entry()]
    assert len(decided.entries(NEXT)) == len(decided.entries()) == 2
    assert decided.entries(date(2012, 5, 31)) == []


def test_the_book_of_the_ledger_is_that_of_the_facts(decided: Ledger) -> None:
    facts = [make_entry(), make_fill(BUY), make_fill(SELL, 3)]
    decided.append(at=NOW, fills=facts[1:], entries=facts[:1])
    assert replay(Book(), decided.entries()) == replay(Book(), facts)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.decimals(allow_nan=False, allow_infinity=False, places=12, max_value=10**12),
            st.decimals(allow_nan=False, allow_infinity=False),
            st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_numbers_and_times_come_back_as_they_went_in(
    ledger: Ledger, rows: list[tuple[Decimal, Decimal, datetime]]
) -> None:
    entries = [
        make_entry(
            f"{amount}/{quantity}/{at}",
            amount=str(amount),
            quantity=quantity,
            at=at,
            kind=EntryKind.SPLIT,
            symbol="AAPL",
        )
        for amount, quantity, at in dict.fromkeys(rows)
    ]
    ledger.append_cash_entries(entries)
    held = {entry.entry_id: entry for entry in ledger.entries() if hasattr(entry, "entry_id")}
    assert [held[entry.entry_id] for entry in entries] == entries


def test_a_time_without_a_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(SettingsError, match="no time zone"):
        ledger.append_cash_entries([make_entry(at=NOW.replace(tzinfo=None))])


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_an_amount_that_is_no_number_is_refused(ledger: Ledger, amount: str) -> None:
    with pytest.raises(SettingsError, match="finite"):
        ledger.append_cash_entries([make_entry(amount=amount)])
