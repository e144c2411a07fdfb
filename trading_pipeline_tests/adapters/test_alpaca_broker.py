"""Alpaca through the real alpaca-py: what each answer means, patience, pages and the budget."""

import time
from datetime import timedelta
from decimal import Decimal
from threading import Thread

import pytest
from pydantic import SecretStr

from trading_pipeline.adapters.alpaca_broker import AlpacaAccess, AlpacaBroker, report_of
from trading_pipeline.adapters.alpaca_broker.broker import _report
from trading_pipeline.adapters.alpaca_broker.lists import ACTIVITIES_PAGE, ORDERS_PAGE
from trading_pipeline.adapters.alpaca_broker.reports import body_of
from trading_pipeline.adapters.alpaca_broker.verdicts import Verdict, judge, read_answer
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.execution.order import OrderState, OrderType, Side, TimeInForce
from trading_pipeline.core.market.calendar import next_session, session_open
from trading_pipeline.errors import AdapterError, RejectedError, SettingsError, TransientError
from trading_pipeline_tests.alpaca_twin import AlpacaTwin, Fault
from trading_pipeline_tests.alpaca_twin.brokers import HASTY_SECONDS, access_of, broker_of
from trading_pipeline_tests.fakes import NOW, SESSION, make_order

D = Decimal


@pytest.fixture
def broker(alpaca: AlpacaTwin) -> AlpacaBroker:
    return broker_of(alpaca)


ANSWERS = [
    (422, '{"code":40010001,"message":"client_order_id must be unique"}', Verdict.DUPLICATE),
    (409, '{"code":40910000,"message":"client_order_id is not unique"}', Verdict.DUPLICATE),
    (422, '{"code":40010001,"message":"qty or notional is required"}', Verdict.REFUSED),
    (403, '{"code":40310000,"message":"insufficient buying power"}', Verdict.REFUSED),
    (403, '{"code":40310100,"message":"pattern day trading protection"}', Verdict.REFUSED),
    (400, '{"message":"invalid symbol: ?"}', Verdict.REFUSED),
    (401, '{"message":"unauthorized."}', Verdict.UNAUTHORIZED),
    (404, '{"code":40410000,"message":"order not found"}', Verdict.NOT_FOUND),
    (408, "", Verdict.AMBIGUOUS),
    (429, '{"code":42910000,"message":"too many requests."}', Verdict.TOO_MANY),
    (429, "<html>slow down</html>", Verdict.TOO_MANY),
    (500, '{"code":50010000,"message":"internal server error"}', Verdict.AMBIGUOUS),
    (502, "<html>bad gateway</html>", Verdict.AMBIGUOUS),
    (503, "", Verdict.AMBIGUOUS),
    (504, '["not", "an", "object"]', Verdict.AMBIGUOUS),
]


@pytest.mark.parametrize(("status", "body", "verdict"), ANSWERS)
def test_every_answer_has_one_verdict(status: int, body: str, verdict: Verdict) -> None:
    assert judge(read_answer(status, body)) is verdict


@pytest.mark.parametrize("what", ["drop", "hang", "truncate", "garbage", 408, 429, 500, 502, 504])
@pytest.mark.parametrize("booked", [False, True])
def test_what_nobody_can_tell_is_transient_and_is_sent_once(
    alpaca: AlpacaTwin, what: int | str, booked: bool
) -> None:
    broker = broker_of(alpaca, **{"answer_seconds": HASTY_SECONDS} if what == "hang" else {})
    alpaca.faults.add(Fault(what, booked=booked))
    with pytest.raises(TransientError):
        broker.submit(make_order())
    assert len(alpaca.booked()) == booked
    assert sum(seen.line.startswith("POST") for seen in alpaca.journal) <= 1


def test_a_broker_that_hangs_is_given_up_on(alpaca: AlpacaTwin) -> None:
    alpaca.faults.add(*[Fault("hang", where="GET /v2/account")] * 3)
    begun = time.monotonic()
    with pytest.raises(TransientError):
        broker_of(alpaca, answer_seconds=0.1).account()
    assert time.monotonic() - begun < 20


