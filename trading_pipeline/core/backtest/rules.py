"""How the replayed days size, limit and pay for their orders."""

from decimal import Decimal
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.backtest.costs import Frictions
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.risk.limits import RiskLimits


class BacktestOptions(BaseModel):
    """What a backtest takes into account beyond what the trading day does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frictions: Frictions = Frictions()
    compound: bool = Field(default=False, description="size by NAV instead of by fixed capital")
    delisting_return: Decimal = Field(
        default=Decimal(0), ge=-1, le=0, description="what the last close loses in a delisting"
    )
    resume_after: int | None = Field(
        default=None,
        ge=1,
        le=2_520,
        description="sessions after which a person resumes what the breaker stopped; none: never",
    )
    retrain_every: int | None = Field(
        default=None,
        ge=5,
        le=2_520,
        description="sessions after which models are trained anew, on what was known by then; "
        "none: the one of the first session decides on all of them",
    )
    benchmark: str = Field(
        default="", description="the symbol to compare with; none: the universe, equally weighted"
    )


class BacktestRules(BacktestOptions):
    """How the replayed days size, limit and pay for their orders.

    With `compound`, a weight of 1 stands for the NAV of the session instead of `sizing.capital`,
    which is then what the account opens with.
    """

    sizing: SizingRules = SizingRules()
    limits: RiskLimits = RiskLimits()
    costs: CostModel = CostModel()
    adjustment: Convention = Field(default="crsp", description="of returns that measure volatility")


DEFAULT: Final = BacktestRules()
"""The rules of the platform's own defaults: those `paper_run` trades by."""
