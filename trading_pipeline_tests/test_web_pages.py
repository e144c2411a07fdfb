"""Dagster's own web server is behind the door too, and no request of any kind arms anything."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from trading_pipeline.adapters.alpaca_broker.access import AlpacaAccess
from trading_pipeline.definitions import build
from trading_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
MUTATION = 'mutation { setConcurrencyLimit(concurrencyKey: "x", limit: 1) }'


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What `dagster dev` and `dagster-webserver` serve with the project's dagster.yaml."""
    from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: PLC0415 - heavy
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget  # noqa: PLC0415
    from dagster_webserver import app  # noqa: PLC0415

    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(app, "DagsterWebserver", vars(app)["DagsterWebserver"])  # put back after
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(15_000, 3600, 20)  # as their first line does
        with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
            yield app.create_app_from_workspace_process_context(workspace)


def answer(application: Any, method: str, **options: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, "/graphql", **options)

    return asyncio.run(asked())


def ask(application: Any, method: str, **options: Any) -> int:
    return answer(application, method, **options).status_code


def test_dagsters_own_server_takes_no_mutation_from_a_link_or_from_another_page(
    application: Any,
) -> None:
    assert ask(application, "GET", params={"query": MUTATION}) == 405
    evil = {"origin": "https://evil.example"}
    assert ask(application, "POST", json={"query": MUTATION}, headers=evil) == 403
    assert ask(application, "POST", json={"query": MUTATION}, headers={"host": "evil"}) == 421
    assert ask(application, "POST", json={"query": MUTATION}) == 200


LAUNCH = "mutation L($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"
BACKFILL = "mutation B($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) "
BACKFILL += "{ __typename } }"


@pytest.mark.parametrize("tag", ["dagster-k8s/config", "dagster-k8s/resource_requirements", "team"])
def test_no_tag_of_a_run_makes_its_process_another(application: Any, tag: str) -> None:
    """On Kubernetes the first would give a run another environment: another broker."""
    armed = {"container_config": {"env": [{"name": "TP_BROKER", "value": "alpaca-live"}]}}
    tags = [{"key": tag, "value": json.dumps(armed)}]
    where = {"repositoryLocationName": "a", "repositoryName": "b"}
    run = {"selector": {**where, "pipelineName": "c"}, "executionMetadata": {"tags": tags}}
    days = {"allPartitions": True, "assetSelection": [], "tags": tags}

    for query, params in ((LAUNCH, run), (BACKFILL, days)):
        said = answer(application, "POST", json={"query": query, "variables": {"p": params}}).text
        assert (f"The tag {tag} is refused" in said) == tag.startswith("dagster-k8s/"), said


ARMED = [
    {"resources": {"settings": {"config": {"broker": "alpaca-live", "dry_run": False}}}},
    {"resources": {"desk": {"config": {"broker": "alpaca-live"}}}},
    {"ops": {"orders": {"config": {"broker": "alpaca-live"}}}},
    {"ops": {"orders": {"config": {"confirm_live": True}}}},
    {"execution": {"config": {"step_dependency_config": {"require_upstream_step_success": False}}}},
    {"execution": {"config": {"retries": {"enabled": {}}}}},
]


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build(Settings.load(home=tmp_path_factory.mktemp("home")))


@pytest.mark.parametrize("config", ARMED, ids=str)
def test_no_run_configuration_arms_anything(
    definitions: dg.Definitions, config: dict[str, Any]
) -> None:
    """A run's configuration is what GraphQL can say; where orders go, the environment says.

    Nor does it make a step run although a blocking check before it has failed, or run twice.
    """
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(definitions.resolve_job_def("paper_run"), config)


def test_nothing_that_any_job_can_be_told_says_where_orders_go(
    definitions: dg.Definitions,
) -> None:
    """A job may be told to stay dry; that it trades in earnest it cannot be told."""
    names = {
        field.name
        for job in definitions.get_repository_def().get_all_jobs()
        for kind in job.get_config_schema_snapshot().all_config_snaps_by_key.values()
        for field in kind.fields or []
    }

    arming = {"alpaca", "broker", "dry_run", "ledger_url", *AlpacaAccess.model_fields}
    assert names & arming == {"dry_run"}


def test_no_run_configuration_is_filled_in_from_the_environment(
    definitions: dg.Definitions,
) -> None:
    """Else who may launch a run may have a key written down, as the reason of a halt."""
    said = {"confirm": "halt", "reason": {"env": "HOME"}}
    config = {"ops": {"halt_trading": {"config": said}}}
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(definitions.resolve_job_def("halt"), config)
    kinds = {
        kind
        for job in definitions.get_repository_def().get_all_jobs()
        for kind in job.get_config_schema_snapshot().all_config_snaps_by_key
    }
    assert "String" in kinds
    assert [kind for kind in kinds if "Source" in kind] == []


@pytest.mark.parametrize("name", ["clean_bars", "orders", "reconciliation", "accounts"])
def test_no_launch_leaves_out_a_check_that_blocks(definitions: dg.Definitions, name: str) -> None:
    """Who launches chooses assets and checks; those that block are part of the asset itself."""
    job = definitions.resolve_job_def("paper_run")
    key = dg.AssetKey([name])

    with pytest.raises(dg.DagsterInvalidSubsetError):
        job.get_subset(asset_selection={key}, asset_check_selection=set())
