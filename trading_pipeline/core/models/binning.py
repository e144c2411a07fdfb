"""Rows as LightGBM learns from them: each value replaced by the number of its bin."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_pipeline.core.models.dataset import Dataset
from trading_pipeline.core.models.params import GbmParams
from trading_pipeline.core.models.scaling import (
    AS_THEY_ARE,
    NormalizationRules,
    Scaling,
    fit_scaling,
    scaled,
)
from trading_pipeline.errors import FeatureMismatchError, ModelError

if TYPE_CHECKING:
    import lightgbm as lgb


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What bins are made by.

    `shared` ones serve trainings with any parameters of the trees and the same seed: features that
    this `min_data_in_leaf` could not split are then kept.
    """

    params: GbmParams
    normalization: NormalizationRules = AS_THEY_ARE
    shared: bool = False

    def native(self, rows: int) -> dict[str, Any]:
        """Return LightGBM's parameters for so many rows: of the bins, and of trainings on them."""
        return self.params.native(rows) | ({"feature_pre_filter": False} if self.shared else {})


@dataclass(frozen=True, slots=True)
class Binned:
    """The rows of a train and a validation window in bins, and how they were scaled before.

    Making it takes longer than many a training.
    """

    train: "lgb.Dataset"
    valid: "lgb.Dataset"
    scaling: Scaling | None
    recipe: Recipe


Binning = Callable[[Dataset, Dataset, Recipe], Binned]
"""Puts a train and a validation window in bins: `bin_rows`, or what keeps its results."""


def bin_rows(train: Dataset, valid: Dataset, recipe: Recipe) -> Binned:
    """Return both windows in bins; bins and scaling are found on the train window alone.

    Arrow columns of float32 go to LightGBM as they are, and without a scaling nothing is copied.
    """
    _require_same_features(train, valid)
    import lightgbm as lgb  # heavy: on first use

    native = recipe.native(len(train.rows))
    scaling = fit_scaling(train.rows, train.features, recipe.normalization)
    learned = lgb.Dataset(to_arrow(train, scaling), label=train.target(), params=native).construct()
    judged = lgb.Dataset(
        to_arrow(valid, scaling), label=valid.target(), params=native, reference=learned
    ).construct()
    _give_memory_back()
    return Binned(learned, judged, scaling, recipe)


def to_arrow(dataset: Dataset, scaling: Scaling | None = None) -> Any:
    """The features as one pyarrow.Table of float32, nulls kept: LightGBM reads it as it is."""
    features: Any = scaled(dataset.rows, dataset.features, scaling)  # its own hint is partial
    return features.to_arrow()


def _give_memory_back() -> None:
    """Return what the search for bins has freed to the system: glibc keeps it otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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
