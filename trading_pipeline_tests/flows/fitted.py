"""Models fitted on the sample lake in a moment, registered like trained ones."""

from datetime import UTC, date, datetime
from functools import cache

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import Cause, ModelStore, RunRecord
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.binning import Recipe, bin_rows
from trading_pipeline.core.models.dataset import Split, newest_split
from trading_pipeline.core.models.gates import PromotionRules
from trading_pipeline.core.models.gbm import GbmParams, Model
from trading_pipeline.core.models.release import Manifest, ModelCard, Release, checksum
from trading_pipeline.core.models.scaling import FeatureScale, NormalizationRules
from trading_pipeline.flows.judge import Bench
from trading_pipeline.flows.train import read_dataset
from trading_pipeline_tests.flows import sample_lake
from trading_pipeline_tests.flows.sample_lake import LAST, SESSIONS, training

THROUGH = SESSIONS[-41]
"""Training saw no price after it: the forty sessions that follow can be predicted."""
SKILLED = {"rank_ic": 0.03, "rank_ic_low": 0.01, "rank_ic_t": 3.0, "sessions": 120.0}
RECORD = RunRecord(params={}, metrics={}, folds=[], artifacts={}, tags={})
CAUSE = Cause("test", datetime(2013, 3, 2, tzinfo=UTC), "a test")


@cache
def model(lake: Lake, seed: int = 42, features: FeatureScale = "none") -> Model:
    """A model of the sample; another seed, another model."""
    dataset = read_dataset(lake, training(THROUGH))
    split = newest_split(dataset.sessions(), train=300, valid=60, embargo=2)
    params = GbmParams(rounds=10, early_stopping=10, seed=seed)
    train, valid = dataset.within(split.train), dataset.within(split.valid)
    recipe = Recipe(params=params, normalization=NormalizationRules(features=features))
    return gbm.fit(train, valid, params, binned=bin_rows(train, valid, recipe))


def release(model: Model, split: Split, *, through: date) -> Release:
    """The release that a training of the strategy `alpha_baseline` on the sample ends in."""
    manifest = Manifest(
        strategy="alpha_baseline",
        sha256=checksum(model.text),
        features=model.features,
        feature_version=model.feature_version,
        label="open_to_open",
        symbols=sample_lake.SYMBOLS,
        trained_from=split.train[0],
        last_label=split.valid[-1],
        trained_through=through,
        best_iteration=model.best_iteration,
        version="1",
        run_id="run1",
    )
    return Release(manifest=manifest, text=model.text)


def contrary(made: Model) -> Model:
    """The model that says the opposite: every leaf with the other sign."""
    lines = [
        f"leaf_value={' '.join(str(-float(value)) for value in line[11:].split())}"
        if line.startswith("leaf_value=")
        else line
        for line in made.text.split("\n")
    ]
    return _with_text(made, "\n".join(lines))


def _with_text(made: Model, text: str) -> Model:
    return Model(
        text=text,
        best_iteration=made.best_iteration,
        features=made.features,
        feature_version=made.feature_version,
        curves={},
        importance={},
    )


def card(made: Model, strategy: str, *, through: date = THROUGH, **metrics: float) -> ModelCard:
    return ModelCard(
        strategy=strategy,
        sha256=checksum(made.text),
        features=made.features,
        feature_version=made.feature_version,
        label="open_to_open",
        symbols=sample_lake.SYMBOLS,
        trained_from=SESSIONS[61],
        last_label=SESSIONS[-44],
        trained_through=through,
        best_iteration=made.best_iteration,
        normalization="robust_zscore" if "\nscaling:" in made.text else "none",
        metrics=SKILLED | metrics,
    )


def register(store: ModelStore, strategy: str, made: Model, **metrics: float) -> str:
    """Register a model and return its version."""
    return store.log_and_register(made.text, card(made, strategy, **metrics), RECORD).version


def bench(lake: Lake, rules: PromotionRules | None = None, *, through: date = LAST) -> Bench:
    return Bench(
        lake=lake,
        rules=rules or PromotionRules(recent_sessions=5),
        convention="crsp",
        through=through,
    )


def features(lake: Lake) -> pl.DataFrame:
    return lake.read("features", LAST, LAST)
