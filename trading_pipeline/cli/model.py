"""`trading-pipeline model …`: the life of a model, from registered to active and back."""

from datetime import date
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from rich.console import Console
from rich.text import Text

from trading_pipeline import logs
from trading_pipeline.adapters.model_store import Cause
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page, columns
from trading_pipeline.core.market.calendar import last_closed_session
from trading_pipeline.defs.training import bench_of
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows import lifecycle
from trading_pipeline.flows.announce import of_model
from trading_pipeline.flows.compare import Comparison, two
from trading_pipeline.flows.compare import compare as compare_models
from trading_pipeline.flows.comparison_report import comparison_report, save_comparison
from trading_pipeline.flows.history import Version
from trading_pipeline.flows.history import history as versions_of
from trading_pipeline.flows.judge import Bench
from trading_pipeline.flows.lifecycle import Activated
from trading_pipeline.flows.model_documents import history_report
from trading_pipeline.flows.register import Declared, register_file
from trading_pipeline.settings import Settings, utc_now

app = App(name="model", help="The model that trades: register, activate, compare, roll back.")

BY: Final = "command line"
Reason = Annotated[str, Parameter(help="Why, for the history.")]


@app.command
def register(
    file: Path,
    *,
    trained_from: date,
    trained_through: date,
    metric: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> int:
    """Register a LightGBM text file that was trained elsewhere, as challenger.

    Args:
        file: The model, as Booster.save_model writes it.
        trained_from: The first session it learned from.
        trained_through: The last session of which its training saw a price.
        metric: `name=value`, recorded as declared; no gate takes it for measured.
    """
    settings = _settings()
    declared = Declared(
        strategy=settings.strategy,
        symbols=settings.symbols,
        trained_from=trained_from,
        trained_through=trained_through,
        label=settings.training.label,
        metrics=dict(_pair(one) for one in metric or ()),
    )
    done = register_file(services.models(settings), file, declared)
    _write(f"Version {done.version} of {done.strategy} is registered as challenger.")
    return 0


@app.command
def activate(version: str, *, reason: Reason = "") -> int:
    """Make a registered version the one that trades, when it passes every gate.

    Args:
        version: Its number in the registry.
        reason: Why, for the history.
    """
    settings = _settings()
    store = services.models(settings)
    done = lifecycle.activate(
        _bench(settings), store, strategy=settings.strategy, version=version, cause=_why(reason)
    )
    _tell(settings, done)
    return 0


@app.command
def reload() -> int:
    """Load the version that the registry's alias `champion` names; the old one stays on failure."""
    settings = _settings()
    store, cause = services.models(settings), _why("reload")
    done = lifecycle.reload(_bench(settings), store, strategy=settings.strategy, cause=cause)
    _tell(settings, done)
    return 0


@app.command
def rollback(*, reason: Reason = "") -> int:
    """Make the model that traded before the present one trade again, at once.

    Args:
        reason: Why, for the history.
    """
    settings = _settings()
    store = services.models(settings)
    _tell(settings, lifecycle.rollback(store, strategy=settings.strategy, cause=_why(reason)))
    return 0


@app.command
def deactivate(*, reason: Reason = "") -> int:
    """Let no model trade until one is activated or rolled back to; runs end with an error.

    Args:
        reason: Why, for the history.
    """
    settings = _settings()
    store = services.models(settings)
    lifecycle.deactivate(store, strategy=settings.strategy, cause=_why(reason))
    _write(f"No model of {settings.strategy} trades.")
    return 0


@app.command
def history(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Show every version: the active one first, then those that were active, then the rest.

    Args:
        json: Print JSON and nothing else.
    """
    settings = _settings()
    found = versions_of(services.models(settings), settings.strategy)
    if json:
        report = history_report(settings.strategy, found)
        Page().console.out(report.model_dump_json(indent=2), highlight=False)
    else:
        show_history(found)
    return 0


@app.command
def compare(
    first: str | None = None,
    second: str | None = None,
    *,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Set two versions side by side: evaluations, agreement, and predictions made in advance.

    Examples: `trading-pipeline model compare`; `trading-pipeline model compare 3 5 --json`.

    Args:
        first: A version's number; by default the one that trades.
        second: A version's number; by default the challenger.
        json: Print JSON and nothing else.
    """
    settings = _settings()
    pair = two(services.models(settings), settings.strategy, first, second)
    found = compare_models(_bench(settings), *pair)
    saved = save_comparison(found, settings.data_dir / "reports")
    if json:
        report = comparison_report(found)
        Page().console.out(report.model_dump_json(indent=2), highlight=False)
    else:
        show_comparison(found)
        Page().line("Saved", str(saved))
    return 0


def show_history(found: list[Version], console: Console | None = None) -> None:
    """Print the versions as a table."""
    page = Page(console)
    rows = {
        one.version: {
            "status": one.status,
            "trained_through": one.trained_through,
            "activated_at": _at(one.activated_at),
            "deactivated_at": _at(one.deactivated_at),
            "by": one.by or None,
            "reason": one.reason or None,
            "sha256": one.sha256,
        }
        for one in found
    }
    table = columns(
        *("Version>", "Status", "Trained through", "Active from (UTC)", "Until", "By", "Reason")
    )
    for version, row in rows.items():
        table.add_row(version, *(str(value or "") for value in list(row.values())[:6]))
    page.rows("Version", rows, table)
    if not found:
        page.write(Text("No model is registered."))


def show_comparison(found: Comparison, console: Console | None = None) -> None:
    """Print both evaluations, the agreement and what was said in advance."""
    page = Page(console)
    names = (found.first.model_version, found.second.model_version)
    table = columns("Measure", *(f"{name}>" for name in names))
    rows = {
        measure: dict(zip(names, map(_figure, values), strict=True))
        for measure, values in found.metrics.items()
    }
    for measure, row in rows.items():
        table.add_row(measure, *row.values())
    page.line("Models", " and ".join(names))
    page.rows("Measure", rows, table)
    page.line("Recent", found.agreement.sentence if found.agreement else "Their features differ.")
    page.line("In advance", found.shadow.sentence())


def _settings() -> Settings:
    settings = Settings.load()
    logs.configure(settings.log_level)
    return settings


def _tell(settings: Settings, done: Activated) -> None:
    services.announcer(settings).tell(of_model(done, who=BY, now=utc_now()))
    page = Page()
    for one in done.outcomes:
        page.line(one.name, one.sentence)
    now, before = done.release.model_version, done.previous or "none"
    page.line("Active", f"{now} (before: {before})" if done.changed else f"{now}, as before")


def _bench(settings: Settings) -> Bench:
    return bench_of(settings, services.lake(settings), last_closed_session(utc_now()))


def _why(reason: str) -> Cause:
    return Cause(BY, utc_now(), reason)


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise SettingsError(f"{text!r} is no metric: name=value is expected.") from None


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _at(moment: object) -> str | None:
    return str(moment)[:19] if moment else None


def _write(sentence: str) -> None:
    Page().write(Text(sentence))
