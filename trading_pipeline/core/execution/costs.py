"""What a trade costs: slippage in the price, and commission."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.execution.order import Side

CENT: Final = Decimal("0.01")
TICK: Final = Decimal("0.0001")
BASIS_POINTS: Final = Decimal(10_000)


class CostModel(BaseModel):
    """Slippage as a share of the price, and a commission a share with a minimum an order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slippage_bps: Decimal = Field(
        default=Decimal(5),
        ge=0,
        le=1_000,
        description="basis points by which a fill is worse than the opening price",
    )
    commission_per_share: Decimal = Field(
        default=Decimal("0.005"), ge=0, le=10, description="dollars a share"
    )
    minimum_commission: Decimal = Field(
        default=Decimal("1.00"), ge=0, le=1_000, description="dollars an order, at least"
    )

    def fill_price(self, price: Decimal, side: Side) -> Decimal:
        """Return `price` moved against us: price·(1 ± bps/10 000), in dollars to four decimals."""
        moved = price * (1 + side.sign * self.slippage_bps / BASIS_POINTS)
        return moved.quantize(TICK, ROUND_HALF_UP)

    def commission(self, quantity: Decimal) -> Decimal:
        """Return max(minimum, shares·rate) in dollars, to the cent."""
        due = max(self.minimum_commission, quantity * self.commission_per_share)
        return due.quantize(CENT, ROUND_HALF_UP)