def test_reading_is_tried_again(alpaca: AlpacaTwin, broker: AlpacaBroker) -> None:
    alpaca.faults.add(*[Fault("drop", where="GET /v2/account")] * 2)
    assert broker.account().cash == 100_000


def refused(broker: AlpacaBroker, **changes: object) -> str:
    told = broker.submit(make_order(**changes))
    assert (told.state, told.broker_order_id) == (OrderState.REJECTED, "")
    return str(told.reason)


def test_a_refusal_is_a_rejected_order_with_alpacas_words(
    alpaca: AlpacaTwin, broker: AlpacaBroker
) -> None:
    alpaca.exchange.offer("HARD", shortable=False)
    alpaca.exchange.offer("WHOLE", fractionable=False)
    assert "insufficient buying power (403, 40310000)" in refused(broker, quantity=D(5_000))
    assert "not found (422, 42210000)" in refused(broker, symbol="NONE")
    assert "cannot be sold short" in refused(broker, symbol="HARD", side=Side.SELL)
    assert "not fractionable" in refused(broker, symbol="WHOLE", quantity=D("0.5"))
    assert alpaca.booked() == []


def test_crossing_zero_in_one_order_is_refused(alpaca: AlpacaTwin, broker: AlpacaBroker) -> None:
    broker.submit(make_order())
    alpaca.exchange.move_to(session_open(next_session(SESSION)))
    told = broker.submit(make_order(side=Side.SELL, quantity=D(15)))
    assert "insufficient qty available" in str(told.reason)


def test_an_opposite_order_at_work_is_named_in_the_refusal(
    alpaca: AlpacaTwin, broker: AlpacaBroker
) -> None:
    broker.submit(make_order())
    told = broker.submit(make_order(side=Side.SELL))
    assert "wash trade" in str(told.reason)
    assert "existing_order_id: 0000" in str(told.reason)


def test_a_wrong_key_is_a_settings_error(alpaca: AlpacaTwin) -> None:
    broker = broker_of(alpaca, secret_key=SecretStr("wrong"))
    with pytest.raises(SettingsError, match="does not accept the key"):
        broker.account()
    assert "unauthorized" in refused(broker)


@pytest.mark.parametrize("flag", ["trading_blocked", "account_blocked", "trade_suspended_by_user"])
def test_an_account_that_may_not_trade_says_why(
    alpaca: AlpacaTwin, broker: AlpacaBroker, flag: str
) -> None:
    assert (broker.account().fault, broker.account().lends) == (None, True)
    alpaca.exchange.flags |= {flag: True, "shorting_enabled": False}
    found = broker.account()
    assert flag in str(found.fault)
    assert not found.lends


def test_a_clock_that_is_not_ours_is_a_fault_until_it_is_right(alpaca: AlpacaTwin) -> None:
    late = NOW + timedelta(seconds=90)
    broker = AlpacaBroker(access_of(alpaca.url), clock=lambda: late, sleep=lambda _: None)
    assert "Alpaca's clock says 2012-06-04 12:00:00 UTC" in str(broker.account().fault)
    alpaca.exchange.now_fixed = late
    assert broker.account().fault is None
    asked = sum(seen.line == "GET /v2/clock" for seen in alpaca.journal)
    broker.account()
    assert sum(seen.line == "GET /v2/clock" for seen in alpaca.journal) == asked


