"""What trading may do now, how large it may get, and when it stops by itself."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TradingState(StrEnum):
    """Which orders may go: those within the limits, only those that shrink a position, or none."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class BreakerRules(BaseModel):
    """When trading stops by itself, and how it comes back; a threshold trips when it is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_daily_loss: Decimal = Field(
        default=Decimal("0.05"), gt=0, le=1, description="loss of a session over its opening NAV"
    )
    max_drawdown: Decimal = Field(
        default=Decimal("0.10"), gt=0, le=1, description="fall of NAV from its peak, over the peak"
    )
    max_minutes_behind: int = Field(
        default=30, gt=0, le=1_440, description="age of the newest live mark, in minutes"
    )
    max_broker_errors: int = Field(
        default=3, gt=0, le=100, description="unanswered calls of the broker in a row"
    )
    max_reject_rate: Decimal = Field(
        default=Decimal("0.5"), gt=0, le=1, description="rejected over answered orders of a session"
    )
    min_answered_orders: int = Field(
        default=4, gt=0, le=1_000, description="answered orders below which no rate is judged"
    )
    max_breaks: int = Field(
        default=3,
        gt=0,
        le=1_000,
        description="breaks between our book and the broker's; one of cash counts as three",
    )
    max_model_failures: int = Field(
        default=1, gt=0, le=100, description="models in use that cannot be used"
    )
    quiet_minutes: int = Field(
        default=5, ge=0, le=1_440, description="minutes of reducing only after a person's release"
    )
    on_breach: Literal["propose", "act"] = Field(
        default="propose", description="whether orders that cure a breached limit are sent"
    )


class RiskLimits(BaseModel):
    """What no order may break; orders that only shrink a position are free of it.

    Shares of NAV are fractions: 0.30 is 30 %.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_order_value: Decimal = Field(
        default=Decimal(50_000), gt=0, description="dollars one order may be worth"
    )
    max_order_quantity: Decimal = Field(
        default=Decimal(20_000), gt=0, description="shares one order may have"
    )
    max_price_deviation: Decimal = Field(
        default=Decimal("0.10"),
        gt=0,
        le=1,
        description="distance of an order's price from the mark, over the mark",
    )
    max_volume_share: Decimal = Field(
        default=Decimal("0.05"),
        gt=0,
        le=1,
        description="a symbol's orders over its average volume a session",
    )
    max_position_quantity: Decimal = Field(
        default=Decimal(50_000), gt=0, description="shares one position may have"
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
    max_net_exposure: Decimal = Field(
        default=Decimal("1.5"), gt=0, le=20, description="long less short, unsigned, over NAV"
    )
    max_long_exposure: Decimal = Field(
        default=Decimal("1.5"), gt=0, le=20, description="all long positions over NAV"
    )
    max_short_exposure: Decimal = Field(
        default=Decimal("1.5"), gt=0, le=20, description="all short positions, unsigned, over NAV"
    )
    max_sector_exposure: Decimal = Field(
        default=Decimal("1.0"), gt=0, le=20, description="one sector, unsigned, over NAV"
    )
    sectors: str = Field(
        default="", description="sectors of symbols, as in AAPL=technology,XOM=energy"
    )
    max_borrowing: Decimal = Field(
        default=Decimal("1.0"), gt=0, le=20, description="cash below zero over NAV"
    )
    max_concentration: Decimal = Field(
        default=Decimal("0.5"),
        gt=0,
        le=400,
        description="sum of squared positions over squared NAV (Herfindahl)",
    )
    max_turnover: Decimal = Field(
        default=Decimal("4.0"), gt=0, le=100, description="orders of a session over NAV"
    )
    max_orders_per_minute: int = Field(
        default=1_000, gt=0, description="orders of a session sent within a minute"
    )
    max_orders_per_session: int = Field(
        default=2_000, gt=0, description="orders sent for one session"
    )
    max_sessions_behind: int = Field(
        default=0, ge=0, le=20, description="sessions an order's mark may be old"
    )
    restricted: str = Field(
        default="", description="symbols that may only be sold off, comma-separated"
    )
    max_mean_correlation: Decimal = Field(
        default=Decimal("0.85"), gt=0, le=1, description="mean correlation of all pairs held"
    )
    max_pair_correlation: Decimal = Field(
        default=Decimal("0.95"), gt=0, le=1, description="correlation with any one holding"
    )
    correlation_look_back: int = Field(
        default=60, ge=3, le=1_000, description="sessions of returns that correlations are of"
    )
    breaker: BreakerRules = BreakerRules()

    @property
    def restricted_symbols(self) -> frozenset[str]:
        """The symbols of `restricted`."""
        return frozenset(_words(self.restricted))

    @property
    def sector_of(self) -> Mapping[str, str]:
        """The sector by symbol, as `sectors` says; empty when it says nothing."""
        return _sectors(self.sectors)

    @model_validator(mode="after")
    def _require_sectors(self) -> Self:
        for symbol, sector in self.sector_of.items():
            if not (symbol and sector):
                raise ValueError(f"sectors: expected SYMBOL=sector, comma-separated: {symbol!r}")
        return self


@lru_cache(maxsize=8)
def _sectors(text: str) -> Mapping[str, str]:
    pairs = (word.partition("=") for word in text.split(",") if word.strip())
    return MappingProxyType({name.strip().upper(): sector.strip() for name, _, sector in pairs})


def _words(text: str) -> list[str]:
    return [word.strip().upper() for word in text.split(",") if word.strip()]
