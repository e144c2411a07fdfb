"""Runs go through the queue in Redis to a worker, which executes each in a process of its own."""

import os
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.cli.worker import worker
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.settings import Settings
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.defs.test_run_workers import process_of
from trading_pipeline_tests.forks import FORKS
from trading_pipeline_tests.server_process import until


def serve(home: Path, variables: dict[str, str]) -> None:
    os.environ |= variables
    os.chdir(home)
    worker(concurrency=1)


def test_runs_in_the_queue_are_executed_by_a_worker_each_in_a_process_of_its_own(
    tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = whole_day.make_checkout(tmp_path / "home")
    variables = {"TP_DAGSTER_URL": postgres_url, "TP_CELERY_URL": redis_url}
    variables["DAGSTER_HOME"] = str(home)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code = ReconstructableRepository.for_module("trading_pipeline.definitions", "defs")
    job = code.get_reconstructable_job("halt")
    config = {"ops": {"halt_trading": {"config": {"confirm": "halt", "reason": "a drill"}}}}
    other = FORKS.Process(target=serve, args=[home, variables])
    with dg.DagsterInstance.get() as instance:
        runs = [
            instance.create_run_for_job(
                job.get_definition(), run_config=config, job_code_origin=job.get_python_origin()
            )
            for _ in range(2)
        ]
        for run in runs:
            instance.launch_run(run.run_id, cast("Any", None))
        other.start()
        try:
            for run in runs:
                until(lambda run=run: instance.get_run_by_id(run.run_id).is_finished, 120)  # pyright: ignore[reportOptionalMemberAccess]
            first, second = (process_of(instance, run.run_id) for run in runs)
        finally:
            other.terminate()
            other.join()
    assert len({first, second, other.pid}) == 3
    ledger = Ledger(Settings.load(home=home).ledger_location)
    assert ledger.trading_state().state == TradingState.HALTED
    ledger.close()
