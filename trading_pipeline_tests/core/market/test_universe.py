"""The universe of a session."""

import pytest

from trading_pipeline.core.market.universe import require_room, universe
from trading_pipeline.errors import SchemaError, SettingsError
from trading_pipeline_tests.factories import bars_of


def test_the_universe_is_the_asked_symbols_that_have_a_clean_bar() -> None:
    bars = bars_of({"MSFT": [1.0], "AAPL": [1.0], "IBM": [1.0]})
    assert universe(["MSFT", "GOOG", "AAPL", "MSFT"], bars) == ["AAPL", "MSFT"]


def test_a_suspended_symbol_is_not_of_the_universe() -> None:
    bars = bars_of({"MSFT": [1.0], "AAPL": [1.0]})
    assert universe(["MSFT", "AAPL"], bars, ["AAPL", "IBM"]) == ["MSFT"]


def test_without_a_clean_bar_nothing_may_trade() -> None:
    assert universe(["AAPL"], bars_of({"AAPL": [1.0]}).clear()) == []


def test_bars_of_several_sessions_are_refused() -> None:
    with pytest.raises(SchemaError, match="2 sessions"):
        universe(["AAPL"], bars_of({"AAPL": [1.0, 1.0]}))


def test_a_universe_as_large_as_the_portfolio_is_large_enough() -> None:
    require_room(["A", "B", "C", "D"], 2, 2)


def test_a_universe_too_small_is_refused_with_the_numbers() -> None:
    with pytest.raises(SettingsError, match=r"2 long and 2 short positions need 4 .* has 3"):
        require_room(["A", "B", "C"], 2, 2)
