"""`trading-pipeline train`: train a challenger as of a session, and say whether it may trade."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from trading_pipeline import logs
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page, progress_bar
from trading_pipeline.core.market.calendar import (
    FIRST_SESSION,
    last_closed_session,
    require_session,
    session_window,
)
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.market.progress import Progress
from trading_pipeline.defs.resources import cast_of
from trading_pipeline.defs.training import bench_of, source_of, training_of
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.judge import promotion_gates
from trading_pipeline.flows.lifecycle import running_model
from trading_pipeline.flows.model_documents import training_report
from trading_pipeline.flows.supply import supply
from trading_pipeline.flows.train import SPARE_SESSIONS
from trading_pipeline.flows.train import train as train_model
from trading_pipeline.flows.trained import Trained, Training
from trading_pipeline.flows.training_report import save_page
from trading_pipeline.settings import Settings, utc_now


def train(
    *,
    as_of_date: date | None = None,
    first: Annotated[date | None, Parameter(name="--from")] = None,
    trials: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train, judge out of sample, register as challenger, and write one page with all figures.

    Data that it needs is fetched first where the lake lacks it. Nothing trades on the model before
    `trading-pipeline model activate`.

    Examples: `trading-pipeline train`; `trading-pipeline train --trials 30`;
    `trading-pipeline train --from 2008-01-02 --as-of-date 2013-02-27`, a walk-forward study.

    Args:
        as_of_date: The last session training may see, YYYY-MM-DD; by default the newest
            that features are held of.
        first: Judge every session from this one on, YYYY-MM-DD, each by a model trained on
            what came before it; by default the newest windows that the settings say.
        trials: Sets of parameters to try first, by Optuna; the figures are deflated for them.
        json: Print the figures as JSON and nothing else.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    lake, store = services.lake(settings), services.models(settings)
    training = _training(settings, lake, (first, as_of_date), trials)
    with progress_bar() as bar:
        task = bar.add_task("data", total=1.0)
        _supply(
            settings,
            lake,
            training,
            progress=lambda what, share: bar.update(task, description=what, completed=share),
        )
        trained = train_model(
            lake,
            store,
            training,
            progress=lambda what, share: bar.update(task, description=what, completed=share),
        )
        bar.update(task, description="gates", completed=1.0)
        model = store.fetch(training.strategy, trained.version.version)
        running = running_model(store, training.strategy)
        outcomes = promotion_gates(bench_of(settings, lake, training.as_of), model, running)
    page = save_page(trained, settings.data_dir / "reports")
    show(trained, outcomes, page, as_json=json)
    return 0


def show(
    trained: Trained, outcomes: Sequence[CheckOutcome], written: Path, *, as_json: bool
) -> None:
    """Print what was found out of sample, what each gate says, and where the page is."""
    page = Page()
    if as_json:
        report = training_report(trained, outcomes, page=str(written))
        page.console.out(report.model_dump_json(indent=2), highlight=False)
        return
    judged = trained.judged
    page.write(Text(f"Version {trained.version.version} is registered as challenger."))
    page.line("Out of sample", judged.walk.test.sentence())
    page.line("Traded", judged.ranking.sentence())
    for one in outcomes:
        page.line(one.name, f"{'passed' if one.passed else 'FAILED'}: {one.sentence}")
    page.line("Saved", str(written))


def _training(
    settings: Settings, lake: Lake, window: tuple[date | None, date | None], trials: int | None
) -> Training:
    first, last = window
    as_of = require_session(last) if last else _newest(lake)
    if first and first >= as_of:
        raise SettingsError(f"A study from {first} to {as_of} has no sessions: expected several.")
    training = training_of(settings, as_of, since=first)
    if trials is None:
        return training
    if trials < 0:
        raise SettingsError(f"{trials} trials cannot be made: 0 or more are expected.")
    return replace(training, rules=training.rules.model_copy(update={"trials": trials}))


def _supply(settings: Settings, lake: Lake, training: Training, *, progress: Progress) -> None:
    cast = cast_of(settings, training.strategy)
    window = session_window(training.as_of, training.rules.sessions + SPARE_SESSIONS)
    history = cast.strategy.feature_look_back
    supply(
        lake,
        source_of(settings, progress),
        cast,
        first=window[0],
        last=training.as_of,
        history=history,
    )


def _newest(lake: Lake) -> date:
    last = last_closed_session(utc_now())
    held = lake.held("features", FIRST_SESSION, last)
    if not held:
        raise MissingDataError(
            f"No features are held up to {last}: name a session with --as-of-date, or run a day."
        )
    return max(held)
