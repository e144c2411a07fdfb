"""Train a model on what the lake holds, judge it out of sample, record it, and release it."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from trading_pipeline.adapters import plots
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import Cause, ModelStore, ModelVersion, RunRecord
from trading_pipeline.core.features.labels import label
from trading_pipeline.core.market.announcements import credible
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.corporate_actions import Convention, adjust
from trading_pipeline.core.market.restatements import known_actions
from trading_pipeline.core.models.dataset import Dataset, Split, build
from trading_pipeline.core.models.release import ModelCard, Release, checksum
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.models.walk import Final, Fold, Progress, Walk, final, walk
from trading_pipeline.errors import MissingDataError, ModelNotFoundError, SettingsError

SPARE_SESSIONS = 10
"""Sessions read before those needed, for sessions in which no symbol has a label."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What to train, on which symbols, and as of which session: nothing later is read.

    `revision` names the code that trains, for the record.
    """

    strategy: str
    symbols: tuple[str, ...]
    as_of: date
    rules: TrainingRules
    convention: Convention
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A registered model, what its walk-forward evaluation found, and how it was fitted."""

    version: ModelVersion
    card: ModelCard
    walk: Walk
    final: Final

    @property
    def metrics(self) -> dict[str, float]:
        """Out-of-sample figures by name; those of the final model begin with train_ and valid_."""
        return _metrics(self.walk, self.final)

    @property
    def splits(self) -> list[Split]:
        """The windows of every fold, oldest first, then those of the final model."""
        return [*(fold.split for fold in self.walk.folds), self.final.split]


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
    tell = progress or _quietly
    dataset = read_dataset(lake, training)
    judged = walk(dataset, training.rules, tell)
    fitted = final(dataset, training.rules, tell)
    card = _card(training, judged, fitted)
    record = _record(training, dataset, judged, fitted)
    version = store.log_and_register(fitted.model.text, card, record)
    _log.info(
        "model registered",
        extra={
            "strategy": training.strategy,
            "version": version.version,
            "evaluation": judged.test.sentence(),
        },
    )
    return Trained(version=version, card=card, walk=judged, final=fitted)


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
    deliveries = lake.read("corporate_actions", first, last, symbols=symbols)
    checks = lake.read("action_checks", first, last, symbols=symbols)
    actions = credible(known_actions(deliveries), checks)
    adjusted = adjust(bars, actions, convention=training.convention, as_of=last)
    features = lake.read("features", first, last, symbols=symbols)
    return build(features, label(adjusted, training.rules.label))


def _first_session(lake: Lake, training: Training) -> date:
    """The first session to read; MissingDataError unless the lake holds all that are needed."""
    rules, as_of = training.rules, training.as_of
    window = session_window(as_of, rules.sessions + SPARE_SESSIONS)
    needed = window[-rules.sessions :]
    for table in ("features", "clean_bars"):
        missing = sorted(set(needed) - lake.held(table, needed[0], as_of, symbols=training.symbols))
        if missing or len(needed) < rules.sessions:
            raise MissingDataError(
                f"Training as of {as_of} needs {table} of {rules.sessions} sessions from "
                f"{needed[0]} on, {len(missing)} are missing, the first {min(missing, default='')}"
                ": materialize them, or lower training.train_sessions or training.folds."
            )
    return window[0]


def _card(training: Training, judged: Walk, fitted: Final) -> ModelCard:
    return ModelCard(
        strategy=training.strategy,
        sha256=checksum(fitted.model.text),
        features=fitted.model.features,
        feature_version=fitted.model.feature_version,
        label=training.rules.label,
        symbols=training.symbols,
        trained_from=fitted.split.train[0],
        last_label=fitted.split.valid[-1],
        trained_through=training.as_of,
        best_iteration=fitted.model.best_iteration,
        metrics=judged.test.metrics(),
    )


def _record(training: Training, dataset: Dataset, judged: Walk, fitted: Final) -> RunRecord:
    rules = (
        training.rules.model_dump(exclude={"gbm", "promotion"}) | training.rules.gbm.model_dump()
    )
    asked = {
        "symbols": ",".join(training.symbols),
        "as_of": training.as_of,
        "convention": training.convention,
    }
    return RunRecord(
        params=rules | asked,
        metrics=_metrics(judged, fitted),
        folds=[_fold_metrics(fold) for fold in judged.folds],
        artifacts=_artifacts(judged, fitted),
        tags=_tags(training, dataset, judged),
    )


def _tags(training: Training, dataset: Dataset, judged: Walk) -> dict[str, str]:
    sessions = dataset.sessions()
    tags = {
        "strategy": training.strategy,
        "feature_version": dataset.feature_version,
        "data_from": str(sessions[0]),
        "data_through": str(training.as_of),
        "data_rows": str(len(dataset.rows)),
        "data_digest": dataset.digest(),
        "mlflow.source.name": "trading_pipeline",
        "mlflow.note.content": judged.test.sentence(),
    }
    if training.revision:
        tags["mlflow.source.git.commit"] = training.revision
    return tags


def _metrics(judged: Walk, fitted: Final) -> dict[str, float]:
    inside = fitted.train.metrics("train_") | fitted.valid.metrics("valid_")
    rounds = {"best_iteration": float(fitted.model.best_iteration)}
    return judged.test.metrics() | inside | rounds


def _fold_metrics(fold: Fold) -> dict[str, float]:
    inside = fold.train.metrics("train_") | fold.valid.metrics("valid_")
    return fold.test.metrics() | inside | {"best_iteration": float(fold.best_iteration)}


def _artifacts(judged: Walk, fitted: Final) -> dict[str, str]:
    model, daily = fitted.model, judged.daily
    correlations = {"IC": daily["ic"].to_list(), "rank IC": daily["rank_ic"].to_list()}
    figures = {
        "learning_curves.svg": plots.learning_curves(model.curves, best=model.best_iteration),
        "importance.svg": plots.importance(model.importance),
        "ic.svg": plots.cumulative_ic(daily["session"].to_list(), correlations),
    }
    splits = {
        **{f"fold_{n}": _ends(fold.split) for n, fold in enumerate(judged.folds, 1)},
        "final": _ends(fitted.split),
    }
    return {
        **{name: plots.to_svg(figure) for name, figure in figures.items()},
        "learning_curves.json": _json(model.curves),
        "importance.json": _json(model.importance),
        "daily_ic.csv": daily.write_csv(),
        "splits.json": _json(splits),
    }


def _ends(split: Split) -> dict[str, tuple[str, str]]:
    windows = {"train": split.train, "valid": split.valid, "test": split.test}
    return {name: (str(its[0]), str(its[-1])) for name, its in windows.items() if its}


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1)


def _quietly(what: str, share: float) -> None:
    """Progress that nobody asked to be told."""
    del what, share
