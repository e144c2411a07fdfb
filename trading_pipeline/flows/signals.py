"""Signals on demand: any symbols, any session, by the functions of the trading day; nothing kept.

Scores compare the symbols that were asked for with each other, as the day's compare its universe: a
symbol's prediction is the same in any company, its score is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore
from trading_pipeline.adapters.lake import Lake, empty
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import ConstructionRules, rank
from trading_pipeline.core.portfolio.targets import targets_as_of
from trading_pipeline.core.strategies.as_of import Known, Prices, scores_as_of
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.know import Cast, known, own_features, without_outsiders
from trading_pipeline.flows.recall import recall
from trading_pipeline.flows.score import ground_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a strategy says of the symbols of a session, and what it would hold of them.

    `rows`: symbol, prediction (null where it asks several models or none), score, rank,
    target_weight, the highest score first. `versions` are those of the models that were asked;
    `missing` are symbols that have no features, or no bar, in the session.
    """

    strategy: str
    session: date
    names: ConstructionRules
    rows: pl.DataFrame
    versions: Mapping[str, str]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What signals are made from; without a cache of features the lake gives them all.

    `sectors` are those of symbols, for weights that are limited by sector.
    """

    lake: Lake
    models: ModelStore
    cache: FeatureStore | None = None
    sectors: Mapping[str, str] = field(default_factory=dict[str, str])


def signals(sources: Sources, cast: Cast, *, session: date, rules: AllocationRules) -> Answer:
    """Return signals and target weights of the symbols of `cast` in a session.

    Each model is opened once and verified; the release is one that saw nothing later than the
    session. Raises MissingDataError where no symbol has data, SettingsError where fewer have than
    the portfolio needs, FeatureMismatchError for features that are not the model's.
    """
    if not cast.symbols:
        raise SettingsError("No symbol was asked for: at least one is expected.")
    releases = {name: sources.models.release(name, session=session) for name in cast.models}
    parts = [_said(sources, cast, release, session) for release in releases.values()]
    predictions = pl.concat(parts) if parts else empty("predictions")
    scores = scores_as_of(cast.strategy, _known(sources, cast, session, predictions), [session])
    if scores.is_empty():
        raise MissingDataError(
            f"None of {', '.join(cast.symbols)} can be scored in {session}: materialize its data."
        )
    ranked = rank(scores, strategy=cast.name)
    keys = ["symbol", "session"]
    targets, _ = targets_as_of(
        ranked, rules, lambda: ground_of(sources.lake, cast, (session, session), sources.sectors)
    )
    rows = ranked.join(targets, on=keys, maintain_order="left")
    alone = predictions if len(parts) == 1 else predictions.clear()
    told = rows.join(alone.select(*keys, "prediction"), on=keys, how="left", maintain_order="left")
    found = told.select("symbol", "prediction", "score", "rank", "target_weight")
    return Answer(
        strategy=cast.name,
        session=session,
        names=rules.names,
        rows=found,
        versions={name: release.model_version for name, release in releases.items()},
        missing=tuple(sorted(set(cast.symbols) - set(found["symbol"]))),
    )


def _said(sources: Sources, cast: Cast, release: Release, session: date) -> pl.DataFrame:
    """What one model predicts of the session, from the cache or the lake."""
    card, own = release.manifest, own_features(cast, release.manifest.strategy)
    if own:
        features = own.rows(sources.lake, [session])
    else:
        kind = FeatureSet(card.strategy, VERSION, NAMES)
        features = recall(sources.lake, sources.cache, kind, session=session, symbols=cast.symbols)
    predictor = gbm.load(release.text, feature_version=card.feature_version)
    return gbm.predict(predictor, features).select(
        "symbol",
        "session",
        pl.lit(card.strategy).alias("strategy"),
        "prediction",
        pl.lit(release.model_version).alias("model_version"),
    )


def _known(sources: Sources, cast: Cast, session: date, predictions: pl.DataFrame) -> Known:
    """What the strategy may know; one that asks its model alone needs no bars."""
    strategy = cast.strategy
    if strategy.look_back or strategy.needs_features or not cast.models:
        return known(sources.lake, cast, [session], predictions)
    return Known(
        universe=without_outsiders(
            sources.lake, predictions.select("symbol", "session").unique(), cast.symbols
        ),
        predictions=predictions,
        features=empty("features"),
        prices=Prices(
            bars=empty("clean_bars"),
            actions=empty("corporate_actions"),
            convention=cast.convention,
        ),
    )
