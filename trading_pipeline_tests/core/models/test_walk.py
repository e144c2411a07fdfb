"""The walk-forward evaluation sees nothing of what it is judged on."""

from dataclasses import replace

import polars as pl
import pytest

from trading_pipeline.core.models.dataset import Dataset
from trading_pipeline.core.models.walk import final, walk
from trading_pipeline.errors import MissingDataError, ModelError
from trading_pipeline_tests.core.models import panels

RULES = panels.SMALL


def quietly(what: str, share: float) -> None:
    pass


def data(signal: float = 0.5) -> Dataset:
    return panels.dataset(RULES.labeled_sessions, signal=signal)


def test_the_folds_judge_the_newest_sessions_without_gap_or_overlap() -> None:
    dataset = data()

    found = walk(dataset, RULES, quietly)

    judged = [session for fold in found.folds for session in fold.split.test]
    assert judged == dataset.sessions()[-20:]
    assert found.daily["session"].to_list() == judged
    assert found.test.sessions == 20


def test_a_planted_signal_shows_out_of_sample() -> None:
    assert walk(data(), RULES, quietly).test.rank_ic.low > 0.2


def test_nothing_of_the_test_window_reaches_the_model_that_is_judged_there() -> None:
    dataset = data()
    unseen = dataset.sessions()[-10:]
    upside_down = replace(
        dataset,
        rows=dataset.rows.with_columns(
            pl.when(pl.col("session").is_in(unseen)).then(-pl.col(name)).otherwise(pl.col(name))
            for name in ("label", "target")
        ),
    )

    plain, turned = walk(dataset, RULES, quietly), walk(upside_down, RULES, quietly)

    assert turned.folds[-1].train == plain.folds[-1].train
    assert turned.folds[-1].valid == plain.folds[-1].valid
    mirrored = -plain.folds[-1].test.rank_ic.value
    assert turned.folds[-1].test.rank_ic.value == pytest.approx(mirrored)


def test_too_few_sessions_for_the_folds_are_told_with_the_numbers() -> None:
    with pytest.raises(MissingDataError, match="need 104 labeled sessions, there are 103"):
        walk(panels.dataset(103), RULES, quietly)


def test_the_final_model_learns_up_to_the_newest_label() -> None:
    dataset = data()

    found = final(dataset, RULES, quietly)

    assert found.split.valid[-1] == dataset.sessions()[-1]
    assert found.valid.rank_ic.value > 0.2


def test_a_model_that_ranks_nothing_is_refused() -> None:
    dataset = data()
    flat = dataset.rows.with_columns(pl.lit(0.0, pl.Float32).alias(n) for n in dataset.features)

    with pytest.raises(ModelError, match="learned nothing that could rank symbols"):
        final(replace(dataset, rows=flat), RULES, quietly)


def test_progress_names_each_part_and_never_goes_back() -> None:
    told: list[tuple[str, float]] = []

    dataset = data()
    walk(dataset, RULES, lambda what, share: told.append((what, share)))
    final(dataset, RULES, lambda what, share: told.append((what, share)))

    assert list(dict(told)) == ["fold 1 of 2", "fold 2 of 2", "final model"]
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1
