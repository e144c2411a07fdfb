"""A model trades only after every gate, changes in one step, and an old one stays when it fails."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.models.gates import PromotionRules
from trading_pipeline.core.models.release import Release
from trading_pipeline.errors import (
    MissingDataError,
    ModelCorruptError,
    ModelError,
    ModelNotFoundError,
    TradingPipelineError,
)
from trading_pipeline.flows import lifecycle
from trading_pipeline.flows.judge import predictions_of
from trading_pipeline.flows.train import ensure_release
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.flows.fitted import CAUSE
from trading_pipeline_tests.flows.sample_lake import LAST, SESSIONS, training

NUMBERS = count()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.registry_home(tmp_path_factory)


@pytest.fixture
def store(home: Path) -> ModelStore:
    return ModelStore(home / "models", models.tracking_uri(home))


@pytest.fixture
def strategy() -> str:
    return f"living_{next(NUMBERS)}"


@pytest.fixture
def running(lake: Lake, store: ModelStore, strategy: str) -> Release:
    """Version 1, active."""
    version = fitted.register(store, strategy, fitted.model(lake))
    return store.promote(strategy, version, CAUSE)


def artifact(home: Path, store: ModelStore, strategy: str, version: str, name: str) -> Path:
    (found,) = [one for one in store.versions(strategy) if one.version == version]
    return home / "mlflow" / "artifacts" / strategy / found.run_id / "artifacts" / name


def name_champion(home: Path, strategy: str, version: str) -> None:
    """What a person does in MLflow's own UI."""
    from mlflow import MlflowClient  # noqa: PLC0415 - heavy

    MlflowClient(models.tracking_uri(home)).set_registered_model_alias(
        strategy, "champion", version
    )


def test_a_model_that_passes_every_gate_trades(
    lake: Lake, store: ModelStore, strategy: str
) -> None:
    version = fitted.register(store, strategy, fitted.model(lake))

    done = lifecycle.activate(
        fitted.bench(lake), store, strategy=strategy, version=version, cause=CAUSE
    )

    assert [one.name for one in done.outcomes if one.passed] == [
        "evidence",
        "parity",
        "prefix",
        "feature_schema",
        "dry_prediction",
    ]
    assert store.release(strategy) == done.release
    assert done.previous is None


