"""A quote: its mid and spread are exact, and what can be no price says why."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.quotes import CROSSED, ZERO, Quote

AT = datetime(2026, 11, 20, 15, 0, 0, 123456, UTC)


def quote(bid: float, ask: float) -> Quote:
    return Quote("A", 1_795_186_800_123_456_789, bid, ask, 1.0, 4.0, "U", 1)


def test_the_mid_and_the_spread_are_exact() -> None:
    found = quote(100.1, 100.3)

    assert (found.mid, found.spread) == (Decimal("100.2"), Decimal("0.2"))
    assert found.spread_bps == pytest.approx(19.96, abs=0.001)
    assert found.fault is None


@pytest.mark.parametrize(
    ("bid", "ask", "fault"),
    [
        (0.0, 100.0, ZERO),
        (100.0, 0.0, ZERO),
        (0.0, 0.0, ZERO),
        (-1.0, 100.0, ZERO),
        (float("nan"), 100.0, ZERO),
        (100.0, float("inf"), ZERO),
        (100.01, 100.0, CROSSED),
        (100.0, 100.0, None),
    ],
)
def test_a_quote_that_lacks_a_side_or_is_crossed_has_no_price(
    bid: float, ask: float, fault: str | None
) -> None:
    found = quote(bid, ask)

    assert found.fault == fault
    assert (found.mid is None) == (found.spread is None) == (fault is not None)


@given(st.floats(0.0001, 1e6), st.floats(0, 1e3))
def test_the_mid_of_a_sound_quote_lies_between_bid_and_ask(bid: float, wider: float) -> None:
    found = quote(bid, bid + wider)

    assert found.mid is not None
    assert Decimal(repr(found.bid)) <= found.mid <= Decimal(repr(found.ask))


def test_a_quote_knows_its_time_and_its_age() -> None:
    assert quote(1, 2).made_at == AT
    assert quote(1, 2).age(AT + timedelta(seconds=2)) == 2
