"""The ensemble: several strategies' opinions of a symbol made into one.

A strategy that has no score for a symbol takes no part in its vote, and the weights of those that
do are scaled to sum to 1. Fewer of them than `min_strategies` give no score at all: a missing
opinion is never taken for "hold".
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import isclose
from types import MappingProxyType
from typing import Final, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_pipeline.core.strategies.adaptive_weights import (
    SETTLING,
    AdaptiveRules,
    weights_at,
)
from trading_pipeline.core.strategies.base import Strategy, opinions, require_bars
from trading_pipeline.errors import SchemaError

Method = Literal[
    "weighted_average",
    "majority_vote",
    "unanimous",
    "confidence_weighted",
    "max_confidence",
    "rank_average",
]
"""How opinions become one.

weighted_average     Σ w·signal beyond ±threshold, with w scaled to sum to 1
majority_vote        a signal that more than half of the strategies present share
unanimous            a signal that all strategies present share
confidence_weighted  Σ w·confidence·signal / Σ w·confidence beyond ±threshold
max_confidence       the signal of the most confident; of equals, the first by name
rank_average         Σ w·place, the place of the score in its strategy and session from −1 to 1

But for rank_average, the score is the signal times the weighted mean confidence of those that share
it, and 0 where that is below `min_confidence` or fewer than `min_agreement` of those present share
it. A rank average is a preference and not a vote: neither of the two applies to it.
"""

_KEY: Final = ("symbol", "session")
_NONE: Final = 1e-12


class EnsembleRules(BaseModel):
    """Who votes, with what weight, and how much agreement it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[str, ...] = Field(min_length=2, description="the strategies that vote")
    weights: Mapping[str, float] | None = Field(
        default=None, description="weight by strategy, summing to 1; none: all alike"
    )
    method: Method = Field(default="weighted_average", description="how opinions become one")
    threshold: float = Field(default=0.3, ge=0, lt=1, description="net weight it takes to act")
    min_confidence: float = Field(default=0.6, ge=0, le=1, description="confidence it takes to act")
    min_strategies: int = Field(default=2, ge=1, description="opinions a symbol must have")
    min_agreement: float = Field(
        default=0.0, ge=0, le=1, description="share of the opinions that must agree"
    )
    adapts: bool = Field(
        default=False, description="weights follow what each member lately earned, out of sample"
    )
    adaptive: AdaptiveRules = AdaptiveRules()

    @model_validator(mode="after")
    def _weigh_the_members(self) -> Self:
        if len(set(self.members)) < len(self.members):
            raise ValueError("a strategy is named twice")
        if self.min_strategies > len(self.members):
            raise ValueError("min_strategies is more than there are members")
        weights = self.weights
        if weights is None:
            return self
        if set(weights) != set(self.members) or min(weights.values()) < 0:
            raise ValueError("weights must name every member, and none may be below 0")
        if not isclose(sum(weights.values()), 1, abs_tol=1e-9):
            raise ValueError(f"weights sum to {sum(weights.values())}: expected 1")
        return self

    def weight(self, member: str) -> float:
        """Return the weight of a member."""
        return self.weights[member] if self.weights else 1 / len(self.members)


