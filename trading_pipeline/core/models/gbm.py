"""Gradient-boosted trees (LightGBM): fit on a dataset, keep as text, predict a session.

A model is its native text and nothing else; no pickle is ever written or read. LightGBM trains it
and LightGBM predicts with it, in research as in trading. It is deterministic: equal rows and seed
give the same text on any number of threads, and a row has the same prediction alone, among others,
and on any number of threads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.models.dataset import (
    Dataset,
    feature_columns,
    feature_version,
    to_arrow,
)
from trading_pipeline.errors import FeatureMismatchError, ModelCorruptError, ModelError

if TYPE_CHECKING:
    import lightgbm as lgb

METRIC = "l1"
"""What early stopping watches on the validation window: the mean absolute error of the target."""

SEVERAL_THREADS_FROM = 50_000
"""Rows from which several threads are worth it. With fewer they wait for each other after every
node of a tree: on a busy machine twenty times as long as one thread takes for all of it."""

Ticker = Callable[[int, int], None]
"""Told after every boosting round: rounds done, rounds at most."""


class GbmParams(BaseModel):
    """How the trees are grown; `native()` is the same in LightGBM's words."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rounds: int = Field(default=100, ge=1, le=10_000)
    """Boosting rounds at most."""
    early_stopping: int = Field(default=20, ge=1)
    """Rounds without a better validation error after which training stops."""
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    """Shrinkage of every tree."""
    max_depth: int = Field(default=6, ge=1, le=64)
    """Depth of a tree at most."""
    num_leaves: int = Field(default=31, ge=2, le=131_072)
    """Leaves of a tree at most."""
    feature_fraction: float = Field(default=0.8, gt=0, le=1)
    """Share of the features each tree may use."""
    bagging_fraction: float = Field(default=0.8, gt=0, le=1)
    """Share of the rows a bag holds."""
    bagging_freq: int = Field(default=5, ge=0)
    """Rounds after which a new bag is drawn; 0: no bagging."""
    min_data_in_leaf: int = Field(default=20, ge=1)
    """Rows a leaf must hold."""
    lambda_l1: float = Field(default=0.1, ge=0)
    """L1 penalty of leaf values."""
    lambda_l2: float = Field(default=0.1, ge=0)
    """L2 penalty of leaf values."""
    seed: int = Field(default=42, ge=0)
    """All randomness comes from it."""
    threads: int = Field(default=0, ge=0, le=256)
    """Threads of training; 0: as many as there are cores, one for few rows. No figure of the
    model depends on it."""

    def native(self, rows: int) -> dict[str, Any]:
        """Return LightGBM's parameters for so many rows; two trainings with them are equal."""
        return self.model_dump(exclude={"rounds", "early_stopping", "threads"}) | {
            "objective": "regression",
            "metric": METRIC,
            "boosting": "gbdt",
            "num_threads": self.threads or (1 if rows < SEVERAL_THREADS_FROM else 0),
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }


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


@dataclass(frozen=True, slots=True)
class Binned:
    """The rows of a train and a validation window as LightGBM learns from them: values in bins.

    Making it takes longer than many a training; any number of trainings may use one. It keeps the
    features that LightGBM would leave out because some `min_data_in_leaf` cannot split them.
    """

    train: "lgb.Dataset"
    valid: "lgb.Dataset"


def bin_rows(train: Dataset, valid: Dataset, params: GbmParams) -> Binned:
    """Return the rows in bins that serve trainings with any parameters of the trees."""
    made = _binned(train, valid, params.native(len(train.rows)) | _ANY_PARAMETERS)
    return Binned(made.train.construct(), made.valid.construct())


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
    give the same text, byte for byte; `binned` are the same rows in bins, if they were made before.
    """
    native = params.native(len(train.rows)) | (_ANY_PARAMETERS if binned else {})
    made = binned or _binned(train, valid, native)
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
    return _as_model(booster, train, curves)


def _binned(train: Dataset, valid: Dataset, native: dict[str, Any]) -> Binned:
    """The rows as LightGBM will bin them, from Arrow columns without a copy in between."""
    _require_same_features(train, valid)
    import lightgbm as lgb  # heavy: on first use

    matrix = lgb.Dataset(to_arrow(train), label=train.target(), params=native)
    judged = lgb.Dataset(to_arrow(valid), label=valid.target(), params=native, reference=matrix)
    return Binned(matrix, judged)


_ANY_PARAMETERS = {"feature_pre_filter": False}


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
    return Predictor(booster, tuple(booster.feature_name()), feature_version)


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
    rows = features.select(pl.col(predictor.features).cast(pl.Float32)).to_numpy()
    threads = 1 if len(rows) < SEVERAL_THREADS_FROM else 0
    found: Any = predictor.booster.predict(rows, num_threads=threads)
    return keys.with_columns(prediction=pl.Series(found, dtype=pl.Float64))


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


def _require_same_features(train: Dataset, valid: Dataset) -> None:
    if not len(train.rows) or not len(valid.rows):
        raise ModelError(
            f"Training needs rows: the train window has {len(train.rows)}, "
            f"the validation window {len(valid.rows)}."
        )
    if (train.features, train.feature_version) != (valid.features, valid.feature_version):
        raise FeatureMismatchError(
            f"The validation rows have other features ({valid.feature_version}) "
            f"than the training rows ({train.feature_version})."
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
    booster: "lgb.Booster", train: Dataset, curves: Mapping[str, Mapping[str, list[float]]]
) -> Model:
    best = booster.best_iteration
    gains: Any = booster.feature_importance("gain", iteration=best)
    ranked = sorted(
        zip(train.features, map(float, gains), strict=True), key=lambda item: (-item[1], item[0])
    )
    return Model(
        text=booster.model_to_string(num_iteration=best),
        best_iteration=best,
        features=train.features,
        feature_version=train.feature_version,
        curves={name: tuple(values[METRIC]) for name, values in curves.items()},
        importance=dict(ranked),
    )


_END_OF_TREES = "\nend of trees\n"
