"""How to weigh and within which limits, what is known for it, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.core.portfolio.covariance import Risk

Method = Literal["top_n", "score_proportional", "inverse_volatility", "optimal"]
"""How scores become weights.

top_n               equal weights of the best and the worst (`construction.weigh`)
score_proportional  each side in proportion to its scores: long those above 0, short those below
inverse_volatility  the names of top_n, each side in proportion to 1/volatility
optimal             the best trade-off of expected return, risk and cost (`optimal.solve`)
"""

NEAR: Final = 1e-6
"""How near to a limit counts as at it."""


class AllocationOptions(BaseModel):
    """How scores become weights, within which limits, and what instead where that fails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = Field(default="top_n", description="how scores become weights")
    fallbacks: tuple[Method, ...] = Field(
        default=("inverse_volatility",), description="what is tried next, in order, before top_n"
    )
    side_gross: float = Field(default=1.0, gt=0, le=5, description="weight of each side at most")
    max_weight: float = Field(default=1.0, gt=0, le=1, description="weight of a symbol at most")
    max_net: float = Field(default=1.0, ge=0, le=5, description="longs less shorts, unsigned")
    max_turnover: float | None = Field(
        default=None, gt=0, description="Σ |weight − held| of a session at most (optimal only)"
    )
    max_sector: float | None = Field(
        default=None, gt=0, description="net weight of a sector, unsigned (optimal only)"
    )
    information_coefficient: float = Field(
        default=0.03, gt=0, le=1, description="correlation of scores with returns (optimal only)"
    )
    risk_aversion: float = Field(
        default=5.0, ge=0, description="λ of λ/2·variance, by session (optimal only)"
    )
    cost_bps: float = Field(
        default=5.0, ge=0, description="cost of trading, basis points (optimal only)"
    )

    @property
    def order(self) -> tuple[Method, ...]:
        """The methods in the order they are tried, each once, top_n last."""
        return tuple(dict.fromkeys((self.method, *self.fallbacks, "top_n")))


class AllocationRules(AllocationOptions):
    """How to weigh, and how many names on each side top_n and inverse_volatility hold."""

    names: ConstructionRules = ConstructionRules()

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.names.long_only and self.max_net < NEAR:
            raise ValueError("long_only with max_net 0 allows no position at all")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known at the close besides the scores.

    `held` are the weights held now, by symbol; `sectors` the sector of each symbol. Without `risk`
    the methods that need it cannot be used.
    """

    risk: Risk | None = None
    held: Mapping[str, float] = field(default_factory=dict[str, float])
    sectors: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit that the weights lie at, or beyond.

    `price` is what the objective would gain by a limit wider by 1, where a solver says so. `broken`
    says that the weights lie beyond it: top_n knows none of the limits.
    """

    limit: str
    price: float | None = None
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The target weights of a session, how they came about, and what held them back.

    `failures` are methods that could not be used, with the reason in a sentence, in the order they
    were tried.
    """

    targets: pl.DataFrame
    method: Method
    bounds: tuple[Bound, ...]
    failures: Mapping[Method, str]


Weights = Mapping[str, float]
Found = tuple[Weights, tuple[Bound, ...]]


class CannotAllocateError(Exception):
    """A method has no answer for this session; caught by `allocate`, never seen outside."""
