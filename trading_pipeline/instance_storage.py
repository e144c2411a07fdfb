"""Where the Dagster instance keeps its own records: one dagster.yaml for a laptop and for a server.

Without `TP_DAGSTER_URL` everything is SQLite and plain files under `<home>/data/dagster`; with it,
runs, events, schedules and check results go to that PostgreSQL database. `home` is `$DAGSTER_HOME`,
so the place does not depend on the folder a command was started from. The URL is read from the
environment by each process: it stands in no file, on no command line and in no dump of the
instance's configuration.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import dagster_database_url, home

POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"})
"""URL schemes that mean PostgreSQL; all are served by psycopg2, the driver Dagster speaks."""


class _Unconfigured:
    """What dagster.yaml may say to these classes: nothing, the environment decides."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}


class EnvSelectedStorage(_Unconfigured, DagsterStorage, ConfigurableClass):
    """Runs, events and schedules: SQLite under the home, or PostgreSQL when a URL is set.

    Never instantiated: Dagster asks the class for a storage and gets one of its own two.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, _config: Mapping[str, Any]
    ) -> DagsterStorage:
        """Return the storage that the environment asks for; SettingsError on an unusable URL."""
        if url := dagster_database_url():
            return _postgres(postgres_url(url), inst_data)
        return DagsterSqliteStorage.from_local(str(folder()), inst_data)


class HomeArtifactStorage(_Unconfigured, LocalArtifactStorage):
    """Files that Dagster writes for runs, under `<home>/data/dagster/storage`."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, _config: Mapping[str, Any]
    ) -> LocalArtifactStorage:
        """Return Dagster's own local storage, rooted in the data folder."""
        return LocalArtifactStorage(str(folder()), inst_data)


class HomeComputeLogs(_Unconfigured, LocalComputeLogManager):
    """What steps print, under `<home>/data/dagster/storage`."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, _config: Mapping[str, Any]
    ) -> LocalComputeLogManager:
        """Return Dagster's own local log manager, rooted in the data folder."""
        return LocalComputeLogManager(str(folder() / "storage"), inst_data=inst_data)


def folder() -> Path:
    """Where the instance's files lie: `<home>/data/dagster`, absolute."""
    return home() / "data" / "dagster"


def postgres_url(url: str) -> str:
    """Name the driver: `postgresql://…` becomes `postgresql+psycopg2://…`, all else unchanged.

    Raises SettingsError, which never repeats the URL, when it is no PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError("TP_DAGSTER_URL is not a URL: postgresql://… is expected.") from None
    if parsed.drivername not in POSTGRES:
        raise SettingsError(
            f"TP_DAGSTER_URL names the database {parsed.drivername}: postgresql://… is expected; "
            "leave it unset for SQLite in the data folder."
        )
    driver = parsed.set(drivername="postgresql+psycopg2")
    return driver.render_as_string(hide_password=False)


def _postgres(url: str, inst_data: ConfigurableClassData | None) -> DagsterStorage:
    from dagster_postgres import DagsterPostgresStorage  # heavy: only where it is used

    return DagsterPostgresStorage(url, inst_data=inst_data)
