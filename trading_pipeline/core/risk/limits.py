"""What trading may do now, and how large it may get."""

from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class TradingState(StrEnum):
    """Which orders may go: those within the limits, only those that shrink a position, or none."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class RiskLimits(BaseModel):
    """The sizes that no order may break; orders that only shrink a position are free of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_order_value: Decimal = Field(
        default=Decimal(50_000), gt=0, description="dollars one order may be worth"
    )
    max_position_value: Decimal = Field(
        default=Decimal(25_000), gt=0, description="dollars one position may be worth"
    )
    max_position_share: Decimal = Field(
        default=Decimal("0.30"), gt=0, le=10, description="one position as a share of NAV"
    )
    max_gross_exposure: Decimal = Field(
        default=Decimal("2.0"), gt=0, le=20, description="all positions, unsigned, over NAV"
    )
