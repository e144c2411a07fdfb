"""`trading-pipeline train`: train a challenger as of a session, and say whether it may trade."""

from datetime import date

from rich.progress import Progress as Bar
from rich.text import Text

from trading_pipeline import logs
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page
from trading_pipeline.core.market.calendar import (
    FIRST_SESSION,
    last_closed_session,
    require_session,
)
from trading_pipeline.defs.training import bench_of, training_of
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.judge import promotion_gates
from trading_pipeline.flows.lifecycle import running_model
from trading_pipeline.flows.train import train as train_model
from trading_pipeline.settings import Settings, utc_now


def train(*, as_of_date: date | None = None) -> int:
    """Train on what the lake holds, judge out of sample, register as challenger.

    Nothing trades on it before `trading-pipeline model activate`.

    Args:
        as_of_date: The last session training may see, YYYY-MM-DD; by default the newest
            that features are held of.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    lake, store = services.lake(settings), services.models(settings)
    session = require_session(as_of_date) if as_of_date else _newest(lake)
    with Bar(transient=True) as bar:
        task = bar.add_task("training", total=1.0)
        trained = train_model(
            lake,
            store,
            training_of(settings, session),
            progress=lambda what, share: bar.update(task, description=what, completed=share),
        )
    model = store.fetch(settings.strategy, trained.version.version)
    running = running_model(store, settings.strategy)
    outcomes = promotion_gates(bench_of(settings, lake, session), model, running)
    page = Page()
    page.write(Text(f"Version {model.manifest.version} is registered as challenger."))
    page.line("Out of sample", trained.walk.test.sentence())
    for one in outcomes:
        page.line(one.name, f"{'passed' if one.passed else 'FAILED'}: {one.sentence}")
    return 0


def _newest(lake: Lake) -> date:
    last = last_closed_session(utc_now())
    held = lake.held("features", FIRST_SESSION, last)
    if not held:
        raise MissingDataError(f"No features are held up to {last}: run a day, or the job `data`.")
    return max(held)
