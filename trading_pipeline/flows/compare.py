"""Set two models side by side: what training found, and what both said of the same sessions."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.features.labels import label
from trading_pipeline.core.market.calendar import FIRST_SESSION
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.core.models import gates
from trading_pipeline.core.models.evaluation import Mean, daily_ic, mean_of
from trading_pipeline.core.models.release import Release
from trading_pipeline.errors import FeatureMismatchError, ModelNotFoundError
from trading_pipeline.flows.judge import Bench, predictions_of, recent_features
from trading_pipeline.flows.know import actions
from trading_pipeline.flows.predict import shadow_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Daily rank IC of both models in the sessions both predicted before they were known.

    `difference` is that of the second model less that of the first, session by session. `daily`:
    session, rank_ic, rank_ic_second.
    """

    first: Mean
    second: Mean
    difference: Mean
    daily: pl.DataFrame

    def sentence(self) -> str:
        """The difference with its interval, in words."""
        found = self.difference
        if not found.sessions:
            return "No session was predicted by both in advance and has a label yet."
        return (
            f"Mean daily rank IC {self.first.value:+.4f} against {self.second.value:+.4f} over "
            f"{found.sessions} sessions; difference {found.value:+.4f} (95% interval "
            f"{found.low:+.4f} to {found.high:+.4f})."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models: their evaluations in training, how they agree, and their shadow predictions."""

    first: Release
    second: Release
    metrics: Mapping[str, tuple[float | None, float | None]]
    agreement: CheckOutcome | None
    shadow: Shadow


def compare(bench: Bench, first: Release, second: Release) -> Comparison:
    """Compare two verified releases of a strategy; agreement is None when features differ."""
    one, other = first.manifest.metrics, second.manifest.metrics
    names = [*one, *(name for name in other if name not in one)]
    return Comparison(
        first=first,
        second=second,
        metrics={name: (one.get(name), other.get(name)) for name in names},
        agreement=_agreement(bench, first, second),
        shadow=shadow(bench, first, second),
    )


def two(
    store: ModelStore, strategy: str, first: str | None, second: str | None
) -> tuple[Release, Release]:
    """The versions of these numbers; without one the model that trades, or the challenger.

    Raises ModelNotFoundError when there is none.
    """
    one = store.fetch(strategy, first) if first else store.release(strategy)
    other = store.fetch(strategy, second) if second else store.challenger(strategy)
    if other is None:
        raise ModelNotFoundError(f"{strategy} has no challenger: train one, or name two versions.")
    return one, other


def shadow(bench: Bench, first: Release, second: Release) -> Shadow:
    """Judge what the lake's predictions of both said in advance against what happened."""
    strategy, last = first.manifest.strategy, bench.through
    stored = bench.lake.read("predictions", FIRST_SESSION, last)
    names = [strategy, shadow_of(strategy)]
    mine = stored.filter(pl.col("strategy").is_in(names))
    sides = [_judged(bench, mine, each) for each in (first, second)]
    both = sides[0].join(sides[1], on="session", how="inner", suffix="_second").sort("session")
    ours, theirs = (both[name].to_numpy() for name in ("rank_ic", "rank_ic_second"))
    return Shadow(
        first=mean_of(ours), second=mean_of(theirs), difference=mean_of(theirs - ours), daily=both
    )


def _agreement(bench: Bench, first: Release, second: Release) -> CheckOutcome | None:
    features = recent_features(bench, second.manifest.symbols)
    try:
        ours, theirs = (predictions_of(each, features) for each in (second, first))
    except FeatureMismatchError:
        return None
    return gates.agreement(ours, theirs, bench.rules)


def _judged(bench: Bench, predictions: pl.DataFrame, model: Release) -> pl.DataFrame:
    """session, rank_ic of a model's stored predictions, sessions without a rank IC left out."""
    its = predictions.filter(pl.col("model_version") == model.model_version)
    its = its.unique(["session", "symbol"])
    if its.is_empty():
        return pl.DataFrame(schema={"session": pl.Date, "rank_ic": pl.Float64})
    first, symbols = its.sort("session")["session"][0], its["symbol"].unique().to_list()
    bars = bench.lake.read("clean_bars", first, bench.through, symbols=symbols)
    due = actions(bench.lake, symbols, first, bench.through)
    adjusted = adjust(bars, due, convention=bench.convention, as_of=bench.through)
    known = label(adjusted, model.manifest.label).drop_nulls("label")
    rows = its.join(known, on=["symbol", "session"], how="inner")
    return daily_ic(rows).select("session", "rank_ic").drop_nulls().drop_nans()
