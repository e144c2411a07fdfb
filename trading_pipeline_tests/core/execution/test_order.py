"""Orders: the table of legal moves, fills and the deterministic id."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.execution.order import (
    MOVES,
    OPEN,
    TERMINAL,
    Cause,
    Fill,
    Order,
    OrderState,
    OrderType,
    Side,
    client_order_id,
    move,
    record,
)
from trading_pipeline.errors import IllegalTransitionError, SettingsError, TradingError

SESSION = date(2013, 1, 2)
S = OrderState


def order(state: OrderState = S.ACCEPTED, quantity: str = "10", **fields: object) -> Order:
    plain = Order(
        client_order_id="id",
        strategy="alpha_baseline",
        session=SESSION,
        sequence=1,
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(quantity),
        reference_price=Decimal(100),
        target_weight=0.5,
        state=state,
    )
    return replace(plain, **fields)


def fill(quantity: str, price: str = "100", **fields: object) -> Fill:
    plain = Fill(
        fill_id="fill",
        client_order_id="id",
        strategy="alpha_baseline",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal(1),
        session=SESSION,
        filled_at=datetime(2013, 1, 3, 14, 30, tzinfo=UTC),
    )
    return replace(plain, **fields)


def test_a_filled_order_cannot_be_canceled() -> None:
    with pytest.raises(IllegalTransitionError, match="from filled to canceled"):
        move(order(S.FILLED), S.CANCELED)


def test_a_late_acceptance_never_overwrites_a_fill() -> None:
    for state in (S.PARTIALLY_FILLED, S.FILLED):
        with pytest.raises(IllegalTransitionError):
            move(order(state), S.ACCEPTED)


def test_only_a_fill_makes_an_order_filled() -> None:
    with pytest.raises(IllegalTransitionError, match="but by a fill"):
        move(order(S.ACCEPTED), S.FILLED)


def test_an_unknown_order_is_left_only_by_what_a_look_up_found() -> None:
    with pytest.raises(IllegalTransitionError, match="but by a look-up at the broker"):
        move(order(S.UNKNOWN), S.ACCEPTED)
    with pytest.raises(IllegalTransitionError):
        record(order(S.UNKNOWN), fill("10"))
    found = move(order(S.UNKNOWN), S.ACCEPTED, broker_order_id="b-1")
    assert (found.state, found.broker_order_id) == (S.ACCEPTED, "b-1")
    assert move(order(S.UNKNOWN), S.SUBMITTING).state is S.SUBMITTING


def test_a_blocked_order_can_go_nowhere() -> None:
    for to in S:
        with pytest.raises(IllegalTransitionError, match="it is done"):
            move(order(S.BLOCKED), to)


def test_a_move_keeps_what_was_known_and_adds_what_is_new() -> None:
    moved = move(order(S.ACCEPTED, broker_order_id="b-1"), S.REJECTED, code="42", reason="no cash")
    assert (moved.broker_order_id, moved.code, moved.reason) == ("b-1", "42", "no cash")


def test_two_partial_fills_of_five_and_five_fill_ten_not_fifteen() -> None:
    half = record(order(), fill("5", "100"))
    assert (half.state, half.filled_quantity) == (S.PARTIALLY_FILLED, 5)
    whole = record(half, fill("5", "103"))
    assert (whole.state, whole.filled_quantity) == (S.FILLED, 10)
    assert whole.average_fill_price == Decimal("101.5")


def test_no_order_fills_beyond_its_quantity() -> None:
    with pytest.raises(TradingError, match="at most 10 in all"):
        record(record(order(), fill("6")), fill("5"))


@pytest.mark.parametrize("quantity", ["0", "-1"])
def test_a_fill_of_no_shares_is_refused(quantity: str) -> None:
    with pytest.raises(TradingError, match="more than 0"):
        record(order(), fill(quantity))


@pytest.mark.parametrize(
    "other", [{"client_order_id": "x"}, {"symbol": "MSFT"}, {"side": Side.SELL}]
)
def test_a_fill_of_another_order_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(TradingError, match="not of buy AAPL id"):
        record(order(), fill("1", **other))


def test_a_fill_that_crosses_our_cancel_counts() -> None:
    part = record(order(S.CANCELED), fill("4"))
    assert (part.state, part.filled_quantity) == (S.CANCELED, 4)
    assert record(part, fill("6")).state is S.FILLED


def test_a_fill_told_before_the_answer_to_the_submission_counts() -> None:
    assert record(order(S.SUBMITTING), fill("10")).state is S.FILLED


def test_every_state_is_either_open_or_terminal_and_only_fills_leave_a_terminal_one() -> None:
    assert set(S) == OPEN | TERMINAL
    assert not OPEN & TERMINAL
    assert {cause for (state, _), cause in MOVES.items() if state in TERMINAL} == {Cause.FILL}
    assert {state for state, _ in MOVES} >= OPEN


# how each state can be reached, written down a second time and independently of the table
REACHED_BY_FILL = {S.PARTIALLY_FILLED, S.FILLED}
FINAL = {S.BLOCKED, S.REJECTED, S.FILLED}
events = st.one_of(
    st.tuples(st.sampled_from(list(S)), st.sampled_from([None, "b-1"])),
    st.integers(-1, 12),
)


@given(st.lists(events, max_size=12))
def test_no_sequence_of_events_leaves_the_table(
    happenings: list[tuple[OrderState, str | None] | int],
) -> None:
    now = order(S.PLANNED)
    for event in happenings:
        before = now
        try:
            if isinstance(event, int):
                now = record(now, fill(str(event)))
            else:
                now = move(now, event[0], broker_order_id=event[1])
        except TradingError:
            assert now is before
            continue
        cause = MOVES[before.state, now.state]
        assert (cause is Cause.FILL) == isinstance(event, int)
        assert before.state not in FINAL
        assert now.filled_quantity >= before.filled_quantity
        assert now.filled_quantity <= now.quantity
        assert (now.state is S.FILLED) == (now.filled_quantity == now.quantity)
        assert now.state is not S.PARTIALLY_FILLED or now.filled_quantity > 0
        if before.state is S.UNKNOWN:
            assert now.state is S.SUBMITTING or now.broker_order_id
            assert now.state not in REACHED_BY_FILL


names = st.text("ABC|\x1f-", min_size=1, max_size=12)
intents = st.tuples(
    names,
    st.dates(date(2000, 1, 3), date(2030, 1, 1)),
    names,
    st.sampled_from(list(Side)),
    st.integers(1, 2),
    st.integers(0, 3),
)


def identify(intent: tuple[str, date, str, Side, int, int]) -> str:
    strategy, session, symbol, side, leg, revision = intent
    return client_order_id(strategy, session, symbol=symbol, side=side, leg=leg, revision=revision)


@given(intents, intents)
def test_an_id_is_the_same_for_one_intent_and_another_for_any_other(
    one: tuple[str, date, str, Side, int, int], other: tuple[str, date, str, Side, int, int]
) -> None:
    assert identify(one) == identify(one)
    assert (identify(one) == identify(other)) == (one == other)
    assert len(identify(one)) <= 48


def test_an_id_is_pinned_so_that_a_new_release_does_not_send_yesterdays_orders_again() -> None:
    pinned = client_order_id("alpha_baseline", SESSION, symbol="AAPL", side=Side.BUY, leg=1)
    assert pinned == "tp-20130102-AAPL-f34416cb21918896fc914f7d"


@pytest.mark.parametrize(
    ("kind", "limit", "stop"),
    [
        (OrderType.MARKET, "1", None),
        (OrderType.MARKET, None, "1"),
        (OrderType.LIMIT, None, None),
        (OrderType.LIMIT, "0", None),
        (OrderType.LIMIT, "1", "1"),
        (OrderType.STOP, "1", None),
        (OrderType.STOP, None, "-1"),
        (OrderType.STOP_LIMIT, "1", None),
    ],
)
def test_an_order_has_the_prices_of_its_type_and_no_others(
    kind: OrderType, limit: str | None, stop: str | None
) -> None:
    prices = {"limit_price": limit, "stop_price": stop}
    given_ = {name: Decimal(price) if price else None for name, price in prices.items()}
    with pytest.raises(SettingsError, match=kind.value):
        order(order_type=kind, **given_)
