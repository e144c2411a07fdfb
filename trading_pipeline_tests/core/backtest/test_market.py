"""Which closes were known, and for how long they serve."""

from decimal import Decimal

from trading_pipeline.core.backtest.market import MARK_SESSIONS, Closes
from trading_pipeline_tests.factories import sessions_from


def test_a_close_serves_as_a_mark_for_ten_sessions_and_says_where_it_comes_from() -> None:
    days = sessions_from(count=MARK_SESSIONS + 1)
    closes = Closes()
    closes.see(days[0], {"S0": Decimal(5), "S1": Decimal(1)})
    assert closes.marks()["S0"].source == "close"
    for day in days[1:-1]:
        closes.see(day, {"S1": Decimal(2)})
    assert closes.marks()["S0"].price == 5
    assert closes.marks()["S0"].source == f"close of {days[0]}"
    closes.see(days[-1], {})
    assert closes.marks().keys() == {"S1"}
    assert closes.last["S0"] == 5
