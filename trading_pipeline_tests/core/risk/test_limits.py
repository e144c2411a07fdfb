"""Risk limits: their defaults and what they refuse to be."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from trading_pipeline.core.risk.limits import BreakerRules, RiskLimits


def test_the_defaults_leave_room_for_a_full_position_of_the_default_sizing() -> None:
    limits = RiskLimits()
    assert limits.max_position_value > 20_000
    assert limits.max_position_share * 100_000 > 20_000
    assert limits.max_order_value > 20_000
    assert limits.max_gross_exposure * 100_000 > 4 * 20_000


WORDS = {"sectors", "restricted", "breaker"}
MAY_BE_ZERO = {"max_sessions_behind"}


@pytest.mark.parametrize("field", sorted(set(RiskLimits.model_fields) - WORDS))
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity", "much"])
def test_a_limit_that_limits_nothing_is_refused(field: str, value: str) -> None:
    if value == "0" and field in MAY_BE_ZERO:
        assert RiskLimits.model_validate({field: value})
        return
    with pytest.raises(ValidationError):
        RiskLimits.model_validate({field: value})


@pytest.mark.parametrize("field", sorted(set(BreakerRules.model_fields) - {"on_breach"}))
@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "much"])
def test_a_breaker_rule_that_never_trips_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        BreakerRules.model_validate({field: value})


def test_lists_are_read_in_any_spelling() -> None:
    limits = RiskLimits(restricted=" gme, AMC ,", sectors="aapl=tech, XOM = energy")
    assert limits.restricted_symbols == {"GME", "AMC"}
    assert limits.sector_of == {"AAPL": "tech", "XOM": "energy"}


@pytest.mark.parametrize("sectors", ["AAPL", "AAPL=", "=tech"])
def test_a_sector_without_its_symbol_is_refused(sectors: str) -> None:
    with pytest.raises(ValidationError, match="SYMBOL=sector"):
        RiskLimits(sectors=sectors)


def test_a_misspelt_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_ordr_value"):
        RiskLimits.model_validate({"max_ordr_value": Decimal(1)})
