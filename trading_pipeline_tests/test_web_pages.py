"""Dagster's own web server is behind the door too, and no request of any kind arms anything."""

import asyncio
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


def ask(application: Any, method: str, **options: Any) -> int:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, "/graphql", **options)

    return asyncio.run(asked()).status_code


def test_dagsters_own_server_takes_no_mutation_from_a_link_or_from_another_page(
    application: Any,
) -> None:
    assert ask(application, "GET", params={"query": MUTATION}) == 405
    evil = {"origin": "https://evil.example"}
    assert ask(application, "POST", json={"query": MUTATION}, headers=evil) == 403
    assert ask(application, "POST", json={"query": MUTATION}, headers={"host": "evil"}) == 421
    assert ask(application, "POST", json={"query": MUTATION}) == 200


ARMED = [
    {"resources": {"settings": {"config": {"broker": "alpaca-live", "dry_run": False}}}},
    {"resources": {"desk": {"config": {"broker": "alpaca-live"}}}},
    {"ops": {"orders": {"config": {"broker": "alpaca-live"}}}},
    {"ops": {"orders": {"config": {"confirm_live": True}}}},
]


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build(Settings.load(home=tmp_path_factory.mktemp("home")))


@pytest.mark.parametrize("config", ARMED, ids=str)
def test_no_run_configuration_arms_anything(
    definitions: dg.Definitions, config: dict[str, Any]
) -> None:
    """A run's configuration is what GraphQL can say; where orders go, the environment says."""
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
