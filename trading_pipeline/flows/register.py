"""Register a model that was trained elsewhere, from its file."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from trading_pipeline.adapters.model_store import ModelStore, ModelVersion, RunRecord
from trading_pipeline.adapters.model_store.probe import read_model_file
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.core.features.labels import LABEL_HORIZON, Timing
from trading_pipeline.core.market.calendar import require_session, session_window
from trading_pipeline.core.models import gates, gbm
from trading_pipeline.core.models.release import ModelCard, checksum
from trading_pipeline.errors import FeatureMismatchError, SettingsError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What somebody says of a model file: nothing of it is evidence for the promotion gates."""

    strategy: str
    symbols: tuple[str, ...]
    trained_from: date
    trained_through: date
    label: Timing
    metrics: Mapping[str, float]


def register_file(store: ModelStore, path: Path, declared: Declared) -> ModelVersion:
    """Register a LightGBM text file as challenger; nothing is released.

    Metrics are recorded under `declared_<name>`, so that no gate takes them for measured ones.
    Raises ModelNotFoundError, ModelCorruptError, FeatureMismatchError when it takes other features
    than the stored ones, SettingsError for sessions that are none or in the wrong order.
    """
    first, last = require_session(declared.trained_from), require_session(declared.trained_through)
    if first >= last:
        raise SettingsError(f"Training from {first} through {last}: the first is not earlier.")
    text = read_model_file(path)
    predictor = gbm.load(text, feature_version=VERSION)
    fits = gates.schema((predictor.features, VERSION), (NAMES, VERSION))
    if not fits.passed:
        raise FeatureMismatchError(fits.sentence)
    metrics = {f"declared_{name}": value for name, value in declared.metrics.items()}
    card = ModelCard(
        strategy=declared.strategy,
        sha256=checksum(text),
        features=predictor.features,
        feature_version=VERSION,
        label=declared.label,
        symbols=declared.symbols,
        trained_from=first,
        last_label=session_window(last, LABEL_HORIZON + 1)[0],
        trained_through=last,
        best_iteration=predictor.booster.num_trees(),
        metrics=metrics,
    )
    record = RunRecord(
        params={"file": path.name},
        metrics=metrics,
        folds=(),
        artifacts={},
        tags={"strategy": declared.strategy, "feature_version": VERSION, "origin": "file"},
    )
    version = store.log_and_register(text, card, record)
    _log.info("model registered", extra={"strategy": version.strategy, "version": version.version})
    return version
