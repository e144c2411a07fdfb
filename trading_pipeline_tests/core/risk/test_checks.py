"""Every limit is wired: for each field of RiskLimits there is an order that it alone blocks."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.risk.breaker import Breaker, Value, Vitals, step
from trading_pipeline.core.risk.checks import CHECKS, READS, STATE_CHECKS, page
from trading_pipeline.core.risk.gate import gate
from trading_pipeline.core.risk.limits import BreakerRules, RiskLimits, TradingState
from trading_pipeline.core.risk.view import Asset, Returns
from trading_pipeline_tests.core.risk.portfolios import WIDE, book_of, lost, order, view
from trading_pipeline_tests.factories import FIRST, sessions_from

ALIKE = np.array([[0.01, 0.02, -0.01, 0.0, 0.03, -0.02]] * 2).T + np.array([[0.0, 0.001]] * 6)
"""Two columns that move as one in the last five rows, and in the first as well."""

ALIKE_LATELY = np.vstack([np.array([[0.3, -0.3]] * 3 + [[-0.3, 0.3]] * 3), ALIKE])

MARKET: dict[str, Any] = {
    "average_volumes": {"AAPL": Decimal(1_000), "IBM": Decimal(1_000)},
    "sessions_behind": {"AAPL": 1, "IBM": 0},
    "returns": Returns(symbols=("AAPL", "IBM"), values=ALIKE_LATELY),
    "orders_in_minute": 9,
    "orders_in_session": 9,
    "turnover": Decimal(50_000),
}
"""What the account of the test knows; its book is worth 100 000 dollars, 10 000 of it in IBM."""

ALONE: dict[str, tuple[object, str]] = {
    "max_order_value": ("9999", "order_value"),
    "max_order_quantity": ("99", "order_quantity"),
    "max_price_deviation": ("0.01", "price_collar"),
    "max_volume_share": ("0.09", "volume_share"),
    "max_position_quantity": ("99", "position_quantity"),
    "max_position_value": ("9999", "position_value"),
    "max_position_share": ("0.09", "position_share"),
    "max_gross_exposure": ("0.19", "gross_exposure"),
    "max_net_exposure": ("0.19", "net_exposure"),
    "max_long_exposure": ("0.19", "long_exposure"),
    "max_short_exposure": ("0.09", "short_exposure"),
    "max_sector_exposure": ("0.19", "sector_exposure"),
    "sectors": ("AAPL=tech,IBM=tech", "sector_exposure"),
    "max_borrowing": ("0.09", "borrowing"),
    "max_concentration": ("0.019", "concentration"),
    "max_turnover": ("0.59", "turnover"),
    "max_orders_per_minute": (9, "minute_rate"),
    "max_orders_per_session": (9, "session_rate"),
    "max_sessions_behind": (0, "fresh_price"),
    "restricted": ("GME,AAPL", "restricted"),
    "max_mean_correlation": ("0.9", "mean_correlation"),
    "max_pair_correlation": ("0.9", "pair_correlation"),
    "correlation_look_back": (6, "mean_correlation"),
}
"""A value of the field that blocks, and the code it blocks with."""

NEEDS: dict[str, dict[str, object]] = {
    "max_sector_exposure": {"sectors": "AAPL=tech,IBM=tech"},
    "sectors": {"max_sector_exposure": "0.19"},
    "max_mean_correlation": {"correlation_look_back": 6},
    "max_pair_correlation": {"correlation_look_back": 6},
    "correlation_look_back": {"max_mean_correlation": "0.9"},
}
"""Fields that mean something only together with another one."""


def limits_with(**changes: object) -> RiskLimits:
    base = {**WIDE.model_dump(), "correlation_look_back": 12}
    return RiskLimits.model_validate(base | changes)


def test_the_walk_visits_every_field() -> None:
    assert set(ALONE) | {"breaker"} == set(RiskLimits.model_fields)
    assert {name for names in READS.values() for name in names} == set(RiskLimits.model_fields)


@pytest.mark.parametrize("field", sorted(ALONE))
def test_each_limit_alone_blocks_an_order(field: str) -> None:
    value, code = ALONE[field]
    shares = -100 if field == "max_short_exposure" else 100
    owes = field == "max_borrowing"  # the same 100 000 dollars, 9 000 of them borrowed
    book = book_of(-9_000, IBM=1_090) if owes else book_of(90_000, IBM=100)
    wanted = [order("AAPL", shares, reference_price="102")]
    needed = NEEDS.get(field, {})
    without = view(book, limits=limits_with(**needed), **MARKET)
    assert gate(wanted, without) == wanted
    within = view(book, limits=limits_with(**needed, **{field: value}), **MARKET)
    blocked = gate(wanted, within)[0]
    assert (blocked.state, blocked.code) == (OrderState.BLOCKED, code)


def test_a_block_names_the_symbols_whose_correlation_is_not_known() -> None:
    known = {"returns": Returns(symbols=("IBM",), values=ALIKE_LATELY[:, 1:])}
    now = view(
        book_of(90_000, IBM=100), limits=limits_with(max_pair_correlation="0.9"), **MARKET | known
    )

    (blocked,) = gate([order("AAPL", 100, reference_price="102")], now)

    assert blocked.code == "pair_correlation"
    assert blocked.reason
    assert "AAPL counts as 1: it is not known without a return in each" in blocked.reason


SICK: dict[str, tuple[object, dict[str, Any], str]] = {
    "max_daily_loss": ("0.05", {"navs": [100_000, 94_900]}, "daily_loss"),
    "max_drawdown": ("0.10", {"navs": [100_000, 96_000, 92_500, 89_900]}, "drawdown"),
    "max_minutes_behind": (30, {"minutes_behind": 30}, "stale_data"),
    "max_broker_errors": (3, {"broker_errors": 3}, "broker_errors"),
    "max_reject_rate": ("0.5", {"answered": 4, "rejected": 2}, "reject_rate"),
    "min_answered_orders": (4, {"answered": 4, "rejected": 4}, "reject_rate"),
    "max_breaks": (1, {"breaks": ["9 shares of IBM against 10"]}, "reconciliation"),
    "max_model_failures": (1, {"model_failures": ["Its bytes changed."]}, "model_failure"),
}
LOOSE = BreakerRules(
    max_daily_loss=Decimal(1),
    max_drawdown=Decimal(1),
    max_minutes_behind=1_440,
    max_broker_errors=100,
    max_reject_rate=Decimal(1),
    min_answered_orders=1_000,
    max_breaks=1_000,
    max_model_failures=100,
)


def test_the_walk_visits_every_rule_of_the_breaker() -> None:
    of_recovery = {"quiet_minutes", "on_breach"}  # see test_states.py and test_reduce.py
    assert set(SICK) | of_recovery == set(BreakerRules.model_fields)


@pytest.mark.parametrize("rule", sorted(SICK))
def test_each_rule_of_the_breaker_alone_blocks_an_order(rule: str) -> None:
    value, found, code = SICK[rule]
    navs = found.pop("navs") if "navs" in found else [100_000]
    sessions = sessions_from(FIRST, len(navs))
    vitals = Vitals(
        values=[
            Value(session=session, nav=Decimal(nav), cash_in=Decimal(100_000))
            for session, nav in zip(sessions, navs, strict=True)
        ],
        **found,
    )
    more = {"min_answered_orders": 4} if rule == "max_reject_rate" else {}
    strict = BreakerRules.model_validate(LOOSE.model_dump() | more | {rule: value})
    assert step(Breaker(), vitals, LOOSE).trips == ()
    trips = step(Breaker(), vitals, strict).trips
    assert [trip.code for trip in trips] == [code]
    now = view(book_of(100_000, IBM=10), state=trips[0].state, is_tripped=True)
    judged = gate([order("AAPL", 1), order("IBM", -10)], now)
    reduces = trips[0].state is TradingState.REDUCING
    assert [one.code for one in judged] == ["breaker", None if reduces else "breaker"]
    assert judged[0].reason == f"The breaker made trading {trips[0].state}: the operator said so."


@pytest.mark.parametrize(
    ("shares", "fraction", "asset", "code"),
    [
        (10, "0", None, "tradable"),
        (10, "0", Asset(tradable=False), "tradable"),
        (-10, "0", Asset(tradable=False), "tradable"),
        (10, "0.5", Asset(), "fractionable"),
        (10, "0.5", Asset(fractionable=True), None),
        (-200, "0", Asset(shortable=False), "shortable"),
        (-200, "0", Asset(), None),
        (200, "0", Asset(shortable=False), None),
    ],
)
def test_what_the_broker_does_not_do_is_not_ordered(
    shares: int, fraction: str, asset: Asset | None, code: str | None
) -> None:
    wanted = order("AAPL", shares)
    wanted = replace(wanted, quantity=wanted.quantity + Decimal(fraction))
    assets = {"IBM": Asset()} | ({"AAPL": asset} if asset else {})
    assert gate([wanted], view(book_of(100_000, AAPL=100), assets=assets))[0].code == code


def test_a_symbol_waits_while_an_order_of_another_decision_is_unknown() -> None:
    unknown = lost("AAPL", 5)
    now = view(book_of(100_000, AAPL=10, IBM=10), open_orders=[unknown])
    basket = [order("AAPL", -5), order("IBM", -5)]
    judged = gate(basket, now)
    assert [one.code for one in judged] == ["known_orders", None]
    assert unknown.client_order_id in str(judged[0].reason)
    own = [replace(one, strategy=unknown.strategy) for one in basket]
    assert gate(own, now) == own


def test_buying_power_counts_what_the_basket_opens_only() -> None:
    now = view(book_of(100_000, IBM=-50), buying_power=Decimal(10_000))
    basket = [order("IBM", 50), order("AAPL", 60), order("MSFT", -50), order("MSFT", 40)]
    assert [one.code for one in gate(basket, now)] == [None, None, "buying_power", None]


def test_what_is_given_and_lacks_the_symbol_blocks_it() -> None:
    for more in ({"average_volumes": {}}, {"sessions_behind": {}}):
        assert gate([order("AAPL", 1)], view(book_of(100_000), **more))[0].code in {
            "volume_share",
            "fresh_price",
        }


def test_a_reducing_order_passes_every_size_check() -> None:
    tight = {name: value for name, (value, _) in ALONE.items() if name != "sectors"}
    limits = RiskLimits.model_validate(tight | {"max_gross_exposure": "0.001"})
    now = view(book_of(-900_000, AAPL=10_000), limits=limits, suspects={"AAPL": "odd."}, **MARKET)
    assert gate([order("AAPL", -10_000)], now)[0].code is None
    assert gate([order("AAPL", 1)], now)[0].code == "fresh_price"


def test_the_page_of_codes_names_every_check_and_every_setting() -> None:
    text = page()
    for check in CHECKS:
        assert f"| `{check.__name__}` |" in text
        assert check.__doc__
    for field in RiskLimits.model_fields:
        assert f"TP_RISK__{field.upper()}" in text
    for field in BreakerRules.model_fields:
        assert f"TP_RISK__BREAKER__{field.upper()}" in text
    assert text.count("| every order |") == len(STATE_CHECKS)
