"""Outside things, opened to be looked at."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from trading_pipeline.adapters.ledger.engine import normalized
from trading_pipeline.cli import services
from trading_pipeline.errors import MissingDataError, SettingsError, TransientError
from trading_pipeline.settings import Settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_looking_for_a_ledger_makes_none(home: Path) -> None:
    with pytest.raises(MissingDataError, match=r"no ledger at .+ledger\.db"):
        services.open_ledger(Settings.load())

    assert list(home.iterdir()) == []


def test_redis_is_not_used_unless_it_is_configured() -> None:
    assert services.ping_redis(Settings.load()) is None


def test_a_redis_that_answers_says_where(redis_url: str) -> None:
    said = services.ping_redis(Settings.load(redis_url=redis_url))

    assert said is not None
    assert said.startswith("answers at 127.0.0.1:")


def test_a_redis_that_is_down_is_named_without_its_password(closed_port: int) -> None:
    settings = Settings.load(redis_url=f"redis://:secret@127.0.0.1:{closed_port}")

    with pytest.raises(TransientError, match=rf"^Redis at 127\.0\.0\.1:{closed_port} does not"):
        services.ping_redis(settings)


def test_a_redis_url_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="redis://"):
        services.ping_redis(Settings.load(redis_url="localhost"))


def test_the_runs_of_dagster_are_counted_from_its_file(home: Path) -> None:
    settings = Settings.load()
    with pytest.raises(MissingDataError, match="first run makes them"):
        services.dagster_records(settings)
    path = home / "data" / "dagster" / "history" / "runs.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("create table runs (id integer)")
        connection.executemany("insert into runs values (?)", [(1,), (2,)])
    connection.close()

    assert services.dagster_records(settings) == "2 runs on record"

    path.write_bytes(b"no database" * 500)
    with pytest.raises(TransientError, match="cannot be read"):
        services.dagster_records(settings)


def test_a_database_of_dagster_answers(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setenv("TP_DAGSTER_URL", postgres_url)
    with pytest.raises(MissingDataError, match="first run makes them"):
        services.dagster_records(Settings.load())
    engine = sa.create_engine(normalized(postgres_url))
    with engine.begin() as connection:
        connection.execute(sa.text("create table runs as select 1 as id"))
    engine.dispose()

    said = services.dagster_records(Settings.load())

    assert said.startswith("1 runs on record at 127.0.0.1:")


@pytest.mark.parametrize("url", ["postgresql://u:secret@127.0.0.1:{port}/d", "u:secret:nonsense"])
def test_a_database_that_is_not_there_is_told_without_the_password(
    monkeypatch: pytest.MonkeyPatch, closed_port: int, url: str
) -> None:
    monkeypatch.setenv("TP_DAGSTER_URL", url.format(port=closed_port))

    with pytest.raises((TransientError, SettingsError)) as found:
        services.dagster_records(Settings.load())

    assert "secret" not in str(found.value)


def test_a_registry_in_a_file_of_ours_is_no_service() -> None:
    assert services.model_registry(Settings.load()) is None


def test_a_registry_that_is_no_url_is_said() -> None:
    with pytest.raises(SettingsError, match="TP_MLFLOW_TRACKING_URI is not a URL"):
        services.model_registry(Settings.load(mlflow_tracking_uri="http://["))


def test_a_registry_that_answers_says_where(postgres_url: str) -> None:
    said = services.model_registry(Settings.load(mlflow_tracking_uri=postgres_url))

    assert said is not None
    assert said.startswith("answers at 127.0.0.1:")


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_registry_that_is_down_is_named_without_its_password(
    closed_port: int, scheme: str
) -> None:
    uri = f"{scheme}://u:planted@127.0.0.1:{closed_port}/mlflow"

    with pytest.raises(TransientError, match=rf"^MLflow at 127\.0\.0\.1:{closed_port} does not"):
        services.model_registry(Settings.load(mlflow_tracking_uri=uri))
