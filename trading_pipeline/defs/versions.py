"""Jobs on the versions of a model that change nothing that trades: register, list, compare."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.market.calendar import last_closed_session
from trading_pipeline.defs.launch_config import LaunchConfig
from trading_pipeline.defs.metadata import table
from trading_pipeline.defs.training import bench_of, model_name
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.compare import compare, two
from trading_pipeline.flows.comparison_report import comparison_report, save_comparison
from trading_pipeline.flows.history import history
from trading_pipeline.flows.register import Declared, register_file
from trading_pipeline.settings import Settings, utc_now


class ModelFile(LaunchConfig):
    """A LightGBM text file that was trained elsewhere; sessions as YYYY-MM-DD."""

    path: str
    trained_from: str
    trained_through: str
    metrics: dict[str, float] = Field(default_factory=dict[str, float])


class Pair(LaunchConfig):
    """Two versions by their numbers; by default the one that trades and the challenger."""

    first: str = ""
    second: str = ""


@dg.op
def register_version(
    context: dg.OpExecutionContext,
    config: ModelFile,
    settings: dg.ResourceParam[Settings],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    """Register the file as challenger; nothing is released."""
    declared = Declared(
        strategy=model_name(settings),
        symbols=settings.symbols,
        trained_from=_session(config.trained_from),
        trained_through=_session(config.trained_through),
        label=settings.training.label,
        metrics=config.metrics,
    )
    done = register_file(model_store, Path(config.path), declared)
    context.add_output_metadata({"version": done.version, "mlflow_run": done.run_id})


@dg.op
def list_versions(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    """Show every version: the active one first, then those that were active, then the rest."""
    found = history(model_store, model_name(settings))
    rows = {
        "version": [one.version for one in found],
        "status": [one.status for one in found],
        "trained_through": [one.trained_through for one in found],
        "active_from": [str(one.activated_at or "") for one in found],
        "until": [str(one.deactivated_at or "") for one in found],
        "by": [one.by for one in found],
        "reason": [one.reason for one in found],
    }
    context.add_output_metadata({"versions": table(pl.DataFrame(rows)), "count": len(found)})


@dg.op
def compare_versions(  # noqa: PLR0917 - Dagster gives them by name
    context: dg.OpExecutionContext,
    config: Pair,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    """Set two versions side by side, on one page too."""
    pair = two(model_store, model_name(settings), config.first or None, config.second or None)
    found = compare(bench_of(settings, lake, last_closed_session(utc_now())), *pair)
    report = comparison_report(found)
    page = save_comparison(found, settings.data_dir / "reports")
    rows = [{"measure": name, **row.model_dump()} for name, row in report.metrics.items()]
    context.add_output_metadata(
        {
            "first": report.first,
            "second": report.second,
            "in_advance": report.summary,
            "recent": report.agreement or "Their features differ.",
            "metrics": table(pl.DataFrame(rows, infer_schema_length=None)),
            "page": dg.MetadataValue.path(str(page)),
        }
    )


@dg.job(description="Register a LightGBM text file that was trained elsewhere, as challenger.")
def register_model() -> None:
    """One op."""
    register_version()


@dg.job(description="Every version of the model, the active one first, and when each traded.")
def model_history() -> None:
    """One op."""
    list_versions()


@dg.job(
    description="Two versions side by side: their evaluations, their agreement on recent sessions, "
    "and the rank IC of what both predicted in advance."
)
def compare_models() -> None:
    """One op."""
    compare_versions()


JOBS = [compare_models, model_history, register_model]


def _session(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r} is no session: YYYY-MM-DD is expected.") from None
