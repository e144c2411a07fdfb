"""Where the Dagster instance keeps its own records, on real instances of both kinds."""

import shutil
import signal
import threading
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance import InstanceRef
from dagster._core.instance.config import PoolGranularity
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_value, serialize_value
from sqlalchemy import create_engine, make_url, select

from trading_pipeline.definitions import build
from trading_pipeline.errors import SettingsError
from trading_pipeline.instance_storage import postgres_url as with_driver
from trading_pipeline.settings import Settings

DAGSTER_YAML = Path(__file__).parents[1] / "dagster.yaml"


@dg.job
def one_step() -> None:
    """A job with a step, so that there is a run with events to record."""

    @dg.op
    def step() -> int:
        return 1

    step()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home with the project's own dagster.yaml."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(DAGSTER_YAML, folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


def run_once() -> str:
    with dg.DagsterInstance.get() as instance:
        return one_step.execute_in_process(instance=instance).run_id


def is_recorded(run_id: str) -> bool:
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        return run is not None and run.is_success and bool(instance.all_logs(run_id))


def test_records_lie_in_the_data_folder_and_nothing_else_in_the_home(home: Path) -> None:
    run_id = run_once()

    assert is_recorded(run_id)
    assert {entry.name for entry in home.iterdir()} == {"dagster.yaml", "data"}
    assert (home / "data/dagster/history/runs.db").is_file()


def test_the_place_does_not_depend_on_the_working_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_once()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    assert is_recorded(run_id)
    assert list(elsewhere.iterdir()) == []


def test_without_a_home_the_folder_of_dagster_yaml_serves(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_once()
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(home)

    # What Dagster's commands do without a home: a temporary one, configured by the folder's file.
    ref = InstanceRef.from_dir(str(tmp_path), config_dir=str(home))
    with dg.DagsterInstance.from_ref(ref) as instance:
        assert instance.has_run(run_id)


def test_what_steps_print_and_leave_lies_in_the_data_folder(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        assert Path(instance.storage_directory()) == home / "data/dagster/storage"
        path = instance.compute_log_manager.get_captured_local_path(["run", "step"], "out")  # pyright: ignore[reportAttributeAccessIssue]
        assert Path(path).is_relative_to(home / "data/dagster/storage")


def test_with_a_url_the_records_are_in_postgresql(
    home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_DAGSTER_URL", postgres_url)
    run_id = run_once()

    assert is_recorded(run_id)
    assert not list(home.rglob("*.db"))
    monkeypatch.delenv("TP_DAGSTER_URL")
    assert not is_recorded(run_id)


def test_pages_are_served_on_after_postgresql_was_restarted(
    home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_DAGSTER_URL", postgres_url)
    with dg.DagsterInstance.get() as instance:
        storages = (instance.run_storage, instance.schedule_storage)
        for storage in storages:
            assert storage is not None
            storage.optimize_for_webserver(15_000, 3600, 20)
        assert (instance.get_runs_count(), instance.all_instigator_state()) == (0, [])

        others = "datname = current_database() AND pid <> pg_backend_pid()"
        with create_engine(with_driver(postgres_url)).connect() as connection:
            ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
            assert len(connection.exec_driver_sql(ended).all()) == len(storages)

        assert (instance.get_runs_count(), instance.all_instigator_state()) == (0, [])


def test_the_password_is_in_no_dump_and_on_no_command_line(
    home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = make_url(postgres_url).password
    assert password
    monkeypatch.setenv("TP_DAGSTER_URL", postgres_url)

    with dg.DagsterInstance.get() as instance:
        handed_to_processes = serialize_value(instance.get_ref())
        assert password not in instance.info_str()
        assert password not in handed_to_processes

    ref = deserialize_value(handed_to_processes, InstanceRef)
    run_id = run_once()
    with dg.DagsterInstance.from_ref(ref) as instance:
        assert instance.has_run(run_id)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_url_is_served_by_psycopg2_whatever_its_spelling(scheme: str) -> None:
    url = with_driver(f"{scheme}://me:p%40ss%2Fword@db:5433/dagster?sslmode=require")

    assert url == "postgresql+psycopg2://me:p%40ss%2Fword@db:5433/dagster?sslmode=require"


@pytest.mark.parametrize("url", ["mysql://me:hidden@db/dagster", "sqlite:///hidden.db", "hidden"])
def test_another_database_is_refused_without_repeating_the_url(url: str) -> None:
    with pytest.raises(SettingsError, match="TP_DAGSTER_URL") as refused:
        with_driver(url)

    assert "hidden" not in str(refused.value)


def test_the_instance_runs_one_thing_at_a_time_per_pool_and_sends_nothing_home(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.pool_granularity is PoolGranularity.RUN
        assert concurrency.pool_config.default_pool_limit == 1
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 6
        assert instance.run_retries_max_retries == 0
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_planned_checks_of_a_range_do_not_repeat_the_range(
    home: Path, monkeypatch: pytest.MonkeyPatch, database: str, request: pytest.FixtureRequest
) -> None:
    if database == "postgresql":
        monkeypatch.setenv("TP_DAGSTER_URL", request.getfixturevalue("postgres_url"))
    ends = {"start": "2012-06-01", "end": "2012-06-05"}
    job = build(Settings.load(home=home)).resolve_job_def("data")
    with dg.DagsterInstance.get() as instance:
        tags = {f"dagster/asset_partition_range_{end}": day for end, day in ends.items()}
        run = instance.create_run_for_job(job_def=job, tags=tags)
        events = instance.event_log_storage
        assert isinstance(events, SqlEventLogStorage)
        with events.index_connection() as connection:
            rows = (
                connection.execute(
                    select(AssetCheckExecutionsTable).where(
                        AssetCheckExecutionsTable.c.run_id == run.run_id,
                        AssetCheckExecutionsTable.c.check_name == "coverage",
                    )
                )
                .mappings()
                .all()
            )
    assert sorted(row["partition"] for row in rows) == ["2012-06-01", "2012-06-04", "2012-06-05"]
    assert {row["execution_status"] for row in rows} == {"PLANNED"}
    assert max(len(row["evaluation_event"]) for row in rows) < 2_000


def children() -> list[Path]:
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    return [Path("/proc") / pid / "status" for pid in listed]


def test_the_helpers_of_captured_logs_do_not_hear_a_ctrl_c(home: Path) -> None:
    """Each would print a traceback of its own; they end with the run."""
    before = set(children())
    with dg.DagsterInstance.get() as instance, instance.compute_log_manager.capture_logs(["a"]):
        helpers = [status.read_text() for status in children() if status not in before]
        assert len(helpers) == 4
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    blocked = [int(text.partition("SigBlk:")[2].split()[0], 16) for text in helpers]
    assert all(mask >> (signal.SIGINT - 1) & 1 for mask in blocked)
