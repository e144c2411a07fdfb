"""Train a model on what the lake holds, judge it out of sample, record it, and release it."""

import logging
from collections.abc import Iterator
from datetime import date, datetime

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import Cause, ModelStore
from trading_pipeline.core.backtest.ranking import ranking, sharpe_of
from trading_pipeline.core.features.labels import label
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.core.models.dataset import Dataset, build_blocks
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.models.search import Trial, search
from trading_pipeline.core.models.walk import Progress, final, walk
from trading_pipeline.errors import MissingDataError, ModelNotFoundError, SettingsError
from trading_pipeline.flows.know import actions
from trading_pipeline.flows.trained import Judged, Trained, Training
from trading_pipeline.flows.training_record import card_of, record_of, sharpes_on_record
from trading_pipeline.flows.training_report import page_of, pictures

SPARE_SESSIONS = 10
"""Sessions read before those needed, for sessions in which no symbol has a label."""

_log = logging.getLogger(__name__)


def ensure_release(
    lake: Lake,
    store: ModelStore,
    training: Training,
    *,
    now: datetime,
    progress: Progress | None = None,
) -> Release:
    """Return the release that may decide on `training.as_of`; train it when there is none.

    The first one becomes the champion, whatever its figures: a paper account starts with it. One
    for a session older than the champion's training is kept beside it for replays, and the champion
    stays. ModelNotFoundError when the model was deactivated: nothing takes its place by itself.
    """
    strategy = training.strategy
    try:
        return store.release(strategy, session=training.as_of)
    except ModelNotFoundError:
        if store.is_deactivated(strategy):
            raise
    version = train(lake, store, training, progress=progress).version.version
    replay = store.has_champion(strategy)
    release = (
        store.keep(strategy, version)
        if replay
        else store.promote(strategy, version, Cause("training", now, "the first model"))
    )
    _log.info(
        "model kept for replays" if replay else "model promoted",
        extra={"strategy": strategy, "model_version": release.model_version},
    )
    return release


def train(
    lake: Lake, store: ModelStore, training: Training, *, progress: Progress | None = None
) -> Trained:
    """Walk forward, fit the final model on the newest window, register it as challenger.

    A label of session t needs prices up to t + 2, so the newest session learned from lies two
    before `as_of`. Raises MissingDataError when the lake holds too little, ModelError when the
    model tells no symbols apart, AdapterError when MLflow fails.
    """
    judged = judge(read_dataset(lake, training), training, store, progress or _quietly)
    shown = pictures(judged)
    page, card = page_of(judged, shown), card_of(judged)
    record = record_of(judged, page, shown)
    version = store.log_and_register(judged.final.model.text, card, record)
    _log.info(
        "model registered",
        extra={
            "strategy": training.strategy,
            "version": version.version,
            "evaluation": judged.sentence(),
        },
    )
    return Trained(version=version, card=card, judged=judged, page=page)


def judge(dataset: Dataset, training: Training, store: ModelStore, tell: Progress) -> Judged:
    """Search parameters if asked, walk forward with the best, fit the model of the newest window.

    The Sharpe ratio is deflated for the trials of the search and for all others on record as of the
    same session.
    """
    rules, cost = training.rules, training.rules.cost_bps
    share = rules.trials / (rules.trials + rules.folds + 1)
    trials: list[Trial] = []
    if rules.trials:
        trials = search(
            dataset,
            rules,
            lambda said: sharpe_of(said, cost),
            lambda what, done: tell(what, share * done),
            binning=training.binning,
        )
        rules = rules.model_copy(update={"gbm": trials[0].params})

    def rest(what: str, done: float) -> None:
        tell(what, share + (1 - share) * done)

    walked = walk(dataset, rules, rest, binning=training.binning)
    tried = [trial.sharpe for trial in trials if trial.sharpe is not None]
    tried += sharpes_on_record(store.runs(training.strategy), training)
    return Judged(
        training=training,
        rules=rules,
        dataset=dataset,
        walk=walked,
        final=final(dataset, rules, rest, binning=training.binning),
        ranking=ranking(walked.predictions, dataset.rows, cost_bps=cost, trials=tried),
        trials=trials,
    )


def read_dataset(lake: Lake, training: Training) -> Dataset:
    """Join the stored features with labels of bars adjusted as of `as_of`; read nothing later."""
    if len(training.symbols) < 2:
        raise SettingsError(
            f"A cross-section of {len(training.symbols)} symbols cannot be ranked: "
            "training needs at least 2."
        )
    first = _first_session(lake, training)
    symbols, last = training.symbols, training.as_of
    bars = lake.read("clean_bars", first, last, symbols=symbols)
    due = actions(lake, symbols, first, last)
    adjusted = adjust(bars, due, convention=training.convention, as_of=last)
    labels = label(adjusted, training.rules.label)
    target = training.rules.normalization.target
    return build_blocks(_features(lake, training, first), labels, target)


def _features(lake: Lake, training: Training, first: date) -> Iterator[pl.DataFrame]:
    """Yield the features a year at a time: all of them at once are held once, not thrice."""
    last = training.as_of
    if training.own:
        yield training.own.rows(lake, session_window(last, training.rules.sessions))
        return
    for year in range(first.year, last.year + 1):
        begin, end = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
        yield lake.read("features", begin, end, symbols=training.symbols)


def _first_session(lake: Lake, training: Training) -> date:
    """The first session to read; MissingDataError unless the lake holds all that are needed."""
    rules, as_of = training.rules, training.as_of
    window = session_window(as_of, rules.sessions + SPARE_SESSIONS)
    needed = window[-rules.sessions :]
    for table in ("clean_bars",) if training.own else ("features", "clean_bars"):
        missing = sorted(set(needed) - lake.held(table, needed[0], as_of, symbols=training.symbols))
        if missing or len(needed) < rules.sessions:
            raise MissingDataError(
                f"Training as of {as_of} needs {table} of {rules.sessions} sessions from "
                f"{needed[0]} on, {len(missing)} are missing, the first {min(missing, default='')}"
                ": materialize them, or lower training.train_sessions or training.folds."
            )
    return window[0]


def _quietly(what: str, share: float) -> None:
    """Progress that nobody asked to be told."""
    del what, share
