"""A model of scaled features: one file that holds both, applied alike wherever it is asked."""

import pickletools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.models.release import Release, bundle_name
from trading_pipeline.core.models.scaling import Scaling, read_from
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.errors import ModelCorruptError
from trading_pipeline.flows import lifecycle
from trading_pipeline.flows.judge import predictions_of
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.predict import predict, predicted
from trading_pipeline.flows.signals import Sources, signals
from trading_pipeline.flows.train import train
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.flows.fitted import CAUSE
from trading_pipeline_tests.flows.sample_lake import LAST

STRATEGY = "alpha_baseline"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("normalized")


@pytest.fixture(scope="module")
def store(home: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    registry = models.registry_home(tmp_path_factory)
    return ModelStore(home / "models", models.tracking_uri(registry))


@pytest.fixture(scope="module")
def active(lake: Lake, store: ModelStore) -> Release:
    version = fitted.register(store, STRATEGY, fitted.model(lake, features="robust_zscore"))
    bench = fitted.bench(lake)
    return lifecycle.activate(bench, store, strategy=STRATEGY, version=version, cause=CAUSE).release


def test_the_bundle_gives_back_the_numbers_it_was_trained_with(
    lake: Lake, store: ModelStore, active: Release
) -> None:
    trained = fitted.model(lake, features="robust_zscore")

    release = store.release(STRATEGY)

    assert release.manifest.normalization == "robust_zscore"
    assert release.text == trained.text
    assert store.fetch(STRATEGY, active.manifest.version).text == trained.text
    found = read_from(release.text, len(release.manifest.features))
    assert isinstance(found, Scaling)
    assert len(found.center) == 158


def test_every_way_to_ask_gives_the_same_predictions(
    lake: Lake, tmp_path: Path, store: ModelStore, active: Release
) -> None:
    copy = sample_lake.copy(lake, tmp_path / "lake")
    cast = Cast(name=STRATEGY, symbols=sample_lake.SYMBOLS, convention="crsp")
    rules = AllocationRules(names=ConstructionRules(top_n=1, bottom_n=1))

    day = predict(copy, store, strategy=STRATEGY, sessions=[LAST])["prediction"]
    backtest = predicted(copy, active, strategy=STRATEGY, sessions=sample_lake.SESSIONS[-20:])
    judged = predictions_of(active, fitted.features(copy))["prediction"]
    asked = signals(Sources(lake=copy, models=store), cast, session=LAST, rules=rules).rows
    plain = predictions_of(replace(active, text=fitted.model(lake).text), fitted.features(copy))[
        "prediction"
    ]

    assert backtest.filter(pl.col("session") == LAST)["prediction"].equals(day)
    assert judged.equals(day)
    assert asked.sort("symbol")["prediction"].equals(day)
    assert not plain.equals(day)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"clip":3.0', '"clip":2.0'),
        lambda text: text.partition("\nscaling:")[0] + "\n\npandas_categorical:null\n",
    ],
    ids=["changed", "taken out"],
)
def test_a_scaling_that_was_tampered_with_is_not_used(
    home: Path, store: ModelStore, active: Release, damage: Callable[[str], str]
) -> None:
    folder = home / "models" / STRATEGY / "versions" / bundle_name(active.manifest)
    whole = (folder / "model.txt").read_text()
    (folder / "model.txt").write_text(damage(whole))

    with pytest.raises(ModelCorruptError, match="sha256"):
        store.release(STRATEGY)

    (folder / "model.txt").write_text(whole)
    assert store.release(STRATEGY) == active


def test_nothing_in_a_bundle_is_a_pickle(home: Path, active: Release) -> None:
    for path in (home / "models" / STRATEGY).rglob("*"):
        if path.is_file() and path.stat().st_size:
            with pytest.raises(ValueError, match=r"opcode|pickle"):
                list(pickletools.genops(path.read_bytes()))


def test_a_card_that_says_otherwise_than_the_text_is_refused(lake: Lake, store: ModelStore) -> None:
    made = fitted.model(lake, features="robust_zscore")
    card = fitted.card(made, "liar").model_copy(update={"normalization": "none"})
    version = store.log_and_register(made.text, card, fitted.RECORD).version

    with pytest.raises(ModelCorruptError, match="its text says otherwise"):
        store.fetch("liar", version)


def test_a_training_by_the_settings_scales_and_says_so(lake: Lake, store: ModelStore) -> None:
    asked = {"features": "robust_zscore", "clip": 5.0, "target": "rank"}
    rules = sample_lake.RULES.model_validate(
        sample_lake.RULES.model_dump() | {"normalization": asked, "folds": 1}
    )

    trained = train(lake, store, replace(sample_lake.training(), strategy="scaled", rules=rules))

    (run,) = store.runs("scaled")
    assert run.params["normalization_features"] == "robust_zscore"
    assert run.params["normalization_clip"] == "5.0"
    assert (trained.card.normalization, trained.card.target) == ("robust_zscore", "rank")
    found = read_from(trained.judged.final.model.text, 158)
    assert found
    assert found.clip == 5.0
    assert store.fetch("scaled", trained.version.version) == store.challenger("scaled")
