"""The jobs of a model's life and its sensor, as Dagster runs them."""

import shutil
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.features.labels import LABEL_HORIZON
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


def job_of(name: str, resources: dict[str, Any]) -> dg.JobDefinition:
    challenger = dg.Definitions(
        assets=[model_assets.challenger], resources=resources, executor=dg.in_process_executor
    )
    return dg.Definitions.merge(challenger, jobs_and_sensors()).resolve_job_def(name)


def run(job: str, resources: dict[str, Any], **config: object) -> dg.ExecuteInProcessResult:
    """A job by its name, its one op with this config."""
    found = job_of(job, resources)
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


def told(done: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the one op of a job shows in the web UI."""
    (event,) = done.filter_events(lambda event: event.is_successful_output)
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def test_versions_are_registered_listed_and_compared_by_jobs(
    lake: Lake, store: ModelStore, resources: dict[str, Any], tmp_path: Path
) -> None:
    fitted.register(store, STRATEGY, fitted.model(lake))
    running = store.promote(STRATEGY, "1", CAUSE)
    (tmp_path / "model.txt").write_text(fitted.model(lake, 7).text)
    file = {
        "path": str(tmp_path / "model.txt"),
        "trained_from": str(sample_lake.SESSIONS[61]),
        "trained_through": str(fitted.THROUGH),
    }

    registered = told(run("register_model", resources, **file, metrics={"rank_ic": 0.9}))
    listed = told(run("model_history", resources))
    compared = told(run("compare_models", resources))

    assert registered["version"] == "2"
    assert [row.data["status"] for row in listed["versions"].records] == ["active", "challenger"]
    assert compared["first"] == running.model_version
    assert compared["second"].startswith("2-")
    assert "rank_ic" in {row.data["measure"] for row in compared["metrics"].records}
    assert "declared_rank_ic" in Path(compared["page"]).read_text()
    assert compared == told(run("compare_models", resources, first="1", second="2"))
    assert not run("register_model", resources, **(file | {"trained_from": "soon"})).success
    assert not run("compare_models", resources, first="9").success


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


def test_a_broken_version_is_tried_once_and_again_when_it_was_mended(
    lake: Lake, tmp_path: Path, store: ModelStore, resources: dict[str, Any]
) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - heavy

    for seed in (42, 7):
        fitted.register(store, STRATEGY, fitted.model(lake, seed))
    running = store.promote(STRATEGY, "1", CAUSE)
    client = MlflowClient(models.tracking_uri(tmp_path))
    client.set_registered_model_alias(STRATEGY, "champion", "2")
    run_id = client.get_model_version(STRATEGY, "2").run_id
    file = tmp_path / "mlflow" / "artifacts" / STRATEGY / str(run_id) / "artifacts" / "model.txt"
    whole = file.read_text()
    file.write_text(whole[:500])

    first = look(resources, None)
    failed = run("reload_model", resources)
    second = look(resources, first.cursor)
    file.write_text(whole)
    third = look(resources, second.cursor)

    assert first.run_requests
    assert not failed.success  # a failed run is told to people by the sensor `notifications`
    assert store.release(STRATEGY) == running
    assert not second.run_requests
    assert third.run_requests
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


def test_a_range_of_sessions_is_one_study_in_one_run(
    store: ModelStore, resources: dict[str, Any]
) -> None:
    first, last = sample_lake.SESSIONS[-70], sample_lake.LAST

    done = job_of("retrain", resources).execute_in_process(
        tags={
            "dagster/asset_partition_range_start": str(first),
            "dagster/asset_partition_range_end": str(last),
        }
    )

    assert done.success
    assert [one.version for one in store.versions(STRATEGY)] == ["1"]
    (run,) = store.runs(STRATEGY)
    folds = ceil((70 - LABEL_HORIZON) / sample_lake.RULES.test_sessions)
    assert run.params["folds"] == str(folds) == "3"
    assert run.metrics["sessions"] == 90  # whole windows, so that none of the range is left out
    challenger = store.challenger(STRATEGY)
    assert challenger
    assert challenger.manifest.trained_through == last
    events = done.asset_materializations_for_node("challenger")
    assert {event.partition for event in events} == set(map(str, sample_lake.SESSIONS[-70:]))
    assert "over 90 sessions" in str(events[0].metadata["evaluation"].value)


def saturday(strategy: str, home: Path) -> Any:
    settings = Settings.load(home=home, strategy=strategy)
    with dg.build_schedule_context(
        scheduled_execution_time=datetime(2013, 3, 30, 10, tzinfo=UTC),
        resources={"settings": settings},
    ) as context:
        return weekly_retrain(context)


def test_the_week_ends_with_a_training_as_of_its_last_session(tmp_path: Path) -> None:
    assert saturday(STRATEGY, tmp_path).partition_key == "2013-03-28"  # the 29th was Good Friday
    assert saturday("momentum_gbm", tmp_path).partition_key == "2013-03-28"


@pytest.mark.parametrize(
    ("strategy", "said"),
    [("momentum", "it asks none"), ("ensemble", "it asks those of alpha_baseline")],
)
def test_a_strategy_without_a_model_of_its_own_is_not_retrained_and_says_why(
    tmp_path: Path, resources: dict[str, Any], strategy: str, said: str
) -> None:
    found = saturday(strategy, tmp_path)
    settings = Settings.load(home=tmp_path, strategy=strategy)

    assert isinstance(found, dg.SkipReason)
    assert f"{strategy} has no model of its own, {said}" in str(found.skip_message)
    assert not look(resources | {"settings": settings}, None).run_requests
