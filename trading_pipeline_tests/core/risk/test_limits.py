"""Risk limits: their defaults and what they refuse to be."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from trading_pipeline.core.risk.limits import RiskLimits


def test_the_defaults_leave_room_for_a_full_position_of_the_default_sizing() -> None:
    limits = RiskLimits()
    assert limits.max_position_value > 20_000
    assert limits.max_position_share * 100_000 > 20_000
    assert limits.max_order_value > 20_000
    assert limits.max_gross_exposure * 100_000 > 4 * 20_000


@pytest.mark.parametrize("field", sorted(RiskLimits.model_fields))
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity", "much"])
def test_a_limit_that_limits_nothing_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        RiskLimits.model_validate({field: value})


def test_a_misspelt_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_ordr_value"):
        RiskLimits.model_validate({"max_ordr_value": Decimal(1)})