def combine(
    votes: pl.DataFrame, rules: EnsembleRules, weights: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return one row a symbol and session that any member has an opinion of.

    Takes strategy, symbol, session, score, signal, confidence (see `base.opinions`); `weights` are
    session, strategy, weight, and then replace those of the rules. Columns symbol, session, score
    from −1 to 1 (null where too few have an opinion, or those present have no weight), present (how
    many have one), agreement (the share of those that shares the score's sign) and missing (the
    names of the members without one). Sorted by session and symbol. Opinions of a strategy that is
    no member, or two of one member, are a SchemaError.
    """
    _require_members(votes, rules)
    present = pl.col("weight").sum().over(_KEY)
    weighed = (
        _with_weights(votes.sort("session", "symbol", "strategy"), rules, weights)
        .with_columns(share=pl.col("weight") / pl.when(present > 0).then(present))
        .with_columns(_place(), is_known=present > 0)
        .with_columns(way=_WAYS[rules.method](rules))
    )
    agrees = pl.col("signal") == pl.col("way")
    sure = (pl.col("share") * pl.col("confidence")).filter(agrees).sum()
    backing = pl.col("share").filter(agrees).sum()
    grouped = weighed.group_by(_KEY, maintain_order=True).agg(
        pl.col("way").first(),
        pl.col("is_known").first(),
        confidence=pl.when(backing > _NONE).then(sure / backing).otherwise(0.0),
        present=pl.len(),
        agreement=(pl.col("signal") == pl.col("way").sign()).mean(),
        missing=pl.lit(sorted(rules.members))
        .first()
        .list.set_difference(pl.col("strategy").implode())
        .list.sort(),
    )
    enough = (pl.col("present") >= rules.min_strategies) & pl.col("is_known")
    return grouped.select(
        *_KEY,
        score=pl.when(enough).then(_verdict(rules)),
        present="present",
        agreement="agreement",
        missing="missing",
    )


def score(
    features: pl.DataFrame,
    predictions: pl.DataFrame,
    bars: pl.DataFrame | None = None,
    *,
    members: Mapping[str, Strategy],
    rules: EnsembleRules,
) -> pl.DataFrame:
    """Return the combined score of every symbol that enough members have an opinion of.

    Each member is given the predictions under its own name. Columns: symbol, session, score from −1
    to 1, sorted by session and symbol.
    """
    votes = pl.concat(
        _votes(name, members[name], _own(predictions, name, members[name]), features, bars=bars)
        for name in rules.members
    )
    weights = None
    if rules.adapts:
        read = require_bars(bars, "an ensemble that adapts")
        weights = weights_at(votes, read, rules.members, rules.adaptive)
    return combine(votes, rules, weights).drop_nulls("score").select(*_KEY, "score")


def strategy(members: Mapping[str, Strategy], rules: EnsembleRules) -> Strategy:
    """Return the strategy that combines these; it has to be given what any of them has to."""
    past = rules.adaptive.sessions + SETTLING if rules.adapts else 0
    return Strategy(
        score=partial(score, members=members, rules=rules),
        look_back=max(members[name].look_back for name in rules.members) + past,
        prediction_look_back=1 + past,
        needs_predictions=any(members[name].needs_predictions for name in rules.members),
        needs_features=any(members[name].needs_features for name in rules.members),
        members=rules.members,
    )


def _votes(
    name: str,
    member: Strategy,
    predictions: pl.DataFrame,
    features: pl.DataFrame,
    *,
    bars: pl.DataFrame | None,
) -> pl.DataFrame:
    said = opinions(member(features, predictions, bars), member.unit)
    return said.select(pl.lit(name).alias("strategy"), pl.all())


def _own(predictions: pl.DataFrame, name: str, member: Strategy) -> pl.DataFrame:
    if not member.needs_predictions:
        return predictions
    return predictions.filter(pl.col("strategy") == name)


def _weighted_average(rules: EnsembleRules) -> pl.Expr:
    return _beyond((pl.col("share") * pl.col("signal")).sum().over(_KEY), rules.threshold)


def _confidence_weighted(rules: EnsembleRules) -> pl.Expr:
    sure = pl.col("share") * pl.col("confidence")
    whole = sure.sum().over(_KEY)
    net = (sure * pl.col("signal")).sum().over(_KEY)
    return _beyond(pl.when(whole > _NONE).then(net / whole).otherwise(0.0), rules.threshold)


def _majority_vote(rules: EnsembleRules) -> pl.Expr:  # noqa: ARG001
    return _beyond(_share_of(1.0), 0.5) - _beyond(_share_of(-1.0), 0.5)


def _unanimous(rules: EnsembleRules) -> pl.Expr:  # noqa: ARG001
    return (_share_of(1.0) == 1).cast(pl.Float64) - (_share_of(-1.0) == 1).cast(pl.Float64)


def _max_confidence(rules: EnsembleRules) -> pl.Expr:  # noqa: ARG001
    # rows are sorted by name, and the first of equals is taken
    return pl.col("signal").get(pl.col("confidence").arg_max()).over(_KEY)


def _rank_average(rules: EnsembleRules) -> pl.Expr:  # noqa: ARG001
    return (pl.col("share") * pl.col("place")).sum().over(_KEY)


_WAYS: Final[Mapping[Method, Callable[[EnsembleRules], pl.Expr]]] = MappingProxyType(
    {
        "weighted_average": _weighted_average,
        "majority_vote": _majority_vote,
        "unanimous": _unanimous,
        "confidence_weighted": _confidence_weighted,
        "max_confidence": _max_confidence,
        "rank_average": _rank_average,
    }
)


def _verdict(rules: EnsembleRules) -> pl.Expr:
    way, confidence = pl.col("way"), pl.col("confidence")
    if rules.method == "rank_average":
        return way
    acts = (confidence >= rules.min_confidence) & (pl.col("agreement") >= rules.min_agreement)
    return pl.when(acts).then(way * confidence).otherwise(0.0)


def _beyond(net: pl.Expr, threshold: float) -> pl.Expr:
    """Return the sign of what exceeds the threshold by more than rounding, else 0."""
    return pl.when(net.abs() > threshold + _NONE).then(net.sign()).otherwise(0.0)


def _share_of(signal: float) -> pl.Expr:
    return (pl.col("signal") == signal).mean().over(_KEY)


def _place() -> pl.Expr:
    """Return where a score stands in its strategy and session: −1 the lowest, 1 the highest."""
    group = ("strategy", "session")
    others = pl.len().over(group) - 1
    rank = pl.col("score").rank("average").over(group) - 1
    return pl.when(others > 0).then(2 * rank / others - 1).otherwise(0.0).alias("place")


def _with_weights(
    votes: pl.DataFrame, rules: EnsembleRules, weights: pl.DataFrame | None
) -> pl.DataFrame:
    if weights is None:
        own = {name: rules.weight(name) for name in rules.members}
        found = pl.col("strategy").replace_strict(own, return_dtype=pl.Float64)
        return votes.with_columns(weight=found)
    joined = votes.join(weights, on=("session", "strategy"), how="left", maintain_order="left")
    for row in joined.filter(pl.col("weight").is_null()).head(1).to_dicts():
        raise SchemaError(f"{row['strategy']} has no weight in {row['session']}: expected one.")
    return joined


def _require_members(votes: pl.DataFrame, rules: EnsembleRules) -> None:
    for stranger in sorted(set(votes["strategy"].unique()) - set(rules.members)):
        raise SchemaError(f"{stranger} is no member: expected {', '.join(rules.members)} only.")
    twice = votes.filter(pl.struct("strategy", *_KEY).is_duplicated())
    for row in twice.head(1).to_dicts():
        raise SchemaError(
            f"{row['strategy']} has several opinions of {row['symbol']} in {row['session']}: "
            "expected one."
        )
