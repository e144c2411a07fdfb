"""Why a run failed, read from its events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from trading_pipeline import errors

_TELLING: Final = frozenset(
    {
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.PIPELINE_FAILURE,
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed: the sentence, and the exit code it asks for."""

    sentence: str
    exit_code: int


def failure_of(events: Sequence[dg.DagsterEvent]) -> Failure:
    """Return the first failed blocking check, else the first failed step's own error."""
    for event in events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            found = event.asset_check_evaluation_data
            if found.blocking and not found.passed:
                sentence = f"The check {found.check_name} of {found.asset_key.to_user_string()}"
                return Failure(f"{sentence} failed: {found.description}", 2)
    for event in events:
        if event.is_step_failure and event.step_failure_data.error:
            return _of_error(event.step_key or "a step", event.step_failure_data.error)
        if event.is_job_failure and event.job_failure_data.error:
            return _of_error("what the steps need", event.job_failure_data.error)
    return Failure("The run failed before its first step: see it in the web UI.", 2)


def failure_of_run(instance: dg.DagsterInstance, run_id: str) -> Failure:
    """Return why the run on record failed."""
    entries = instance.all_logs(run_id, of_type=set(_TELLING))
    return failure_of([entry.dagster_event for entry in entries if entry.dagster_event])


def _of_error(step: str, error: Any) -> Failure:
    """The platform's own error when there is one in the chain of causes, with its exit code."""
    cause = error
    while cause:
        if cause.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            return Failure("Interrupted: what was done so far is kept; run again to go on.", 130)
        kind = getattr(errors, cause.cls_name or "", None)
        if kind is not None:
            return Failure(cause.message.partition(": ")[2].strip(), kind.exit_code)
        cause = cause.cause
    return Failure(f"{step} failed: {(error.cause or error).message.strip()}", 2)
