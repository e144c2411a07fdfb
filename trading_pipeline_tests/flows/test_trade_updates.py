"""Order updates are booked once: told twice, late, out of order, or not at all."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from time import monotonic, sleep

import pytest

from trading_pipeline.adapters.alpaca_broker import AlpacaBroker, AlpacaUpdates
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import OrderState, move
from trading_pipeline.core.execution.reports import Connected
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.trade_updates import Following, Outcome, book, follow, look
from trading_pipeline.settings import utc_now
from trading_pipeline_tests.alpaca_twin import AlpacaTwin, Fault
from trading_pipeline_tests.alpaca_twin.brokers import access_of, broker_of
from trading_pipeline_tests.fakes import NOW, make_order
from trading_pipeline_tests.flows.updates import OPENED, D, fill_in_two, place, state_of, told

FILLED = (OrderState.FILLED, 10, D("100.016000"))


@pytest.fixture
def ledger(tmp_path_factory: pytest.TempPathFactory, _sqlite_ledger: object) -> Iterator[Ledger]:
    """One database will do: how rows are appended is tested elsewhere on both."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    shutil.copyfile(str(_sqlite_ledger), path)
    opened = Ledger(f"sqlite:///{path}")
    yield opened
    opened.close()


@pytest.fixture
def twin(alpaca: AlpacaTwin) -> AlpacaTwin:
    """The twin in an open market, its fills held back until a test lets them happen."""
    alpaca.exchange.fills = "held"
    return alpaca


@pytest.fixture
def broker(twin: AlpacaTwin) -> AlpacaBroker:
    return broker_of(twin)


