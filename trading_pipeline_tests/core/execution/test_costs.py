"""What a trade costs."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import Side

prices = st.decimals("0.01", "5000", places=4)


def test_slippage_makes_a_buy_dearer_and_a_sale_cheaper_by_five_basis_points() -> None:
    costs = CostModel()
    assert costs.fill_price(Decimal(100), Side.BUY) == Decimal("100.0500")
    assert costs.fill_price(Decimal(100), Side.SELL) == Decimal("99.9500")


@pytest.mark.parametrize(("shares", "dollars"), [("1", "1.00"), ("200", "1.00"), ("333", "1.67")])
def test_commission_is_half_a_cent_a_share_and_a_dollar_at_least(shares: str, dollars: str) -> None:
    assert CostModel().commission(Decimal(shares)) == Decimal(dollars)


@given(prices, st.sampled_from(list(Side)), st.integers(0, 1_000))
def test_slippage_is_never_in_our_favor_and_never_beyond_its_share(
    price: Decimal, side: Side, points: int
) -> None:
    moved = CostModel(slippage_bps=Decimal(points)).fill_price(price, side)
    worse = (moved - price) * side.sign
    assert 0 <= worse <= price * points / 10_000 + Decimal("0.00005")
    assert moved > 0


@pytest.mark.parametrize("field", ["slippage_bps", "commission_per_share", "minimum_commission"])
@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity"])
def test_a_cost_that_would_pay_us_or_is_no_number_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        CostModel.model_validate({field: value})
