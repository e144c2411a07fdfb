"""The way to MLflow: opened once, first touched by one process at a time, errors translated."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from trading_pipeline.errors import AdapterError, ModelNotFoundError, TransientError

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = 120.0
"""Seconds to wait for another process that makes the registry's tables."""

_MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""MLflow reads these while it is imported; what the user has set stays."""


class Connection:
    """MLflow behind one URI; nothing is opened or imported before it is asked."""

    def __init__(self, tracking_uri: str, models_dir: Path) -> None:
        """Name the registry and the folder for locks; artifacts of a database lie beside it."""
        self._uri = tracking_uri
        self._locks = models_dir
        self._artifacts = models_dir.parent / "mlflow" / "artifacts"
        self._opened: MlflowClient | None = None

    def client(self) -> "MlflowClient":
        """The registry; its tables are made by one process at a time, for MLflow races there."""
        if self._opened is None:
            from mlflow import MlflowClient  # heavy: on first use

            uri = driver_named(self._uri)
            _require_answer(uri)
            with self.alone():
                _make(uri)
                client = MlflowClient(tracking_uri=uri, registry_uri=uri)
                client.search_registered_models(max_results=1)
            self._opened = client
        return self._opened

    def experiment(self, strategy: str) -> str:
        """The id of the strategy's experiment, made when it is not there."""
        client = self.client()
        with self.alone():
            found = client.get_experiment_by_name(strategy)
            if found:
                return found.experiment_id
            server = self._uri.startswith(("http://", "https://"))  # it keeps artifacts itself
            place = None if server else (self._artifacts / strategy).absolute().as_uri()
            return client.create_experiment(strategy, artifact_location=place)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the place of the one process that makes tables or experiments."""
        self._locks.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._locks / ".mlflow.lock", timeout=PATIENCE):
                yield
        except Timeout:
            raise TransientError(
                f"The model registry has been held by another process for {PATIENCE:g} s."
            ) from None


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Prepare MLflow's import, and translate everything it raises inside."""
    for name, value in _MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)  # noqa: TID251 - written for MLflow, which has no other way
    from mlflow.exceptions import MlflowException  # heavy: on first use

    try:
        yield
    except MlflowException as error:
        kind = ModelNotFoundError if error.error_code == _UNKNOWN else AdapterError
        raise kind(f"MLflow could not {what}: {_first_line(error)}.") from error
    except (SQLAlchemyError, OSError, ImportError) as error:
        raise AdapterError(f"MLflow could not {what}: {_first_line(error)}.") from error


def driver_named(uri: str) -> str:
    """Name psycopg2 in a PostgreSQL URI: SQLAlchemy would take psycopg 3, MLflow cannot."""
    scheme, separator, rest = uri.partition("://")
    return f"{_PSYCOPG2}://{rest}" if scheme in _POSTGRES and separator else uri


def _require_answer(uri: str) -> None:
    """Ask a database server once: MLflow itself would try for a minute and a half."""
    if uri.startswith(_PSYCOPG2):
        engine = create_engine(uri, connect_args={"connect_timeout": 5})
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def _make(uri: str) -> None:
    """Make the tables of a new SQLite file beside its place, and move it there when it is whole.

    MLflow makes them in place and in steps: who is killed meanwhile leaves a file that no later
    process can finish or read.
    """
    url = make_url(uri)
    if url.get_backend_name() != "sqlite" or not url.database or Path(url.database).exists():
        return
    from mlflow.store.db import utils  # heavy: on first use

    place = Path(url.database)
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f"{place.name}.new")
    beside.unlink(missing_ok=True)  # of one who was killed
    engine = create_engine(url.set(database=str(beside)))
    try:
        utils._initialize_tables(engine)  # what MLflow itself calls on a new file
    finally:
        engine.dispose()
    beside.replace(place)


def _first_line(error: Exception) -> str:
    return shorten(str(error).partition("\n")[0].rstrip("."), 400, placeholder=" …")


_UNKNOWN = "RESOURCE_DOES_NOT_EXIST"
_POSTGRES, _PSYCOPG2 = ("postgres", "postgresql"), "postgresql+psycopg2"
