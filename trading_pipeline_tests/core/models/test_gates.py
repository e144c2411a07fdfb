"""Each gate lets the sound through and says of the rest what is wrong with it."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.models import gates
from trading_pipeline.core.models.dataset import build
from trading_pipeline.core.models.gates import PromotionRules
from trading_pipeline.core.models.gbm import GbmParams
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.models.walk import walk
from trading_pipeline_tests.core.models import panels

RULES = PromotionRules()
GOOD = {"rank_ic": 0.03, "rank_ic_t": 2.5, "rank_ic_low": 0.004, "sessions": 120.0}
SESSIONS = panels.sessions(8)
LEARNING = TrainingRules(
    train_sessions=60,
    valid_sessions=20,
    test_sessions=60,
    folds=1,
    gbm=GbmParams(rounds=5, early_stopping=5, min_data_in_leaf=5),
)


def predictions(seed: int = 1, sessions: int = 8) -> pl.DataFrame:
    frame = panels.features(sessions, seed=seed)
    return frame.select("symbol", "session", prediction=pl.col("F0").cast(pl.Float64))


def test_evidence_that_reaches_every_floor_passes() -> None:
    assert gates.evidence(GOOD, RULES).passed


@pytest.mark.parametrize(
    ("name", "value"),
    [("rank_ic", 0.001), ("rank_ic_t", 1.9), ("rank_ic_low", -0.001), ("sessions", 59)],
)
def test_a_figure_below_its_floor_is_named_with_the_floor(name: str, value: float) -> None:
    found = gates.evidence({**GOOD, name: value}, RULES)

    assert not found.passed
    assert f"{name} {value:.4g}, at least" in found.sentence


def test_what_was_not_measured_is_no_evidence() -> None:
    found = gates.evidence({"declared_rank_ic": 0.9}, RULES)

    assert not found.passed
    assert "rank_ic was not measured" in found.sentence


def passing(count: int) -> int:
    """How many walk-forward evaluations of trees that had nothing to learn from pass the gate."""
    frame = panels.features(LEARNING.labeled_sessions)
    labels = panels.labels(frame, signal=0.5)
    passed = 0
    for seed in range(count):
        shuffled = labels.with_columns(pl.col("label").shuffle(seed=seed))
        judged = walk(build(frame, shuffled), LEARNING, lambda _, share: None)
        passed += gates.evidence(judged.test.metrics(), RULES).passed
    return passed


def test_of_models_trained_on_shuffled_labels_at_most_one_in_twenty_passes() -> None:
    assert passing(40) <= 2


@pytest.mark.soak
def test_of_100_models_trained_on_shuffled_labels_at_most_5_pass() -> None:
    assert passing(100) <= 5


def test_a_model_that_learned_what_there_is_passes() -> None:
    judged = walk(
        panels.dataset(LEARNING.labeled_sessions, signal=0.5), LEARNING, lambda _, share: None
    )

    assert gates.evidence(judged.test.metrics(), RULES).passed


def test_the_very_features_that_are_stored_are_expected() -> None:
    stored = (("A", "B"), "v1")

    assert gates.schema((("A", "B"), "v1"), stored).passed
    assert "another version" in gates.schema((("A", "B"), "v2"), stored).sentence
    assert "another order" in gates.schema((("B", "A"), "v1"), stored).sentence
    assert "among them C" in gates.schema((("A", "C"), "v1"), stored).sentence
    assert not gates.schema((("A",), "v1"), stored).passed


def test_stored_features_that_changed_in_one_cell_fail_parity() -> None:
    stored = panels.features(8)
    changed = stored.with_columns(F3=pl.col("F3") + pl.col("F3").abs() * np.float32(1e-6))

    assert gates.parity(stored, stored.sample(fraction=1, shuffle=True, seed=1)).passed
    found = gates.parity(stored, changed)
    assert not found.passed
    assert "1 features differ (F3) between" in found.sentence


def test_features_of_other_rows_fail_parity() -> None:
    found = gates.parity(panels.features(8), panels.features(7))

    assert not found.passed
    assert "40 rows stand against 35 others" in found.sentence


def test_without_rows_nothing_is_proved() -> None:
    empty = panels.features(8).clear()

    assert not gates.parity(empty, empty).passed
    assert not gates.dry_prediction(predictions().clear()).passed
    assert not gates.agreement(predictions().clear(), predictions(), RULES).passed


def bars() -> pl.DataFrame:
    closes = panels.features(30).select("symbol", "session", close=pl.col("F0") + 10)
    return closes.sort("symbol", "session")


def honest(given: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """The change of the close since the session before."""
    change = (pl.col("close") / pl.col("close").shift(1).over("symbol") - 1).alias("F0")
    return _of(given.with_columns(change), sessions)


def planted(given: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """The change of the close until the session after, where that is known."""
    ahead = pl.col("close").shift(-1).over("symbol") / pl.col("close") - 1
    return _of(given.with_columns(ahead.fill_null(0.0).alias("F0")), sessions)


def normalized_over_all(given: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """The close less its mean over all time: the subtler kind of look-ahead."""
    centered = pl.col("close") - pl.col("close").mean().over("symbol")
    return _of(given.with_columns(centered.alias("F0")), sessions)


def _of(frame: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    rows = frame.filter(pl.col("session").is_in(list(sessions)))
    version = pl.lit("test-1").alias("feature_version")
    return rows.select("symbol", "session", version, "F0").sort("session", "symbol")


def test_features_of_the_past_do_not_change_with_later_bars() -> None:
    alone = gates.past_only(honest, bars(), SESSIONS)

    assert gates.prefix(alone, honest(bars(), SESSIONS)).passed


@pytest.mark.parametrize("compute", [planted, normalized_over_all])
def test_a_feature_that_looks_ahead_is_caught(compute: gates.Compute) -> None:
    alone = gates.past_only(compute, bars(), SESSIONS)

    found = gates.prefix(alone, compute(bars(), SESSIONS))

    assert not found.passed
    assert "1 features differ (F0) when later bars are known" in found.sentence


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), None])
def test_a_prediction_that_is_no_number_fails(broken: float | None) -> None:
    first = pl.int_range(pl.len()) == 0
    spoilt = predictions().with_columns(
        prediction=pl.when(first).then(pl.lit(broken, pl.Float64)).otherwise("prediction")
    )

    found = gates.dry_prediction(spoilt)

    assert gates.dry_prediction(predictions()).passed
    assert not found.passed
    assert "1 of 40 are no finite numbers" in found.sentence


def test_a_session_in_which_all_symbols_are_alike_fails() -> None:
    flat = predictions().with_columns(
        prediction=pl.when(pl.col("session") == SESSIONS[0]).then(1.0).otherwise("prediction")
    )

    assert "1 of 8 sessions have one value" in gates.dry_prediction(flat).sentence


def test_a_model_agrees_with_itself_at_any_scale_and_not_with_its_opposite() -> None:
    ours = predictions()
    larger, opposite = (ours.with_columns(pl.col("prediction") * by) for by in (1_000, -1))

    assert gates.agreement(larger, ours, RULES).numbers["rank_correlation"] == pytest.approx(1)
    assert not gates.agreement(opposite, ours, RULES).passed


def test_two_constant_models_do_not_count_as_agreeing() -> None:
    flat = predictions().with_columns(prediction=pl.lit(1.0))

    assert gates.agreement(flat, flat, RULES).numbers["rank_correlation"] == 0
