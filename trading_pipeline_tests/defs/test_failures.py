"""Why a run failed is one sentence, from its own events or from its record."""

import dagster as dg

from trading_pipeline.defs.failures import Failure, failure_of, failure_of_run
from trading_pipeline.errors import MissingDataError

WHY = "The lake holds no bars of 2012-06-01."


@dg.op
def look() -> None:
    """Fail as a step of ours does."""
    raise MissingDataError(WHY)


@dg.op
def stumble() -> None:
    """Fail as nobody foresaw."""
    raise ZeroDivisionError


@dg.job
def looking() -> None:
    """A run that fails with an error of ours."""
    look()


@dg.job
def stumbling() -> None:
    """A run that fails otherwise."""
    stumble()


def test_a_run_that_failed_says_why_now_and_later() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        ended = looking.execute_in_process(instance=instance, raise_on_error=False)

        assert failure_of(ended.all_events) == Failure(WHY, MissingDataError.exit_code)
        assert failure_of_run(instance, ended.run_id) == Failure(WHY, MissingDataError.exit_code)


def test_an_unforeseen_failure_names_the_step() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        ended = stumbling.execute_in_process(instance=instance, raise_on_error=False)

        assert failure_of_run(instance, ended.run_id).sentence.startswith("stumble failed: ")


def test_a_run_without_events_is_looked_up_by_a_person() -> None:
    assert "see it in the web UI" in failure_of([]).sentence
