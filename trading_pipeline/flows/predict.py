"""Predict sessions from their stored features with one release, opened once."""

import logging
from collections.abc import Sequence
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.release import Release
from trading_pipeline.errors import MissingDataError, ModelError, SettingsError
from trading_pipeline.flows.know import OwnFeatures

_log = logging.getLogger(__name__)


def predict(
    lake: Lake,
    store: ModelStore,
    *,
    strategy: str,
    sessions: Sequence[date],
    own: OwnFeatures | None = None,
) -> pl.DataFrame:
    """Write and return the predictions of `sessions`: one for every stored feature row.

    With `own`, for every row of those features instead.

    One release predicts them all: the one that may decide on the first of them, so none of them
    lies in what it was trained on. Raises MissingDataError for a session without features,
    FeatureMismatchError when they are not the model's; nothing is then written.
    """
    asked = sorted(set(sessions))
    if not asked:
        raise SettingsError("There is no session to predict: at least one is expected.")
    release = store.release(strategy, session=asked[0])
    return write_predictions(lake, release, strategy=strategy, sessions=asked, own=own)


def predict_shadow(
    lake: Lake,
    store: ModelStore,
    *,
    strategy: str,
    sessions: Sequence[date],
    own: OwnFeatures | None = None,
) -> pl.DataFrame:
    """Write and return what the challenger would have said, beside the champion's predictions.

    Its rows bear the strategy `shadow_of(strategy)`, which nothing trades on; sessions of which its
    training saw a later price get none. Without a challenger all sessions are written as empty. One
    that cannot be used never stops the day: it is logged as an error.
    """
    asked, shadow = sorted(set(sessions)), shadow_of(strategy)
    try:
        release = store.challenger(strategy)
        known = [day for day in asked if release and release.manifest.trained_through <= day]
        if release and known:
            return write_predictions(lake, release, strategy=shadow, sessions=known, own=own)
    except ModelError as error:
        _log.error(
            "the challenger cannot predict", extra={"strategy": strategy, "error": str(error)}
        )
    nothing = lake.read("predictions", asked[0], asked[0]).clear()
    lake.write("predictions", nothing, asked, strategy=shadow)
    return nothing


def shadow_of(strategy: str) -> str:
    """The strategy's name under which its challenger's predictions are stored."""
    return f"{strategy}@challenger"


def write_predictions(
    lake: Lake,
    release: Release,
    *,
    strategy: str,
    sessions: Sequence[date],
    own: OwnFeatures | None = None,
) -> pl.DataFrame:
    """Write and return a release's predictions for every feature row of the sessions."""
    predictions = predicted(lake, release, strategy=strategy, sessions=sessions, own=own)
    lake.write("predictions", predictions, sessions, strategy=strategy)
    _log.info(
        "predictions written",
        extra={
            "strategy": strategy,
            "model_version": release.model_version,
            "sessions": len(sessions),
            "rows": len(predictions),
        },
    )
    return predictions


def predicted(
    lake: Lake,
    release: Release,
    *,
    strategy: str,
    sessions: Sequence[date],
    own: OwnFeatures | None = None,
) -> pl.DataFrame:
    """Return a release's predictions for every feature row of the sessions; write nothing."""
    features = own.rows(lake, sessions) if own else _features(lake, sessions)
    predictor = gbm.load(release.text, feature_version=release.manifest.feature_version)
    return gbm.predict(predictor, features).select(
        "symbol",
        "session",
        pl.lit(strategy).alias("strategy"),
        "prediction",
        pl.lit(release.model_version).alias("model_version"),
    )


def _features(lake: Lake, sessions: Sequence[date]) -> pl.DataFrame:
    first, last = sessions[0], sessions[-1]
    missing = sorted(set(sessions) - lake.held("features", first, last))
    if missing:
        raise MissingDataError(
            f"{len(missing)} sessions have no features, the first {missing[0]}: "
            "materialize them before predicting."
        )
    features = lake.read("features", first, last)
    if len(sessions) == 1:
        return features
    return features.filter(pl.col("session").is_in(list(sessions)))
