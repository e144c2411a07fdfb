"""Judge a model on what the lake holds now, before it may take the champion's place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import LOOK_BACK, NAMES, VERSION
from trading_pipeline.core.features.as_of import features_as_of
from trading_pipeline.core.market.calendar import FIRST_SESSION, session_window
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.core.models import gates, gbm
from trading_pipeline.core.models.dataset import feature_columns, feature_version
from trading_pipeline.core.models.gates import PromotionRules
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.strategies.as_of import Prices
from trading_pipeline.core.strategies.as_of import features_as_of as own_as_of
from trading_pipeline.errors import FeatureMismatchError, MissingDataError, ModelError
from trading_pipeline.flows.know import OwnFeatures, actions


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a model is judged on: the newest sessions of the lake up to `through`, by rules.

    Its features are the lake's, or `own`.
    """

    lake: Lake
    rules: PromotionRules
    convention: Convention
    through: date
    own: OwnFeatures | None = None


def promotion_gates(bench: Bench, model: Release, running: Release | None) -> list[CheckOutcome]:
    """Every gate a registered model has to pass to be activated, those that need no features first.

    Skill out of sample, the stored feature set, parity of stored and recomputed features, no
    dependence on later bars, and those of `reload_gates`.
    """
    found = [gates.evidence(model.manifest.metrics, bench.rules)]
    features = recent_features(bench, model.manifest.symbols)
    sessions = features["session"].unique().sort().to_list()
    compute, bars = _recomputing(bench, sessions, model.manifest.symbols)
    alone = gates.past_only(compute, bars, sessions)
    found += [gates.parity(features, alone), gates.prefix(alone, compute(bars, sessions))]
    return [*found, *reload_gates(bench, model, running)]


def reload_gates(bench: Bench, model: Release, running: Release | None) -> list[CheckOutcome]:
    """The gates of a model that somebody already chose: it fits, it predicts, it is no stranger."""
    card = model.manifest
    features, expected = None, (NAMES, VERSION)
    if bench.own:
        features = recent_features(bench, card.symbols)
        expected = feature_columns(features), feature_version(features) or ""
    fits = gates.schema((card.features, card.feature_version), expected)
    if not fits.passed:
        return [fits]
    if features is None:
        features = recent_features(bench, card.symbols)
    ours = predictions_of(model, features)
    found = [fits, gates.dry_prediction(ours)]
    theirs = _comparable(running, features)
    return found if theirs is None else [*found, gates.agreement(ours, theirs, bench.rules)]


def require_passed(outcomes: Sequence[CheckOutcome], what: str) -> None:
    """Raise ModelError that says of each gate that was not passed what it found."""
    failed = [f"{one.name}: {one.sentence}" for one in outcomes if not one.passed]
    if failed:
        raise ModelError(f"{what} may not trade. {' '.join(failed)}")


def recent_features(bench: Bench, symbols: Sequence[str]) -> pl.DataFrame:
    """The features of the newest sessions; MissingDataError when there are too few."""
    table = "clean_bars" if bench.own else "features"
    held = sorted(bench.lake.held(table, FIRST_SESSION, bench.through))
    sessions = held[-bench.rules.recent_sessions :]
    if len(sessions) < bench.rules.recent_sessions:
        raise MissingDataError(
            f"A model is judged on {bench.rules.recent_sessions} recent sessions of {table}, "
            f"{len(sessions)} are held up to {bench.through}: materialize more."
        )
    if bench.own:
        return replace(bench.own, symbols=tuple(symbols)).rows(bench.lake, sessions)
    found = bench.lake.read("features", sessions[0], sessions[-1], symbols=symbols)
    return found.filter(pl.col("session").is_in(sessions))


def predictions_of(model: Release, features: pl.DataFrame) -> pl.DataFrame:
    """symbol, session, prediction by a release that was verified."""
    predictor = gbm.load(model.text, feature_version=model.manifest.feature_version)
    return gbm.predict(predictor, features)


def _comparable(running: Release | None, features: pl.DataFrame) -> pl.DataFrame | None:
    """The running model's predictions, None when it does not take these features."""
    try:
        return predictions_of(running, features) if running else None
    except FeatureMismatchError:
        return None


def _recomputing(
    bench: Bench, sessions: Sequence[date], symbols: Sequence[str]
) -> tuple[gates.Compute, pl.DataFrame]:
    """How features are computed from bars, and the bars, those after a session among them."""
    own = bench.own
    first = session_window(sessions[0], own.look_back if own else LOOK_BACK + 1)[0]
    bars = bench.lake.read("clean_bars", first, bench.through, symbols=symbols)
    told = actions(bench.lake, symbols, first, bench.through)
    earlier = bench.lake.read(
        "clean_bars", FIRST_SESSION, first, symbols=symbols, columns=["symbol"]
    )

    def compute(given: pl.DataFrame, asked: Sequence[date]) -> pl.DataFrame:
        due = told.filter(pl.col("session") <= given["session"].max())
        if own:
            known = Prices(bars=given, actions=due, convention=bench.convention)
            return own_as_of(own.featurize, known, asked, look_back=own.look_back)
        return features_as_of(
            given,
            due,
            sessions=asked,
            convention=bench.convention,
            listed_before=earlier["symbol"].unique().to_list(),
        )

    return compute, bars
