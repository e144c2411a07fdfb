"""Training runs and versions in a real MLflow; nothing that goes wrong there is swallowed."""

from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path

import pytest

from trading_pipeline.adapters.model_store import ModelStore, ModelVersion
from trading_pipeline.adapters.model_store.connection import driver_named
from trading_pipeline.errors import (
    AdapterError,
    FeatureMismatchError,
    ModelCorruptError,
    ModelNotFoundError,
)
from trading_pipeline_tests.adapters.model_store import models

NUMBERS = count()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.registry_home(tmp_path_factory)


@pytest.fixture
def store(home: Path) -> ModelStore:
    return ModelStore(home / "models", models.tracking_uri(home))


@pytest.fixture
def strategy() -> str:
    return f"baseline_{next(NUMBERS)}"


def register(
    store: ModelStore, strategy: str, seed: int = 1, *, valid_ic: float = 0.05
) -> ModelVersion:
    made = models.model(seed)
    record = replace(models.RECORD, metrics={"rank_ic": 0.02, "valid_ic": valid_ic})
    return store.log_and_register(made.text, models.card(made, strategy=strategy), record)


def client(home: Path):
    from mlflow import MlflowClient  # noqa: PLC0415 - only once the store has set its defaults

    return MlflowClient(models.tracking_uri(home))


def artifact(home: Path, strategy: str, version: ModelVersion, name: str) -> Path:
    place = home / "mlflow" / "artifacts" / strategy / version.run_id / "artifacts"
    return place / name


def test_a_training_is_recorded_whole(home: Path, store: ModelStore, strategy: str) -> None:
    version = register(store, strategy)

    run = client(home).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train_sessions": "60", "label": "open_to_open"}
    assert run.data.metrics["rank_ic"] == 0.02
    steps = client(home).get_metric_history(version.run_id, "fold_rank_ic")
    assert [(one.step, one.value) for one in steps] == [(0, 0.01), (1, 0.03)]
    assert run.data.tags["feature_version"] == "test-1"
    names = {file.path for file in client(home).list_artifacts(version.run_id)}
    assert names == {"model.txt", "card.json", "importance.json", "ic.svg"}
    assert artifact(home, strategy, version, "model.txt").read_text() == models.model().text


def test_a_run_is_filed_under_its_strategy(home: Path, store: ModelStore, strategy: str) -> None:
    version = register(store, strategy)

    experiment = client(home).get_run(version.run_id).info.experiment_id
    assert client(home).get_experiment(experiment).name == strategy


def test_versions_count_up_and_the_newest_is_the_challenger(
    home: Path, store: ModelStore, strategy: str
) -> None:
    first, second = register(store, strategy), register(store, strategy, 2)

    assert (first.version, second.version) == ("1", "2")
    assert str(client(home).get_model_version_by_alias(strategy, "challenger").version) == "2"


def test_a_model_of_an_earlier_time_does_not_challenge(store: ModelStore, strategy: str) -> None:
    register(store, strategy, 1)
    made = models.model(2)
    older = models.card(made, strategy=strategy, through=date(2012, 6, 29))

    store.log_and_register(made.text, older, models.RECORD)

    challenger = store.challenger(strategy)
    assert challenger
    assert challenger.manifest.version == "1"
    assert [one.aliases for one in store.versions(strategy)] == [(), ("challenger",)]


def test_registering_alone_releases_nothing(store: ModelStore, strategy: str) -> None:
    register(store, strategy)

    assert not store.has_champion(strategy)
    with pytest.raises(ModelNotFoundError):
        store.release(strategy)


def test_promotion_makes_the_bundle_and_moves_the_alias(
    home: Path, store: ModelStore, strategy: str
) -> None:
    version = register(store, strategy)

    promoted = store.promote(strategy, version.version, models.CAUSE)

    assert store.release(strategy) == promoted
    assert promoted.text == models.model().text
    assert promoted.manifest.run_id == version.run_id
    assert str(client(home).get_model_version_by_alias(strategy, "champion").version) == "1"


def test_an_older_version_can_be_promoted_again(
    home: Path, store: ModelStore, strategy: str
) -> None:
    register(store, strategy, 1)
    register(store, strategy, 2)
    store.promote(strategy, "2", models.CAUSE)

    store.promote(strategy, "1", models.CAUSE)

    assert store.release(strategy).manifest.version == "1"
    assert str(client(home).get_model_version_by_alias(strategy, "champion").version) == "1"


def test_keeping_a_version_leaves_the_champion(store: ModelStore, strategy: str) -> None:
    register(store, strategy, 1)
    store.promote(strategy, "1", models.CAUSE)
    made = models.model(2)
    older = models.card(made, strategy=strategy, through=date(2012, 6, 29))
    kept = store.log_and_register(made.text, older, models.RECORD)

    store.keep(strategy, kept.version)

    assert store.release(strategy).manifest.version == "1"
    assert store.release(strategy, session=date(2012, 7, 2)).manifest.version == "2"