def test_updates_are_booked_as_they_come(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    fill_in_two(twin, order.client_order_id)
    outcomes = [book(ledger, update, now=OPENED).outcome for update in told(twin, order)]
    assert outcomes == [Outcome.NOTHING_NEW, Outcome.BOOKED, Outcome.BOOKED]
    assert state_of(ledger, order) == FILLED
    fills = ledger.fills([order.client_order_id])
    assert {(fill.quantity, fill.price) for fill in fills} == {(4, D("100.01")), (6, D("100.02"))}
    assert len(fills) == 2
    assert fills[0].strategy == order.strategy


@pytest.mark.parametrize("way", [[0, 1, 2, 1, 2, 0], [2, 1, 0], [2, 2], [0, 2, 1]])
def test_updates_told_again_or_out_of_order_add_nothing(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker, way: list[int]
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    fill_in_two(twin, order.client_order_id)
    updates = told(twin, order)
    for place_ in way:
        book(ledger, updates[place_], now=OPENED)
    assert state_of(ledger, order) == FILLED
    assert sum(fill.quantity for fill in ledger.fills([order.client_order_id])) == 10


def test_an_update_of_an_order_whose_answer_was_lost_settles_it(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    twin.faults.add(Fault("drop", booked=True))
    (order,) = place(ledger, broker, "AAPL")
    assert state_of(ledger, order)[0] is OrderState.UNKNOWN
    fill_in_two(twin, order.client_order_id)
    for update in told(twin, order):
        book(ledger, update, now=OPENED)
    assert state_of(ledger, order) == FILLED


def test_an_order_that_is_not_ours_is_ignored(ledger: Ledger, twin: AlpacaTwin) -> None:
    stranger = make_order("MSFT")
    broker_of(twin).submit(stranger)
    (update,) = told(twin, stranger)
    done = book(ledger, update, now=OPENED)
    assert (done.outcome, done.order) == (Outcome.IGNORED, None)


def test_a_fill_that_crosses_our_cancel_is_booked(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    twin.exchange.move_to(OPENED)
    broker.cancel(order.client_order_id)
    twin.exchange.fill(order.client_order_id, D(4), D("100.01"))
    for update in told(twin, order):
        book(ledger, update, now=OPENED)
    assert state_of(ledger, order) == (OrderState.CANCELED, 4, D("100.010000"))


def test_what_the_table_does_not_have_is_a_contradiction_and_changes_nothing(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    (held,) = ledger.orders()
    ledger.append_event(move(held, OrderState.REJECTED, reason="No."), at=NOW)
    fill_in_two(twin, order.client_order_id)
    done = book(ledger, told(twin, order)[-1], now=OPENED)
    assert done.outcome is Outcome.CONTRADICTION
    assert state_of(ledger, order)[0] is OrderState.REJECTED


def test_an_unknown_status_is_kept_and_flagged(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    twin.exchange.end(order.client_order_id, "pondering")
    done = book(ledger, told(twin, order)[-1], now=OPENED)
    assert (done.outcome, done.unknown_status) == (Outcome.NOTHING_NEW, "pondering")
    assert state_of(ledger, order)[0] is OrderState.ACCEPTED


def test_more_than_was_ordered_is_a_contradiction(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    fill_in_two(twin, order.client_order_id)
    update = told(twin, order)[-1]
    more = replace(update, order=replace(update.order, filled_quantity=D(11)), execution=None)
    assert book(ledger, more, now=OPENED).outcome is Outcome.CONTRADICTION


def test_looking_books_what_no_update_told(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    fill_in_two(twin, order.client_order_id)
    assert [moved.state for moved in look(ledger, broker, now=OPENED)] == [OrderState.FILLED]
    assert state_of(ledger, order) == FILLED
    assert look(ledger, broker, now=OPENED) == []
    for update in told(twin, order):
        assert book(ledger, update, now=OPENED).outcome is Outcome.NOTHING_NEW


# The stream itself, from the real client


@contextmanager
def following(
    ledger: Ledger, twin: AlpacaTwin, *, poll_seconds: float = 60
) -> Iterator[Callable[[], int]]:
    """Follow the twin's orders on a thread; yields how often a connection has been looked after."""
    over, connected = Event(), []
    by = Following(
        clock=utc_now,
        poll_seconds=poll_seconds,
        is_over=over.is_set,
        on_connect=lambda: connected.append(1),
    )

    def work() -> None:
        with AlpacaUpdates(access_of(twin.url, answer_seconds=30)) as updates:
            follow(ledger, broker_of(twin), Impatient(updates), by=by)

    thread = Thread(target=work)
    thread.start()
    try:
        wait_until(lambda: bool(connected))
        yield lambda: len(connected)
    finally:
        over.set()
        thread.join(60)
    assert not thread.is_alive()


class Impatient:
    """Updates that are waited for briefly, so that a test can end."""

    def __init__(self, updates: AlpacaUpdates) -> None:
        self._updates = updates

    def next(self, seconds: float) -> object:
        return self._updates.next(min(seconds, 0.02))


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = monotonic() + seconds
    while not is_so():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.01)


def test_fills_arrive_by_the_stream(ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker) -> None:
    (order,) = place(ledger, broker, "AAPL")
    with following(ledger, twin):
        looks = len(twin.journal)
        fill_in_two(twin, order.client_order_id)
        wait_until(lambda: state_of(ledger, order) == FILLED)
        assert len(twin.journal) == looks


@pytest.mark.parametrize("fates", [["drop"], ["twice", "twice"], ["late"], ["drop", "twice"]])
def test_updates_that_get_lost_on_the_way_are_looked_up(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker, fates: list[str]
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    with following(ledger, twin):
        twin.updates.fates.extend(fates)
        fill_in_two(twin, order.client_order_id)
        wait_until(lambda: state_of(ledger, order) == FILLED)
    fills = ledger.fills([order.client_order_id])
    assert {(fill.quantity, fill.price) for fill in fills} == {(4, D("100.01")), (6, D("100.02"))}
    assert len(fills) == 2


def test_fills_while_the_stream_is_away_are_found_when_it_is_back(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    with following(ledger, twin) as connections:
        twin.updates.refusals = 1
        twin.call(twin.updates.break_off())
        fill_in_two(twin, order.client_order_id)
        wait_until(lambda: connections() == 2)
        assert state_of(ledger, order) == FILLED


def test_a_stream_that_is_connected_and_mute_costs_seconds(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    with following(ledger, twin, poll_seconds=0.2):
        twin.updates.mute = True
        fill_in_two(twin, order.client_order_id)
        wait_until(lambda: state_of(ledger, order) == FILLED)


def test_an_update_that_cannot_be_read_does_not_stop_the_rest(
    ledger: Ledger, twin: AlpacaTwin, broker: AlpacaBroker
) -> None:
    (order,) = place(ledger, broker, "AAPL")
    with following(ledger, twin):
        twin.call(twin.updates.replay([{"event": "??"}, {"order": None, "timestamp": "never"}]))
        fill_in_two(twin, order.client_order_id)
        wait_until(lambda: state_of(ledger, order) == FILLED)


def test_leaving_the_stream_takes_no_time(twin: AlpacaTwin) -> None:
    with AlpacaUpdates(access_of(twin.url, answer_seconds=30)) as updates:
        assert updates.next(60) is not None
        begun = monotonic()
    assert monotonic() - begun < 20


def test_what_a_connection_calls_for_is_done_again_when_it_fails(
    ledger: Ledger, broker: AlpacaBroker
) -> None:
    calls: list[int] = []

    def reconcile() -> None:
        calls.append(len(calls))
        if len(calls) < 3:
            raise TransientError("Alpaca does not answer.")

    events, end = [Connected(1)], monotonic() + 60

    class Once:
        def next(self, _: float) -> Connected | None:
            return events.pop() if events else None

    by = Following(
        clock=utc_now,
        poll_seconds=0.001,
        is_over=lambda: len(calls) >= 3 or monotonic() > end,
        on_connect=reconcile,
    )
    follow(ledger, broker, Once(), by=by)
    assert calls == [0, 1, 2]
