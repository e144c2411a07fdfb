"""What a trade and a short cost: slippage, commission, borrow; and how much of an order fills."""

from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.execution.order import Side

CENT: Final = Decimal("0.01")
TICK: Final = Decimal("0.0001")
BASIS_POINTS: Final = Decimal(10_000)

MONEY_YEAR: Final = Decimal(360)
"""Days a year by which rates of interest are counted."""


class CostModel(BaseModel):
    """Slippage as a share of the price, a commission a share, borrow and the market's capacity."""

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
    max_participation: Decimal | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of the session's volume an order fills at most; none: no limit",
    )
    borrow_rate: Decimal = Field(
        default=Decimal(0), ge=0, le=1, description="a year's fee on the value of shorts"
    )

    def fill_price(self, price: Decimal, side: Side) -> Decimal:
        """Return `price` moved against us: price·(1 ± bps/10 000), in dollars to four decimals."""
        moved = price * (1 + side.sign * self.slippage_bps / BASIS_POINTS)
        return moved.quantize(TICK, ROUND_HALF_UP)

    def commission(self, quantity: Decimal) -> Decimal:
        """Return max(minimum, shares·rate) in dollars, to the cent."""
        due = max(self.minimum_commission, quantity * self.commission_per_share)
        return due.quantize(CENT, ROUND_HALF_UP)

    def fillable(self, quantity: Decimal, volume: Decimal | None) -> Decimal:
        """Return how many of `quantity` shares a session's volume lets fill, whole ones."""
        if self.max_participation is None:
            return quantity
        most = (volume or Decimal(0)) * self.max_participation
        return min(quantity, most.to_integral_value(ROUND_DOWN))

    def borrow_fee(self, value: Decimal, *, since: date, session: date) -> Decimal:
        """Return what a short of `value` dollars costs from one close to another, to the cent.

        value · rate · calendar days / 360, as brokers count it: a weekend costs three days.
        """
        owed = value * self.borrow_rate * Decimal((session - since).days) / MONEY_YEAR
        return owed.quantize(CENT, ROUND_HALF_UP)