@pytest.mark.parametrize("unknown", ["9", "nine"])
def test_an_unknown_version_cannot_be_promoted(
    store: ModelStore, strategy: str, unknown: str
) -> None:
    register(store, strategy)
    store.promote(strategy, "1", models.CAUSE)

    with pytest.raises((ModelNotFoundError, AdapterError), match=f"read version {unknown} of"):
        store.promote(strategy, unknown, models.CAUSE)

    assert store.release(strategy).manifest.version == "1"


def test_bytes_that_changed_in_the_registry_are_not_promoted(
    home: Path, store: ModelStore, strategy: str
) -> None:
    register(store, strategy, 1)
    store.promote(strategy, "1", models.CAUSE)
    second = register(store, strategy, 2)
    artifact(home, strategy, second, "model.txt").write_text(models.model(2).text[:-3_000])

    with pytest.raises(ModelCorruptError, match="version 2 of"):
        store.promote(strategy, "2", models.CAUSE)

    assert store.release(strategy).manifest.version == "1"


def test_another_model_with_its_card_under_the_version_is_not_promoted(
    home: Path, store: ModelStore, strategy: str
) -> None:
    first, second = register(store, strategy, 1), register(store, strategy, 2)
    for name in ("model.txt", "card.json"):
        swapped = artifact(home, strategy, first, name).read_text()
        artifact(home, strategy, second, name).write_text(swapped)

    with pytest.raises(ModelCorruptError, match="not the one that was registered"):
        store.promote(strategy, "2", models.CAUSE)


def test_a_card_that_names_other_features_is_not_promoted(store: ModelStore, strategy: str) -> None:
    made = models.model()
    wrong = models.card(made, strategy=strategy).model_copy(update={"features": ("KMID", "KLEN")})
    store.log_and_register(made.text, wrong, models.RECORD)

    with pytest.raises(FeatureMismatchError, match="8 features beginning with F0"):
        store.promote(strategy, "1", models.CAUSE)

    assert not store.has_champion(strategy)


def test_the_best_training_is_that_with_the_highest_metric(
    store: ModelStore, strategy: str
) -> None:
    register(store, strategy, 1, valid_ic=0.01)
    register(store, strategy, 2, valid_ic=0.09)
    register(store, strategy, 3, valid_ic=0.04)

    assert [run.version for run in store.runs(strategy)] == ["3", "2", "1"]
    assert store.best(strategy).version == "2"
    with pytest.raises(ModelNotFoundError, match="has a metric sharpe"):
        store.best(strategy, "sharpe")


def test_a_run_that_cannot_be_recorded_is_failed_and_registers_nothing(
    home: Path, store: ModelStore, strategy: str
) -> None:
    made = models.model()
    record = replace(models.RECORD, artifacts={"../outside.json": "{}"})

    with pytest.raises(AdapterError, match=f"MLflow could not record the training of {strategy}"):
        store.log_and_register(made.text, models.card(made, strategy=strategy), record)

    assert [(run.status, run.version) for run in store.runs(strategy)] == [("FAILED", None)]


def test_more_metrics_than_a_batch_takes_are_all_recorded(
    home: Path, store: ModelStore, strategy: str
) -> None:
    made = models.model()
    folds = [{f"m{number}": float(step) for number in range(600)} for step in range(2)]
    record = replace(models.RECORD, folds=folds)

    version = store.log_and_register(made.text, models.card(made, strategy=strategy), record)

    steps = client(home).get_metric_history(version.run_id, "fold_m599")
    assert [(one.step, one.value) for one in steps] == [(0, 0.0), (1, 1.0)]


UNREACHABLE = (
    "nonsense://x",
    "sqlite:////proc/none/mlflow.db",
    "postgresql://someone:secret@127.0.0.1:1/mlflow",
)


@pytest.mark.parametrize("uri", UNREACHABLE)
def test_a_registry_that_cannot_be_opened_is_an_error(
    tmp_path: Path, strategy: str, uri: str
) -> None:
    with pytest.raises(AdapterError, match="MLflow could not") as error:
        register(ModelStore(tmp_path / "models", uri), strategy)

    assert "secret" not in str(error.value)


def test_a_database_that_is_none_is_an_error(tmp_path: Path, strategy: str) -> None:
    (tmp_path / "mlflow.db").write_text("no database" * 200)

    with pytest.raises(AdapterError, match="MLflow could not"):
        register(ModelStore(tmp_path / "models", f"sqlite:///{tmp_path / 'mlflow.db'}"), strategy)


def test_postgresql_is_reached_by_the_driver_that_is_installed() -> None:
    assert driver_named("postgres://u:p@h/db") == "postgresql+psycopg2://u:p@h/db"
    assert driver_named("postgresql://h/db") == "postgresql+psycopg2://h/db"
    assert driver_named("postgresql+psycopg2://h/db") == "postgresql+psycopg2://h/db"
    assert driver_named("sqlite:////tmp/m.db") == "sqlite:////tmp/m.db"


def test_the_registry_may_live_in_postgresql(
    tmp_path: Path, postgres_url: str, strategy: str
) -> None:
    store = ModelStore(tmp_path / "models", postgres_url)

    register(store, strategy)
    store.promote(strategy, "1", models.CAUSE)

    assert store.release(strategy).text == models.model().text
