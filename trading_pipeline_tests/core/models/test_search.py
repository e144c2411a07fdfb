"""The search tries what it says, on nothing that is judged later, and the same every time."""

from dataclasses import replace

import polars as pl
import pytest

from trading_pipeline.core.models.dataset import Dataset
from trading_pipeline.core.models.search import SPACE, Trial, search
from trading_pipeline.core.models.walk import first_split
from trading_pipeline_tests.core.models import panels

RULES = panels.SMALL.model_copy(update={"trials": 4})
WHOLE = panels.dataset(RULES.labeled_sessions, signal=0.5)


def found(dataset: Dataset = WHOLE) -> list[Trial]:
    return search(dataset, RULES, lambda said: float(len(said)), lambda what, share: None)


def test_the_given_parameters_are_tried_too_and_the_best_come_first() -> None:
    trials = found()

    assert len(trials) == 4
    assert RULES.gbm in [trial.params for trial in trials]
    assert [trial.rank_ic for trial in trials] == sorted(
        (trial.rank_ic for trial in trials), reverse=True
    )


def test_every_trial_lies_within_the_bounds_and_is_judged_on_the_validation_window() -> None:
    valid = len(WHOLE.within(first_split(WHOLE.sessions(), RULES).valid).rows)

    for trial in found():
        assert trial.sharpe == valid
        for name, (low, high) in SPACE.items():
            assert low <= getattr(trial.params, name) <= high


def test_the_same_search_again_finds_the_same() -> None:
    assert found() == found()


def test_nothing_that_is_judged_later_moves_the_choice() -> None:
    last = first_split(WHOLE.sessions(), RULES).valid[-1]
    later = pl.col("session") > last
    upside_down = replace(
        WHOLE,
        rows=WHOLE.rows.with_columns(
            pl.when(later).then(-pl.col(name)).otherwise(pl.col(name))
            for name in ("label", "target")
        ),
    )

    assert found(upside_down) == found()


def test_a_trial_that_ranks_nothing_is_the_last() -> None:
    flat = WHOLE.rows.with_columns(pl.lit(0.0, pl.Float32).alias(n) for n in WHOLE.features)

    trials = found(replace(WHOLE, rows=flat))

    assert {trial.rank_ic for trial in trials} == {-1.0}


def test_progress_counts_the_trials() -> None:
    told: list[tuple[str, float]] = []

    search(WHOLE, RULES, lambda said: None, lambda what, share: told.append((what, share)))

    assert told[0] == ("trial 1 of 4", 0.0)
    assert told[-1] == ("trial 4 of 4", pytest.approx(0.75))
