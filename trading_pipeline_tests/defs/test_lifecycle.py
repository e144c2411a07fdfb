"""The jobs of a model's life and its sensor, as Dagster runs them."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.defs import models as model_assets
from trading_pipeline.defs.lifecycle import jobs_and_sensors, model_hot_reload, weekly_retrain
from trading_pipeline.settings import Settings
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.flows.fitted import CAUSE

STRATEGY = "alpha_baseline"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with nothing in it: its tables take more than a second to make."""
    home = tmp_path_factory.mktemp("tables")
    assert not ModelStore(home / "models", models.tracking_uri(home)).versions(STRATEGY)
    return home


@pytest.fixture
def store(tmp_path: Path, tables: Path) -> ModelStore:
    shutil.copytree(tables / "mlflow", tmp_path / "mlflow")
    return ModelStore(tmp_path / "models", models.tracking_uri(tmp_path))


@pytest.fixture
def resources(lake: Lake, store: ModelStore, tmp_path: Path) -> dict[str, Any]:
    rules = sample_lake.RULES.model_copy(
        update={"promotion": fitted.bench(lake).rules.model_copy(update={"min_rank_ic_t": 2.0})}
    )
    settings = Settings.load(home=tmp_path, training=rules)
    return {"settings": settings, "lake": lake, "model_store": store}


def run(job: str, resources: dict[str, Any], **config: str) -> dg.ExecuteInProcessResult:
    """A job by its name, its one op with this config."""
    definitions = dg.Definitions.merge(
        dg.Definitions(
            assets=[model_assets.challenger],
            resources=resources,
            executor=dg.in_process_executor,
        ),
        jobs_and_sensors(),
    )
    found = definitions.resolve_job_def(job)
    (op,) = [node.name for node in found.nodes]
    return found.execute_in_process(
        run_config={"ops": {op: {"config": config}}} if config else {}, raise_on_error=False
    )


def test_a_model_is_activated_rolled_back_and_deactivated_by_jobs(
    lake: Lake, store: ModelStore, resources: dict[str, Any]
) -> None:
    for seed in (42, 7):
        fitted.register(store, STRATEGY, fitted.model(lake, seed))

    for version in ("1", "2"):
        assert run("activate_model", resources, version=version, reason="a try").success
    assert store.release(STRATEGY).manifest.version == "2"
    assert run("rollback_model", resources, reason="worse").success
    assert store.release(STRATEGY).manifest.version == "1"
    assert run("deactivate_model", resources, reason="a holiday").success
    assert store.is_deactivated(STRATEGY)

    noted = store.activations(STRATEGY)
    assert [one.action for one in noted] == ["activate", "activate", "rollback", "deactivate"]
    assert [one.reason for one in noted] == ["a try", "a try", "worse", "a holiday"]


def test_a_model_that_fails_a_gate_fails_the_job(
    lake: Lake, store: ModelStore, resources: dict[str, Any]
) -> None:
    fitted.register(store, STRATEGY, fitted.model(lake), rank_ic=0.0)

    assert not run("activate_model", resources, version="1").success
    assert not store.has_champion(STRATEGY)


def test_the_sensor_asks_once_for_what_the_registry_names_and_the_job_loads_it(
    lake: Lake, tmp_path: Path, store: ModelStore, resources: dict[str, Any]
) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - heavy

    for seed in (42, 7):
        fitted.register(store, STRATEGY, fitted.model(lake, seed))
    store.promote(STRATEGY, "1", CAUSE)
    client = MlflowClient(models.tracking_uri(tmp_path))
    client.set_registered_model_alias(STRATEGY, "champion", "2")

    first = look(resources, None)
    second = look(resources, first.cursor)

    assert isinstance(first, dg.SensorResult)
    assert first.run_requests
    assert not second.run_requests
    assert run("reload_model", resources).success
    assert store.release(STRATEGY).manifest.version == "2"


def look(resources: dict[str, Any], cursor: str | None) -> Any:
    with dg.build_sensor_context(
        cursor=cursor,
        resources={name: resources[name] for name in ("settings", "model_store")},
    ) as context:
        return model_hot_reload(context)


def test_the_sensor_lives_on_when_the_registry_does_not_answer(
    resources: dict[str, Any], tmp_path: Path
) -> None:
    broken = ModelStore(tmp_path / "models", "nonsense://nowhere")

    found = look(resources | {"model_store": broken}, "1:abc")

    assert isinstance(found, dg.SkipReason)
    assert "MLflow could not" in str(found.skip_message)


def test_a_retraining_registers_a_challenger_with_a_verdict_and_releases_nothing(
    store: ModelStore, resources: dict[str, Any]
) -> None:
    done = dg.materialize(
        [model_assets.challenger],
        partition_key=str(sample_lake.LAST),
        resources=resources,
        selection=[model_assets.challenger],
    )

    assert done.success
    (event,) = done.asset_materializations_for_node("challenger")
    assert {"may_trade", "gates", "evaluation", "rank_ic", "sharpe"} <= set(event.metadata)
    page = Path(str(event.metadata["page"].value)).read_text()
    assert page.count("<svg") == 6
    assert "src=" not in page
    assert not store.has_champion(STRATEGY)
    assert store.challenger(STRATEGY)


def test_the_week_ends_with_a_training_as_of_its_last_session() -> None:
    with dg.build_schedule_context(
        scheduled_execution_time=datetime(2013, 3, 30, 10, tzinfo=UTC)
    ) as context:
        asked: Any = weekly_retrain(context)

    assert asked.partition_key == "2013-03-28"  # the 29th was Good Friday
