"""Gradient-boosted trees (LightGBM): fit on a dataset, keep as text, predict a session.

A model is its native text and nothing else, in which the scaling of its features is a line where
they have one; no pickle is ever written or read. LightGBM trains it and LightGBM predicts with it,
in research as in trading. It is deterministic: equal rows and seed give the same text on any number
of threads, and a row has the same prediction alone, among others, and on any number of threads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_pipeline.core.models.binning import Binned, Recipe, bin_rows
from trading_pipeline.core.models.dataset import Dataset, feature_columns, feature_version
from trading_pipeline.core.models.params import METRIC, SEVERAL_THREADS_FROM, GbmParams
from trading_pipeline.core.models.scaling import Scaling, read_from, scaled, write_into
from trading_pipeline.errors import FeatureMismatchError, ModelCorruptError, ModelError

if TYPE_CHECKING:
    import lightgbm as lgb

Ticker = Callable[[int, int], None]
"""Told after every boosting round: rounds done, rounds at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A trained model: its native text and what is known about its training.

    `curves` holds the mean absolute error of the target per round for `train` and `valid`;
    `importance` the total gain of each feature, largest first.
    """

    text: str
    best_iteration: int
    features: tuple[str, ...]
    feature_version: str
    curves: Mapping[str, tuple[float, ...]]
    importance: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Predictor:
    """A model in memory, ready to predict frames of exactly its own features."""

    booster: "lgb.Booster"
    features: tuple[str, ...]
    feature_version: str
    scaling: Scaling | None


def fit(
    train: Dataset,
    valid: Dataset,
    params: GbmParams,
    tick: Ticker | None = None,
    *,
    binned: Binned | None = None,
) -> Model:
    """Train on `train`, stop early on `valid`, and return the model of the best round.

    Both need rows and the same features (FeatureMismatchError). Equal data, parameters and seed
    give the same text, byte for byte; `binned` are the same rows in bins, where they were made
    before, and say how they were scaled.
    """
    made = binned or bin_rows(train, valid, Recipe(params=params))
    native = replace(made.recipe, params=params).native(len(train.rows))
    import lightgbm as lgb  # heavy: on first use

    curves: dict[str, dict[str, list[float]]] = {}
    library: Any = lgb  # its own hints are partial
    watch: list[Any] = [
        library.early_stopping(params.early_stopping, verbose=False),
        library.record_evaluation(curves),
        *([_ticking(tick)] if tick else []),
    ]
    try:
        booster: lgb.Booster = library.train(
            native,
            made.train,
            num_boost_round=params.rounds,
            valid_sets=[made.train, made.valid],
            valid_names=["train", "valid"],
            callbacks=watch,
        )
    except lgb.basic.LightGBMError as error:
        raise ModelError(f"LightGBM could not train on {len(train.rows)} rows: {error}.") from error
    return _as_model(booster, train, made.scaling, curves)


def load(text: str, *, feature_version: str) -> Predictor:
    """Return a predictor from native text; ModelCorruptError when it is not a whole model.

    LightGBM's parser aborts the process on a text that was cut off, so such a text never reaches
    it. Any other damage is the checksum's to find: verify it first.
    """
    if not text.startswith("tree\n") or _END_OF_TREES not in text:
        raise ModelCorruptError(
            f"{len(text)} characters of text are not a whole LightGBM model: it begins with 'tree' "
            "and has an 'end of trees'."
        )
    import lightgbm as lgb  # heavy: on first use

    try:
        booster = lgb.Booster(model_str=text)
    except lgb.basic.LightGBMError as error:
        raise ModelCorruptError(f"LightGBM cannot read the model: {error}.") from error
    names = tuple(booster.feature_name())
    return Predictor(booster, names, feature_version, read_from(text, len(names)))


def predict(predictor: Predictor, features: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, session, prediction (Float64) for every row of a `features` frame.

    The frame's feature columns must be the model's own, in its order, of its version
    (FeatureMismatchError). A prediction is in units of the training target: cross-sectional
    standard deviations of the label.
    """
    _require_features(predictor, features)
    keys = features.select("symbol", "session")
    if keys.is_empty():
        return keys.with_columns(prediction=pl.lit(None, pl.Float64))
    blocks = features.iter_slices(SEVERAL_THREADS_FROM)  # a copy of all of them would be large
    found = pl.concat([_said(predictor, block) for block in blocks])
    return keys.with_columns(prediction=found)


def _said(predictor: Predictor, block: pl.DataFrame) -> pl.Series:
    rows = scaled(block, predictor.features, predictor.scaling).to_numpy()
    threads = 1 if len(rows) < SEVERAL_THREADS_FROM else 0
    found: Any = predictor.booster.predict(rows, num_threads=threads)
    return pl.Series(found, dtype=pl.Float64)


def _require_features(predictor: Predictor, features: pl.DataFrame) -> None:
    found = feature_columns(features)
    if found != predictor.features:
        raise FeatureMismatchError(
            f"The model was trained on {_difference(predictor.features, found)}."
        )
    version = feature_version(features)
    if version is not None and version != predictor.feature_version:
        raise FeatureMismatchError(
            f"The model was trained on features {predictor.feature_version}, "
            f"these are {version}: materialize the features again or train a new model."
        )


def _difference(expected: tuple[str, ...], found: tuple[str, ...]) -> str:
    missing = [name for name in expected if name not in found]
    foreign = [name for name in found if name not in expected]
    if not missing and not foreign:
        return f"the same {len(expected)} features in another order"
    return (
        f"{len(expected)} features, these are {len(found)}: "
        f"missing {', '.join(missing[:5]) or 'none'}; unknown {', '.join(foreign[:5]) or 'none'}"
    )


def _ticking(tick: Ticker) -> Callable[["lgb.callback.CallbackEnv"], None]:
    return lambda env: tick(env.iteration + 1 - env.begin_iteration, env.end_iteration)


def _as_model(
    booster: "lgb.Booster",
    train: Dataset,
    scaling: Scaling | None,
    curves: Mapping[str, Mapping[str, list[float]]],
) -> Model:
    best = booster.best_iteration
    gains: Any = booster.feature_importance("gain", iteration=best)
    ranked = sorted(
        zip(train.features, map(float, gains), strict=True), key=lambda item: (-item[1], item[0])
    )
    return Model(
        text=write_into(booster.model_to_string(num_iteration=best), scaling),
        best_iteration=best,
        features=train.features,
        feature_version=train.feature_version,
        curves={name: tuple(values[METRIC]) for name, values in curves.items()},
        importance=dict(ranked),
    )


_END_OF_TREES = "\nend of trees\n"
