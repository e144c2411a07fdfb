"""The registry's tables are made whole, whoever comes first and whoever is killed meanwhile."""

import multiprocessing
import sqlite3
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline_tests.adapters.model_store import models


def first_touch(home: Path) -> None:
    assert ModelStore(home / "models", models.tracking_uri(home)).runs("baseline") == []


@pytest.fixture(autouse=True)
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """MLflow, imported once for all the processes that are forked."""
    home = models.registry_home(tmp_path_factory)
    ModelStore(home / "models", models.tracking_uri(home)).runs("baseline")


def started(home: Path) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(
        target=first_touch, args=(home,), daemon=True
    )
    process.start()
    return process


def test_several_processes_may_be_the_first_to_touch_the_registry_and_one_was_killed_before(
    tmp_path: Path,
) -> None:
    """MLflow makes tables in steps, and cannot go on with those that another one left."""
    database = tmp_path / "mlflow" / "mlflow.db"
    beside = database.with_name("mlflow.db.new")
    killed = started(tmp_path)
    end = time.monotonic() + 60
    while not (beside.exists() and beside.stat().st_size) and time.monotonic() < end:
        time.sleep(0.005)
    killed.kill()
    killed.join(60)
    assert beside.exists()
    assert not database.exists()

    running = [started(tmp_path) for _ in range(2)]
    for process in running:
        process.join(60)

    assert [process.exitcode for process in running] == [0, 0]
    assert not beside.exists()
    with sqlite3.connect(database) as opened:
        names = opened.execute("select name from experiments").fetchall()
    assert sorted(names) == [("Default",), ("baseline",)]
