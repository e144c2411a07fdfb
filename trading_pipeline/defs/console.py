"""What Dagster itself says on standard error: the same JSON lines as ours, and colors for people.

Dagster has a setting for the lines of its daemon and none for those of runs and code servers; on a
terminal both stay as Dagster has them.
"""

import logging
import sys
from typing import Any, Final

import dagster as dg
from dagster._core.execution import context_creation_job

from trading_pipeline.logs import JsonFormatter

_FACTS: Final = ("run_id", "job_name", "step_key")


class _Lines(JsonFormatter):
    """A record of a run: Dagster's own fields, few and by name, in place of a sentence of them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; of a step that failed, with its error."""
        meta: dict[str, Any] = getattr(record, "dagster_meta", {})
        facts = {name: meta[name] for name in _FACTS if meta.get(name)}
        event = meta.get("dagster_event")
        if event is not None:
            facts["event"] = event.event_type_value
            error = getattr(event.event_specific_data, "error", None)
            facts |= {"error": error.to_string()} if error else {}
        if "run_id" in facts:
            facts["trace_id"] = facts["run_id"].replace("-", "")
        kept = {
            name: getattr(record, name)
            for name in ("name", "levelname", "created", "filename", "lineno", "exc_info")
        }
        said = {"msg": meta.get("orig_message", record.getMessage()), **kept, **facts}
        return super().format(logging.makeLogRecord(said))


@dg.logger(
    config_schema={"log_level": dg.Field(str, default_value="INFO", is_required=False)},
    description="JSON lines on standard error.",
)
def json_lines(context: dg.InitLoggerContext) -> logging.Logger:
    """What a run says, at INFO and above: every event is on its page anyway."""
    made = logging.Logger("dagster", level=context.logger_config["log_level"])
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    made.addHandler(handler)
    return made


def speak_json() -> None:
    """From now on runs and servers of this process say what they say as JSON, but on a terminal."""
    if sys.stderr.isatty():
        return
    context_creation_job.default_system_loggers = _of_runs  # pyright: ignore[reportPrivateImportUsage]
    for handler in logging.getLogger("dagster").handlers:
        handler.setFormatter(JsonFormatter())


def _of_runs(instance: dg.DagsterInstance | None) -> list[tuple[dg.LoggerDefinition, Any]]:
    level = instance.python_log_level if instance else None
    return [(json_lines, {"log_level": level or "INFO"})]