def test_a_model_without_skill_is_refused_with_every_figure_it_lacks(
    lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    version = fitted.register(store, strategy, fitted.model(lake, 7), rank_ic=0.001, rank_ic_t=0.2)

    with pytest.raises(ModelError, match=r"rank_ic 0\.001, at least 0\.005 .*rank_ic_t 0\.2"):
        lifecycle.activate(
            fitted.bench(lake), store, strategy=strategy, version=version, cause=CAUSE
        )

    assert store.release(strategy) == running


def test_a_model_that_says_the_opposite_of_the_running_one_is_refused(
    lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    version = fitted.register(store, strategy, fitted.contrary(fitted.model(lake)))

    with pytest.raises(ModelError, match="agreement: Mean daily rank correlation"):
        lifecycle.activate(
            fitted.bench(lake), store, strategy=strategy, version=version, cause=CAUSE
        )

    lenient = fitted.bench(lake, PromotionRules(recent_sessions=5, min_agreement=-1))
    done = lifecycle.activate(lenient, store, strategy=strategy, version=version, cause=CAUSE)
    assert (done.previous, done.changed) == (running.model_version, True)


def test_stored_features_that_bars_no_longer_give_stop_an_activation(
    lake: Lake, tmp_path: Path, store: ModelStore, strategy: str
) -> None:
    changed = sample_lake.copy(lake, tmp_path / "lake")
    rows = changed.read("features", LAST, LAST).with_columns(KMID=pl.col("KMID") + 0.01)
    changed.write("features", rows, [LAST])
    version = fitted.register(store, strategy, fitted.model(lake))

    with pytest.raises(ModelError, match=r"parity: 1 features differ \(KMID\)"):
        lifecycle.activate(
            fitted.bench(changed), store, strategy=strategy, version=version, cause=CAUSE
        )

    assert not store.has_champion(strategy)


def test_a_reload_takes_what_the_registry_names(
    home: Path, lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    fitted.register(store, strategy, fitted.model(lake, 7), rank_ic_t=0.0)
    name_champion(home, strategy, "2")

    done = lifecycle.reload(fitted.bench(lake), store, strategy=strategy, cause=CAUSE)

    assert done.changed
    assert done.previous == running.model_version
    assert store.release(strategy).manifest.version == "2"
    assert [one.name for one in done.outcomes] == ["feature_schema", "dry_prediction", "agreement"]


def test_a_reload_of_what_runs_already_changes_nothing(
    lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    before = store.activations(strategy)

    done = lifecycle.reload(fitted.bench(lake), store, strategy=strategy, cause=CAUSE)

    assert not done.changed
    assert store.activations(strategy) == before


@pytest.mark.parametrize("damage", ["truncated", "swapped", "gone"])
def test_a_broken_model_is_refused_loudly_and_the_old_one_stays(
    home: Path,
    lake: Lake,
    store: ModelStore,
    strategy: str,
    running: Release,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fitted.register(store, strategy, fitted.model(lake, 7))
    file = artifact(home, store, strategy, "2", "model.txt")
    whole = file.read_text()
    if damage == "gone":
        file.unlink()
    else:
        file.write_text(whole[:900] if damage == "truncated" else fitted.model(lake).text)
    name_champion(home, strategy, "2")

    with caplog.at_level(logging.ERROR), pytest.raises(TradingPipelineError, match=strategy):
        lifecycle.reload(fitted.bench(lake), store, strategy=strategy, cause=CAUSE)

    assert store.release(strategy) == running
    assert [one.message for one in caplog.records] == ["model reload failed: the old model stays"]


def test_a_version_that_was_overwritten_under_its_number_is_noticed(
    home: Path, lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    artifact(home, store, strategy, "1", "model.txt").write_text(fitted.model(lake, 7).text)

    named = store.named_champion(strategy)

    assert named
    assert named.version == running.manifest.version
    assert named.sha256 != running.manifest.sha256
    with pytest.raises(ModelCorruptError):
        lifecycle.reload(fitted.bench(lake), store, strategy=strategy, cause=CAUSE)


def test_a_rollback_brings_back_the_model_before(
    lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    fitted.register(store, strategy, fitted.model(lake, 7))
    lifecycle.activate(fitted.bench(lake), store, strategy=strategy, version="2", cause=CAUSE)

    done = lifecycle.rollback(store, strategy=strategy, cause=CAUSE)

    assert done.release == running
    assert store.release(strategy) == running
    named = store.named_champion(strategy)
    assert named
    assert named.version == "1"
    assert [one.action for one in store.activations(strategy)] == [
        "activate",
        "activate",
        "rollback",
    ]


def test_a_rollback_needs_no_registry(
    home: Path,
    lake: Lake,
    store: ModelStore,
    strategy: str,
    running: Release,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fitted.register(store, strategy, fitted.model(lake, 7))
    store.promote(strategy, "2", CAUSE)
    cut_off = ModelStore(home / "models", "nonsense://nowhere")

    with caplog.at_level(logging.WARNING):
        done = lifecycle.rollback(cut_off, strategy=strategy, cause=CAUSE)

    assert done.release == running
    assert "the alias champion was not moved" in caplog.text


def test_without_an_earlier_model_there_is_no_way_back(
    store: ModelStore, strategy: str, running: Release
) -> None:
    with pytest.raises(ModelNotFoundError, match="No other model"):
        lifecycle.rollback(store, strategy=strategy, cause=CAUSE)


def test_a_deactivated_model_is_not_replaced_by_itself(
    lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    lifecycle.deactivate(store, strategy=strategy, cause=CAUSE)

    asked = replace(training(), strategy=strategy)
    with pytest.raises(ModelNotFoundError, match="was deactivated"):
        ensure_release(lake, store, asked, now=sample_lake.KNOWN_AT)
    assert store.named_champion(strategy) is None
    lifecycle.rollback(store, strategy=strategy, cause=CAUSE)
    assert store.release(strategy) == running


def test_predictions_go_on_while_models_are_reloaded_and_each_is_of_one_version(
    lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    fitted.register(store, strategy, fitted.model(lake, 7))
    other = store.promote(strategy, "2", CAUSE)
    features = fitted.features(lake)
    said = {one.model_version: predictions_of(one, features) for one in (running, other)}
    assert not said[running.model_version].equals(said[other.model_version])
    bench = fitted.bench(lake, PromotionRules(recent_sessions=2, min_agreement=-1))

    def predict(_: int) -> str:
        release = store.release(strategy)
        assert predictions_of(release, features).equals(said[release.model_version])
        return release.model_version

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(predict, number) for number in range(1_000)]
        for _ in range(10):
            store.rollback(strategy, CAUSE)  # the registry still names the other one
            assert lifecycle.reload(bench, store, strategy=strategy, cause=CAUSE).changed
        seen = [one.result() for one in asked]

    assert len(seen) == 1_000
    assert set(seen) == set(said)


def test_a_bench_with_too_little_behind_it_is_named(
    lake: Lake, store: ModelStore, strategy: str
) -> None:
    version = fitted.register(store, strategy, fitted.model(lake))
    early = fitted.bench(lake, through=SESSIONS[62])

    with pytest.raises(
        MissingDataError, match="judged on 5 recent sessions of features, 3 are held"
    ):
        lifecycle.activate(early, store, strategy=strategy, version=version, cause=CAUSE)


def test_a_champion_named_elsewhere_is_noticed_once(
    home: Path, lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    first = lifecycle.look(store, strategy, None)
    fitted.register(store, strategy, fitted.model(lake, 7))
    name_champion(home, strategy, "2")

    second = lifecycle.look(store, strategy, first.cursor)
    third = lifecycle.look(store, strategy, second.cursor)

    assert (first.reload, second.reload, third.reload) == (False, True, False)
    artifact(home, store, strategy, "2", "model.txt").write_text("something else")
    assert lifecycle.look(store, strategy, third.cursor).reload


def test_a_deactivated_model_is_not_brought_back_by_an_alias(
    home: Path, lake: Lake, store: ModelStore, strategy: str, running: Release
) -> None:
    lifecycle.deactivate(store, strategy=strategy, cause=CAUSE)
    name_champion(home, strategy, "1")

    assert not lifecycle.look(store, strategy, None).reload
    with pytest.raises(ModelNotFoundError, match="activate a version"):
        lifecycle.reload(fitted.bench(lake), store, strategy=strategy, cause=CAUSE)
