"""Dagster's pages behind our door, whoever serves them: `trading-pipeline ui` or Dagster itself.

`dagster dev` and `dagster-webserver` know nothing of a door. They do open the instance that
dagster.yaml describes, and tell its storage that they serve pages: that is when `close_the_door`
puts every application that this process makes behind the guard.
"""

from time import monotonic
from typing import Any

from dagster_webserver import app as served
from dagster_webserver.webserver import DagsterWebserver

from trading_pipeline.adapters.web_guard import Door, Guard, Role
from trading_pipeline.settings import Settings


class Pages(DagsterWebserver[Any, Any]):
    """Dagster's own pages; who may only look finds all buttons gray."""

    def _make_request_context(self, conn: Any) -> Any:
        context = super()._make_request_context(conn)
        if conn.scope["state"]["role"] is Role.VIEWER:
            context._read_only = True
        return context


class GuardedPages(Pages):
    """The same behind the guard, with the passwords and names of the settings."""

    def create_asgi_app(self, **kwargs: Any) -> Any:
        """Return the guard; SettingsError for a password that cannot be used."""
        web = Settings.load().web
        return Guard(
            super().create_asgi_app(**kwargs),
            Door(web.passwords(), monotonic),
            hosts=web.hosts,
            read_only=self._process_context.read_only,
        )


def close_the_door() -> None:
    """From now on every application that Dagster makes in this process is guarded."""
    served.DagsterWebserver = GuardedPages  # pyright: ignore[reportPrivateImportUsage]
