"""The jobs of a model's life and its sensor, as Dagster runs them."""

from datetime import UTC, datetime
from itertools import count
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
NUMBERS = count()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.registry_home(tmp_path_factory)


class OfOneTest(ModelStore):
    """The registry is shared by all tests, so each has models under a name of its own."""

    def __init__(self, models_dir: Path, uri: str) -> None:
        super().__init__(models_dir, uri)
        self.strategy = f"wired_{next(NUMBERS)}"


@pytest.fixture
def store(tmp_path: Path, registry: Path) -> OfOneTest:
    return OfOneTest(tmp_path / "models", models.tracking_uri(registry))


@pytest.fixture
def resources(lake: Lake, store: OfOneTest, tmp_path: Path) -> dict[str, Any]:
    rules = sample_lake.RULES.model_copy(
        update={"promotion": fitted.bench(lake).rules.model_copy(update={"min_rank_ic_t": 2.0})}
    )
    settings = Settings.load(home=tmp_path, training=rules)
    named = settings.model_copy(update={"strategy": store.strategy})
    return {"settings": named, "lake": lake, "model_store": store}


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
    lake: Lake, store: OfOneTest, resources: dict[str, Any]
) -> None:
    for seed in (42, 7):
        fitted.register(store, store.strategy, fitted.model(lake, seed))

    for version in ("1", "2"):
        assert run("activate_model", resources, version=version, reason="a try").success
    assert store.release(store.strategy).manifest.version == "2"
    assert run("rollback_model", resources, reason="worse").success
    assert store.release(store.strategy).manifest.version == "1"
    assert run("deactivate_model", resources, reason="a holiday").success
    assert store.is_deactivated(store.strategy)

    noted = store.activations(store.strategy)
    assert [one.action for one in noted] == ["activate", "activate", "rollback", "deactivate"]
    assert [one.reason for one in noted] == ["a try", "a try", "worse", "a holiday"]


def test_a_model_that_fails_a_gate_fails_the_job(
    lake: Lake, store: OfOneTest, resources: dict[str, Any]
) -> None:
    fitted.register(store, store.strategy, fitted.model(lake), rank_ic=0.0)

    assert not run("activate_model", resources, version="1").success
    assert not store.has_champion(store.strategy)


def test_the_sensor_asks_once_for_what_the_registry_names_and_the_job_loads_it(
    lake: Lake, registry: Path, store: OfOneTest, resources: dict[str, Any]
) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - heavy

    for seed in (42, 7):
        fitted.register(store, store.strategy, fitted.model(lake, seed))
    store.promote(store.strategy, "1", CAUSE)
    client = MlflowClient(models.tracking_uri(registry))
    client.set_registered_model_alias(store.strategy, "champion", "2")

    first = look(resources, None)
    second = look(resources, first.cursor)

    assert isinstance(first, dg.SensorResult)
    assert first.run_requests
    assert not second.run_requests
    assert run("reload_model", resources).success
    assert store.release(store.strategy).manifest.version == "2"


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
    store: OfOneTest, resources: dict[str, Any]
) -> None:
    done = dg.materialize(
        [model_assets.challenger],
        partition_key=str(sample_lake.LAST),
        resources=resources,
        selection=[model_assets.challenger],
    )

    assert done.success
    (event,) = done.asset_materializations_for_node("challenger")
    assert {"may_trade", "gates", "evaluation", "rank_ic"} <= set(event.metadata)
    assert not store.has_champion(store.strategy)
    assert store.challenger(store.strategy)


def test_the_week_ends_with_a_training_as_of_its_last_session() -> None:
    with dg.build_schedule_context(
        scheduled_execution_time=datetime(2013, 3, 30, 10, tzinfo=UTC)
    ) as context:
        asked: Any = weekly_retrain(context)

    assert asked.partition_key == "2013-03-28"  # the 29th was Good Friday
