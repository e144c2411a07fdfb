"""Gradient boosting: reproducible, checked, and never fed to a parser unverified."""

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.binning import Recipe, bin_rows
from trading_pipeline.core.models.dataset import Dataset
from trading_pipeline.core.models.gbm import GbmParams, Model
from trading_pipeline.errors import FeatureMismatchError, ModelCorruptError, ModelError
from trading_pipeline_tests.core.models import panels

PARAMS = GbmParams(rounds=30, min_data_in_leaf=5)


def halves(signal: float = 0.5, seed: int = 1) -> tuple[Dataset, Dataset]:
    whole = panels.dataset(120, signal=signal, seed=seed)
    days = whole.sessions()
    return whole.within(days[:80]), whole.within(days[82:])


def fitted(params: GbmParams = PARAMS) -> Model:
    return gbm.fit(*halves(), params)


@pytest.fixture(scope="module")
def model() -> Model:
    return fitted()


def predictions(model: Model, frame: pl.DataFrame) -> pl.DataFrame:
    return gbm.predict(gbm.load(model.text, feature_version=model.feature_version), frame)


def test_the_same_data_and_seed_give_the_same_model_text(model: Model) -> None:
    assert fitted().text == model.text


def test_rows_that_were_binned_before_give_the_same_model_with_any_parameters() -> None:
    whole = panels.dataset(120, signal=0.5)
    days = whole.sessions()
    train, valid = whole.within(days[:90]), whole.within(days[92:])
    binned = bin_rows(train, valid, Recipe(params=GbmParams(), shared=True))
    for params in (GbmParams(), GbmParams(min_data_in_leaf=5, num_leaves=7, lambda_l2=3)):
        anew = bin_rows(train, valid, Recipe(params=params, shared=True))
        found = gbm.fit(train, valid, params, binned=binned)
        assert found == gbm.fit(train, valid, params, binned=anew)
        assert found.best_iteration > 1


def test_another_seed_gives_another_model(model: Model) -> None:
    assert fitted(PARAMS.model_copy(update={"seed": 7})).text != model.text


def test_the_number_of_threads_does_not_change_a_prediction(model: Model) -> None:
    frame = panels.features(30, seed=9)
    several = fitted(PARAMS.model_copy(update={"threads": 2}))

    assert predictions(several, frame).equals(predictions(model, frame))


def test_few_rows_are_not_spread_over_threads_unless_asked() -> None:
    assert GbmParams().native(5_000)["num_threads"] == 1
    assert GbmParams().native(1_000_000)["num_threads"] == 0
    assert GbmParams(threads=3).native(5_000)["num_threads"] == 3


def test_a_planted_signal_is_found_on_rows_not_trained_on(model: Model) -> None:
    frame = panels.features(60, seed=9)
    truth = panels.labels(frame, signal=1.0)["label"].to_numpy()

    found = predictions(model, frame)["prediction"].to_numpy()

    assert np.corrcoef(found, truth)[0, 1] > 0.8


def test_the_feature_that_holds_the_signal_is_the_most_important(model: Model) -> None:
    assert next(iter(model.importance)) == "F0"
    assert list(model.importance.values()) == sorted(model.importance.values(), reverse=True)
    assert set(model.importance) == set(panels.NAMES)


def test_training_stops_early_where_there_is_nothing_to_learn() -> None:
    noise = gbm.fit(*halves(signal=0.0), GbmParams(rounds=200, early_stopping=5))

    assert noise.best_iteration + 5 == len(noise.curves["valid"])
    assert len(noise.curves["valid"]) < 200
    best = min(noise.curves["valid"])
    assert noise.curves["valid"][noise.best_iteration - 1] == best


def test_the_text_holds_the_best_round_and_nothing_after_it() -> None:
    noise = gbm.fit(*halves(signal=0.0), GbmParams(rounds=200, early_stopping=5))

    assert noise.text.count("\nTree=") == noise.best_iteration


def test_progress_is_told_after_every_round() -> None:
    told: list[tuple[int, int]] = []

    made = gbm.fit(*halves(), PARAMS, lambda done, rounds: told.append((done, rounds)))

    assert told == [(number + 1, 30) for number in range(len(made.curves["valid"]))]


def test_a_prediction_is_a_row_for_a_row_in_the_same_order(model: Model) -> None:
    frame = panels.features(4, seed=3).sample(fraction=1, shuffle=True, seed=5)

    found = predictions(model, frame)

    assert found.columns == ["symbol", "session", "prediction"]
    assert found.select("symbol", "session").equals(frame.select("symbol", "session"))
    assert found["prediction"].dtype == pl.Float64


def test_a_symbol_is_predicted_alike_alone_and_among_others(model: Model) -> None:
    frame = panels.features(4, seed=3)
    alone = predictions(model, frame.filter(pl.col("symbol") == "IBM"))

    together = predictions(model, frame).filter(pl.col("symbol") == "IBM")

    assert alone.equals(together)


def test_no_rows_give_no_predictions(model: Model) -> None:
    found = predictions(model, panels.features(4).clear())

    assert found.shape == (0, 3)
    assert found["prediction"].dtype == pl.Float64


def test_features_in_another_order_are_refused(model: Model) -> None:
    frame = panels.features(4, names=(*panels.NAMES[1:], "F0"))

    with pytest.raises(FeatureMismatchError, match="same 8 features in another order"):
        predictions(model, frame)


def test_missing_and_unknown_features_are_named(model: Model) -> None:
    frame = panels.features(4, names=(*panels.NAMES[:-1], "ALIEN"))

    with pytest.raises(FeatureMismatchError, match="missing F7; unknown ALIEN"):
        predictions(model, frame)


def test_features_of_another_version_are_refused(model: Model) -> None:
    with pytest.raises(FeatureMismatchError, match="features test-1, these are test-2"):
        predictions(model, panels.features(4, version="test-2"))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9])
def test_truncated_text_is_refused_before_the_parser_would_abort(
    model: Model, share: float
) -> None:
    end = model.text.index("end of trees")

    with pytest.raises(ModelCorruptError, match="not a whole LightGBM model"):
        gbm.load(model.text[: int(end * share)], feature_version="test-1")


def test_rows_are_needed_on_both_sides() -> None:
    train, valid = halves()
    empty = Dataset(rows=valid.rows.clear(), features=valid.features, feature_version="test-1")

    with pytest.raises(ModelError, match="the validation window 0"):
        gbm.fit(train, empty, PARAMS)


def test_validation_rows_of_other_features_are_refused() -> None:
    train, valid = halves()
    other = Dataset(rows=valid.rows, features=valid.features[:-1], feature_version="test-1")

    with pytest.raises(FeatureMismatchError, match="other features"):
        gbm.fit(train, other, PARAMS)


def test_the_defaults_are_those_written_down() -> None:
    native = GbmParams().native(1_000)

    assert GbmParams().rounds == 100
    assert GbmParams().early_stopping == 20
    assert native["objective"] == "regression"
    assert native["metric"] == "l1"
    expected = {
        "learning_rate": 0.05,
        "max_depth": 6,
        "num_leaves": 31,
        "feature_fraction": 0.8,
        "bagging_fraction": 0.8,
        "bagging_freq": 5,
        "min_data_in_leaf": 20,
        "lambda_l1": 0.1,
        "lambda_l2": 0.1,
        "seed": 42,
    }
    assert {name: native[name] for name in expected} == expected


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"learning_rate": 1.5}, {"leaves": 31}])
def test_parameters_out_of_range_or_unknown_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GbmParams.model_validate(wrong)
