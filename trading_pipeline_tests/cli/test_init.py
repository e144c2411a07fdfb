"""`init` makes everything once, however many ask for it at the same time."""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import sqlalchemy as sa

from trading_pipeline.adapters.databases import ensure_database
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.cli import run
from trading_pipeline.errors import SettingsError, TransientError
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.forks import FORKS


def initialize(home: Path, said: Path, **environment: str) -> None:
    os.chdir(home)
    os.environ |= {"DAGSTER_HOME": str(home), **environment}
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        code = run(["init"])
    said.write_text(out.getvalue())
    os._exit(code)


def at_once(home: Path, count: int, **environment: str) -> list[tuple[int | None, str]]:
    """Start as many `init` at the same time; return exit codes and what was said."""
    files = [home / f"said-{number}" for number in range(count)]
    started = [
        FORKS.Process(target=initialize, args=(home, said), kwargs=environment, daemon=True)
        for said in files
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    return [(p.exitcode, said.read_text()) for p, said in zip(started, files, strict=True)]


def test_init_makes_every_table_in_files(tmp_path: Path) -> None:
    home = whole_day.make_checkout(tmp_path / "home")

    ((code, said),) = at_once(home, 1)

    assert code == 0, said
    assert said.splitlines() == [
        "Ledger: tables current",
        "Dagster: tables current, 0 runs on record",
        "Models: tables current",
    ]
    assert (home / "data/dagster/history/runs.db").is_file()
    assert (home / "data/mlflow/mlflow.db").is_file()
    assert Ledger(f"sqlite:///{home / 'data/ledger.db'}").first_session() is None


def test_a_folder_that_is_no_project_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    assert run(["init"]) == 3
    assert "has no dagster.yaml: run in the project's folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.soak
def test_four_at_once_make_the_databases_of_a_server_once(
    tmp_path: Path, postgres_url: str
) -> None:
    home = whole_day.make_checkout(tmp_path / "home")
    named = {
        f"TP_{name}": f"{postgres_url}_{part}"
        for name, part in (
            ("LEDGER_URL", "l"),
            ("DAGSTER_URL", "d"),
            ("MLFLOW_TRACKING_URI", "m"),
        )
    }

    first, again = at_once(home, 4, **named), at_once(home, 1, **named)

    assert [code for code, _ in [*first, *again]] == [0] * 5, first
    everything = "\n".join(said for _, said in first)
    assert everything.count("database made") == 3
    assert "database made" not in again[0][1]


@pytest.mark.soak
def test_four_at_once_make_the_files_of_a_folder_once(tmp_path: Path) -> None:
    home = whole_day.make_checkout(tmp_path / "home")

    said = at_once(home, 4)

    assert [code for code, _ in said] == [0] * 4, said


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_registry_of_an_older_version_is_brought_up_to_date(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    home = whole_day.make_checkout(tmp_path / "home")
    (home / "data/mlflow").mkdir(parents=True)
    uri = f"sqlite:///{home / 'data/mlflow/mlflow.db'}"
    if kind == "postgresql":
        uri = request.getfixturevalue("postgres_url").replace("://", "+psycopg2://", 1)
    older = make_older_registry(uri)

    ((code, said),) = at_once(home, 1, TP_MLFLOW_TRACKING_URI=uri)

    assert code == 0, said
    with sa.create_engine(uri).connect() as connection:
        found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        names = connection.scalars(sa.text("SELECT name FROM experiments")).all()
    assert found != older
    assert "kept" in names


def make_older_registry(uri: str) -> str:
    """MLflow's tables as of the migration before the last, with an experiment; returns which."""
    from alembic import command  # noqa: PLC0415 - heavy, as is MLflow
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from mlflow.store.db.utils import _get_alembic_config  # noqa: PLC0415
    from mlflow.store.tracking.dbmodels.initial_models import Base  # noqa: PLC0415

    config = _get_alembic_config(uri)
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    assert head is not None
    older = str(scripts.get_revision(head).down_revision)
    engine = sa.create_engine(uri)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, older)
        columns = "experiment_id, name, lifecycle_stage, artifact_location"
        connection.execute(
            sa.text(f"INSERT INTO experiments ({columns}) VALUES (7, 'kept', 'active', 'x')")
        )
    engine.dispose()
    return older


def test_a_database_is_made_once(postgres_url: str) -> None:
    assert ensure_database(f'{postgres_url}_"odd name') is True
    assert ensure_database(f'{postgres_url}_"odd name') is False
    assert ensure_database(postgres_url) is False
    assert ensure_database("sqlite:///x.db") is False


def test_a_database_that_cannot_hold_every_letter_is_refused(postgres_url: str) -> None:
    address = sa.make_url(postgres_url).set(drivername="postgresql+psycopg2")
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = f"{address.database}_ascii"
    with engine.connect() as connection:
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        )

    with pytest.raises(SettingsError, match="as SQL_ASCII: UTF8 is expected"):
        ensure_database(address.set(database=name).render_as_string(hide_password=False))


def test_a_refusal_says_why_and_never_the_password(postgres_url: str) -> None:
    address = sa.make_url(postgres_url).set(password="planted-secret", database="none")
    silent = address.set(port=1)

    with pytest.raises(SettingsError, match="cannot be made") as refused:
        ensure_database(address.render_as_string(hide_password=False))
    with pytest.raises(TransientError, match="does not answer") as unanswered:
        ensure_database(silent.render_as_string(hide_password=False))

    assert "planted-secret" not in f"{refused.value}{unanswered.value}"