def test_the_proxies_of_the_environment_are_passed_by(
    alpaca: AlpacaTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert broker_of(alpaca).account().cash == 100_000


def test_quantities_and_prices_arrive_digit_for_digit(
    alpaca: AlpacaTwin, broker: AlpacaBroker
) -> None:
    order = make_order(
        quantity=D("0.300000004"),
        order_type=OrderType.STOP_LIMIT,
        limit_price=D("100.10"),
        stop_price=D("99.5"),
    )
    assert broker.submit(order).state is OrderState.ACCEPTED
    (held,) = alpaca.exchange.orders.values()
    sent = (held["qty"], held["type"], held["limit_price"], held["stop_price"])
    assert sent == ("0.300000004", "stop_limit", "100.1", "99.5")


@pytest.mark.parametrize("force", TimeInForce)
@pytest.mark.parametrize("kind", OrderType)
def test_every_type_and_time_in_force_is_sent(
    alpaca: AlpacaTwin, broker: AlpacaBroker, kind: OrderType, force: TimeInForce
) -> None:
    prices = {
        "limit_price": D(90) if "limit" in kind else None,
        "stop_price": D(110) if "stop" in kind else None,
    }
    order = make_order(order_type=kind, time_in_force=force, **prices)
    assert broker.submit(order).state is OrderState.ACCEPTED
    (held,) = alpaca.exchange.orders.values()
    assert (held["type"], held["time_in_force"]) == (kind.value, force.value)


def test_an_order_is_not_sent_long_after_its_open(alpaca: AlpacaTwin) -> None:
    broker = broker_of(alpaca, late_minutes=30)
    opens = session_open(next_session(SESSION))
    alpaca.exchange.now_fixed = opens + timedelta(minutes=30)
    broker.submit(make_order())
    alpaca.exchange.now_fixed = opens + timedelta(minutes=31)
    with pytest.raises(RejectedError, match="at most 30 minutes"):
        broker.submit(make_order("IBM"))
    assert len(alpaca.booked()) == 1


# What Alpaca tells


def order_of(status: str, filled: str = "0", **more: object) -> dict[str, object]:
    return {
        "id": "b-1",
        "client_order_id": "tp-1",
        "symbol": "AAPL",
        "side": "buy",
        "qty": "10",
        "filled_qty": filled,
        "filled_avg_price": None if filled == "0" else "101.5",
        "status": status,
        "time_in_force": "day",
        **more,
    }


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("pending_new", "0", OrderState.ACCEPTED),
        ("stopped", "0", OrderState.ACCEPTED),
        ("pending_cancel", "4", OrderState.PARTIALLY_FILLED),
        ("filled", "10", OrderState.FILLED),
        ("replaced", "0", OrderState.CANCELED),
        ("done_for_day", "4", OrderState.EXPIRED),
        ("rejected", "0", OrderState.REJECTED),
        ("rejected", "4", OrderState.CANCELED),
    ],
)
def test_every_status_is_a_state_of_ours(status: str, filled: str, state: OrderState) -> None:
    found = report_of(order_of(status, filled))
    assert (found.state, found.unknown_status) == (state, None)


def test_an_order_that_goes_on_tomorrow_is_not_over_today() -> None:
    found = report_of(order_of("done_for_day", "4", time_in_force="gtc"))
    assert found.state is OrderState.PARTIALLY_FILLED


def test_an_unknown_status_is_kept_and_the_order_still_works(
    alpaca: AlpacaTwin, broker: AlpacaBroker
) -> None:
    order = make_order()
    broker.submit(order)
    alpaca.exchange.end(order.client_order_id, "pondering")
    found = broker.find(order.client_order_id)
    assert found is not None
    assert (found.state, found.unknown_status) == (OrderState.ACCEPTED, "pondering")


def test_an_answer_about_another_order_is_no_answer(broker: AlpacaBroker) -> None:
    with pytest.raises(TransientError, match="expected tp-2"):
        _report(order_of("new"), "tp-2")
    with pytest.raises(TransientError, match="no order"):
        _report(["new"], "tp-2")


def test_lists_are_read_to_their_end(alpaca: AlpacaTwin, broker: AlpacaBroker) -> None:
    alpaca.exchange.move_to(session_open(next_session(SESSION)))
    count = ORDERS_PAGE + 5
    names = [f"tp-{number}" for number in range(count)]
    for name in names:
        alpaca.exchange.submit(body_of(make_order(client_order_id=name, quantity=D(1))))
    assert count > 5 * ACTIVITIES_PAGE
    assert broker.find_all(names).keys() == set(names)
    assert [fill.client_order_id for fill in broker.fills(names)] == names
    assert len(broker.orders(NOW)) == count
    assert broker.orders(NOW + timedelta(days=1)) == []


