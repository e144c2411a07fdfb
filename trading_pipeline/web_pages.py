"""Dagster's pages behind our door, whoever serves them: `trading-pipeline ui` or Dagster itself.

`dagster dev` and `dagster-webserver` know nothing of a door. They do open the instance that
dagster.yaml describes, and tell its storage that they serve pages: that is when `close_the_door`
puts every application that this process makes behind the guard.
"""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, Final

from dagster_webserver import app as served
from dagster_webserver.webserver import DagsterWebserver
from graphql import GraphQLError

from trading_pipeline.adapters.web_guard import Door, Guard, Role
from trading_pipeline.settings import Settings

_OF_THE_PROCESS: Final = "dagster-k8s/"
"""How tags begin by which a run on Kubernetes would be given another environment, image, command:
with them a launch could say where orders go."""


class Pages(DagsterWebserver[Any, Any]):
    """Dagster's own pages; who may only look finds all buttons gray."""

    def build_graphql_schema(self) -> Any:
        """Dagster's own, in which no mutation takes a tag that says what process a run is."""
        schema = super().build_graphql_schema()
        changing = schema.graphql_schema.mutation_type
        for field in changing.fields.values() if changing else ():
            field.resolve = _of_the_run_alone(field.resolve)
        return schema

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


def _of_the_run_alone(resolve: Any) -> Callable[..., Any]:
    def checked(root: Any, info: Any, **arguments: Any) -> Any:
        for word in _words(arguments):
            if word.startswith(_OF_THE_PROCESS):
                raise GraphQLError(f"The tag {word} is refused: it says what process a run is.")
        return resolve(root, info, **arguments)

    return checked


def _words(said: Any) -> Iterator[str]:
    """Every text in an argument, of keys and values."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, dict):
        for key, value in said.items():
            yield from _words(key)
            yield from _words(value)
    elif isinstance(said, list):
        for each in said:
            yield from _words(each)
