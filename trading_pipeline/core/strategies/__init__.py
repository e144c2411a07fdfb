"""Strategies by name; a new one is a file with a `score`, a line here and a test."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from trading_pipeline.core.strategies import (
    baseline,
    ensemble,
    mean_reversion,
    momentum,
    relative_momentum,
)
from trading_pipeline.core.strategies.base import Strategy
from trading_pipeline.core.strategies.ensemble import EnsembleRules
from trading_pipeline.core.strategies.mean_reversion import MeanReversionRules
from trading_pipeline.core.strategies.momentum import MomentumRules
from trading_pipeline.core.strategies.relative_momentum import RelativeMomentumRules

_MEMBERS: Final = ("alpha_baseline", "mean_reversion", "momentum", "relative_momentum")


class StrategyRules(BaseModel):
    """The parameters of the strategies that have any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean_reversion: MeanReversionRules = MeanReversionRules()
    momentum: MomentumRules = MomentumRules()
    relative_momentum: RelativeMomentumRules = RelativeMomentumRules()
    ensemble: EnsembleRules = EnsembleRules(members=_MEMBERS, method="rank_average")

    @model_validator(mode="after")
    def _know_the_members(self) -> Self:
        known = _single(self)
        for name in self.ensemble.members:
            if name not in known:
                raise ValueError(f"the member {name} is none of {', '.join(known)}")
        return self


def strategies(rules: StrategyRules) -> Mapping[str, Strategy]:
    """Return every strategy that can trade, by its name, with these rules.

    One that ends in `_gbm` asks a LightGBM of its own, trained on the indicators of the strategy it
    is named after, instead of its rules.
    """
    single = _single(rules)
    return MappingProxyType({**single, "ensemble": ensemble.strategy(single, rules.ensemble)})


def look_backs(name: str, rules: StrategyRules) -> tuple[int, int]:
    """Return how many sessions of bars the strategy reads, and the most a model it asks does."""
    among = strategies(rules)
    own = (among[model].feature_look_back for model in models_of(name, among))
    return among[name].look_back, max(own, default=0)


def models_of(name: str, among: Mapping[str, Strategy]) -> tuple[str, ...]:
    """Return the strategies whose models the strategy asks: itself, its members, or none."""
    asked = among[name].members or (name,)
    return tuple(one for one in asked if among[one].needs_predictions)


def _single(rules: StrategyRules) -> dict[str, Strategy]:
    by_rules = {
        "mean_reversion": mean_reversion.strategy(rules.mean_reversion),
        "momentum": momentum.strategy(rules.momentum),
        "relative_momentum": relative_momentum.strategy(rules.relative_momentum),
    }
    by_model = {f"{name}_gbm": baseline.learned(each) for name, each in by_rules.items()}
    return {"alpha_baseline": baseline.strategy(), **by_rules, **by_model}


STRATEGIES: Final = strategies(StrategyRules())
"""Every strategy that can trade, by its name, with its default rules."""


def _known(name: str) -> str:
    if name not in STRATEGIES:
        raise ValueError(f"expected one of {', '.join(STRATEGIES)}")
    return name


StrategyName = Annotated[str, AfterValidator(_known)]
"""The name of a strategy that can trade."""
