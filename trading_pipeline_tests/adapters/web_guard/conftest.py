"""The real Dagster behind the door, and the clock of the door."""

from collections.abc import Iterator
from typing import Any

import pytest

from trading_pipeline_tests.adapters.web_guard.knocking import Clock


@pytest.fixture(scope="session")
def dagster() -> Iterator[tuple[Any, Any]]:
    """Dagster's web application without any code, and its instance."""
    import dagster as dg  # noqa: PLC0415 - heavy: on first use
    from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: PLC0415
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget  # noqa: PLC0415

    from trading_pipeline.web_pages import Pages  # noqa: PLC0415

    with (
        dg.instance_for_test() as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace,
    ):
        yield Pages(workspace).create_asgi_app(), instance


@pytest.fixture
def clock() -> Clock:
    return Clock()