def test_many_orders_are_looked_up_in_one_request(alpaca: AlpacaTwin, broker: AlpacaBroker) -> None:
    for number in range(20):
        broker.submit(make_order(client_order_id=f"tp-{number}", quantity=D(1)))
    before = len(alpaca.journal)
    assert len(broker.find_all([f"tp-{number}" for number in range(20)])) == 20
    assert len(alpaca.journal) == before + 1


def test_fills_of_part_of_an_order_are_told_one_by_one(
    alpaca: AlpacaTwin, broker: AlpacaBroker
) -> None:
    alpaca.exchange.fills = "held"
    order = make_order()
    broker.submit(order)
    alpaca.exchange.move_to(session_open(next_session(SESSION)))
    for quantity, price in ((D(4), D("100.01")), (D(6), D("100.02"))):
        alpaca.exchange.fill(order.client_order_id, quantity, price)
    told = [(fill.quantity, fill.price) for fill in broker.fills([order.client_order_id])]
    assert told == [(4, D("100.01")), (6, D("100.02"))]


def test_activities_become_entries_and_unknown_kinds_are_left_out(
    alpaca: AlpacaTwin, broker: AlpacaBroker
) -> None:
    books, day = alpaca.exchange.books, {"date": "2012-06-04"}
    books.record("DIV", NOW, symbol="IBM", net_amount="8.50", qty="10", **day)
    books.record("CSW", NOW, net_amount="-500", **day)
    books.record("FEE", NOW, net_amount="-0.02", **day)
    books.record("MYSTERY", NOW, net_amount="1", **day)
    found = [(entry.kind, entry.amount, entry.symbol) for entry in broker.activities()[1:]]
    assert found == [
        (EntryKind.DIVIDEND, D("8.50"), "IBM"),
        (EntryKind.WITHDRAWAL, D(-500), None),
        (EntryKind.FEE, D("-0.02"), None),
    ]


@pytest.mark.parametrize("count", [2, 25])
def test_assets_say_what_may_be_done(alpaca: AlpacaTwin, broker: AlpacaBroker, count: int) -> None:
    alpaca.exchange.offer("HARD", shortable=False)
    wanted = ["HARD", "AAPL", *(f"NONE{number}" for number in range(count - 2))]
    found = broker.assets(wanted)
    assert (found["HARD"].shortable, found["AAPL"].shortable) == (False, True)
    assert len(found) == 2
    before = len(alpaca.journal)
    broker.assets(wanted)
    assert len(alpaca.journal) == before


def test_threads_do_not_share_a_session(alpaca: AlpacaTwin, broker: AlpacaBroker) -> None:
    found: list[Decimal] = []
    threads = [Thread(target=lambda: found.append(broker.account().cash)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [100_000] * 4


def test_a_failure_to_cancel_is_told(alpaca: AlpacaTwin, broker: AlpacaBroker) -> None:
    broker.submit(make_order())
    alpaca.faults.add(Fault(403, where="DELETE /v2/orders"))
    with pytest.raises(AdapterError):
        broker.cancel(make_order().client_order_id)


# Who may trade where


def test_live_trading_needs_a_second_word() -> None:
    access = access_of("http://127.0.0.1:9")
    with pytest.raises(SettingsError, match="CONFIRM_LIVE"):
        AlpacaBroker(access, live=True, clock=lambda: NOW, sleep=time.sleep)
    confirmed = access.model_copy(update={"confirm_live": True, "url": None})
    assert confirmed.address(live=True) == "https://api.alpaca.markets"
    assert confirmed.address(live=False) == "https://paper-api.alpaca.markets"
    live = AlpacaBroker(confirmed, live=True, clock=lambda: NOW, sleep=time.sleep)
    assert live.name == "alpaca-live"


def test_a_key_is_needed() -> None:
    with pytest.raises(SettingsError, match="APCA_API_KEY_ID"):
        AlpacaBroker(AlpacaAccess(), clock=lambda: NOW, sleep=time.sleep)
