"""The walk-forward evaluation: train on the past, judge on what followed, step on, repeat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.binning import Binning, Recipe, bin_rows
from trading_pipeline.core.models.dataset import Dataset, Split, newest_split, walk_forward
from trading_pipeline.core.models.evaluation import Evaluation, daily_ic, evaluate
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.errors import MissingDataError, ModelError

Progress = Callable[[str, float], None]
"""Told what is being done and which share of the whole, 0 to 1, is behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One step of the walk: its windows, its rounds, and how its model did in each window."""

    split: Split
    best_iteration: int
    train: Evaluation
    valid: Evaluation
    test: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """All folds; `test` judges their test windows as one, `daily` is its IC by session.

    `predictions` are those of the test windows: symbol, session, prediction, label, target.
    """

    folds: tuple[Fold, ...]
    test: Evaluation
    daily: pl.DataFrame
    predictions: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """The model that will trade, fitted on the newest window, and how it did inside it."""

    model: gbm.Model
    split: Split
    train: Evaluation
    valid: Evaluation


def walk(
    dataset: Dataset, rules: TrainingRules, progress: Progress, *, binning: Binning = bin_rows
) -> Walk:
    """Judge the newest `rules.folds` test windows, each by a model that saw nothing of it."""
    splits = _splits(dataset.sessions(), rules)
    folds: list[Fold] = []
    judged: list[pl.DataFrame] = []
    for number, split in enumerate(splits):
        done = _ticker(f"fold {number + 1} of {rules.folds}", number, rules, progress)
        model = _fit(dataset, split, rules=rules, tick=done, binning=binning)
        test = predicted(model, dataset.within(split.test))
        folds.append(_fold(model, dataset, split, test))
        judged.append(test)
    out_of_sample = pl.concat(judged)
    return Walk(
        folds=tuple(folds),
        test=evaluate(out_of_sample),
        daily=daily_ic(out_of_sample),
        predictions=out_of_sample,
    )


def final(
    dataset: Dataset, rules: TrainingRules, progress: Progress, *, binning: Binning = bin_rows
) -> Final:
    """Fit the model of the newest window; one that tells no rows apart raises ModelError."""
    split = newest_split(
        dataset.sessions(),
        train=rules.train_sessions,
        valid=rules.valid_sessions,
        embargo=rules.embargo_sessions,
    )
    done = _ticker("final model", rules.folds, rules, progress)
    model = _fit(dataset, split, rules=rules, tick=done, binning=binning)
    valid = predicted(model, dataset.within(split.valid))
    if valid["prediction"].n_unique() < 2:
        raise ModelError(
            f"The model predicts {valid['prediction'][0]:.6f} for all {len(valid)} validation "
            "rows: it has learned nothing that could rank symbols."
        )
    return Final(
        model=model,
        split=split,
        train=evaluate(predicted(model, dataset.within(split.train))),
        valid=evaluate(valid),
    )


def first_split(sessions: Sequence[date], rules: TrainingRules) -> Split:
    """Return the split of the first fold: its train and valid windows precede all test windows."""
    return _splits(sessions, rules)[0]


def _splits(sessions: Sequence[date], rules: TrainingRules) -> list[Split]:
    """The splits of all folds; MissingDataError when there are too few sessions for them."""
    splits = walk_forward(
        sessions,
        train=rules.train_sessions,
        valid=rules.valid_sessions,
        test=rules.test_sessions,
        embargo=rules.embargo_sessions,
    )[-rules.folds :]
    if len(splits) < rules.folds:
        raise MissingDataError(
            f"{rules.folds} folds of walk-forward evaluation need {rules.labeled_sessions} "
            f"labeled sessions, there are {len(sessions)}."
        )
    return splits


def _fit(
    dataset: Dataset, split: Split, *, rules: TrainingRules, tick: gbm.Ticker, binning: Binning
) -> gbm.Model:
    train, valid = dataset.within(split.train), dataset.within(split.valid)
    binned = binning(train, valid, recipe_of(rules))
    return gbm.fit(train, valid, rules.gbm, tick, binned=binned)


def _fold(model: gbm.Model, dataset: Dataset, split: Split, test: pl.DataFrame) -> Fold:
    return Fold(
        split=split,
        best_iteration=model.best_iteration,
        train=evaluate(predicted(model, dataset.within(split.train))),
        valid=evaluate(predicted(model, dataset.within(split.valid))),
        test=evaluate(test),
    )


def recipe_of(rules: TrainingRules) -> Recipe:
    """What bins are made by; those of a search serve its trials and the folds alike."""
    return Recipe(params=rules.gbm, normalization=rules.normalization, shared=rules.trials > 0)


def predicted(model: gbm.Model, window: Dataset) -> pl.DataFrame:
    """Return symbol, session, prediction, label, target of a window's rows."""
    predictor = gbm.load(model.text, feature_version=model.feature_version)
    version = pl.lit(window.feature_version).alias("feature_version")
    features = window.rows.select("symbol", "session", version, *window.features)
    return gbm.predict(predictor, features).with_columns(window.rows["label", "target"])


def _ticker(what: str, behind: int, rules: TrainingRules, progress: Progress) -> gbm.Ticker:
    whole = rules.folds + 1
    return lambda done, rounds: progress(what, (behind + done / rounds) / whole)
