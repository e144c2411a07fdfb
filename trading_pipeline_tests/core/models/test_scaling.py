"""The scale of features is what the training window says, and a part of the model."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.binning import Binned, Recipe, bin_rows, to_arrow
from trading_pipeline.core.models.dataset import Dataset, build, build_blocks
from trading_pipeline.core.models.gbm import GbmParams, Model
from trading_pipeline.core.models.scaling import (
    AS_THEY_ARE,
    NormalizationRules,
    Scaling,
    fit_scaling,
    read_from,
    scaled,
    write_into,
)
from trading_pipeline.core.models.walk import predicted, walk
from trading_pipeline.errors import ModelCorruptError
from trading_pipeline_tests.core.models import panels

ROBUST = NormalizationRules(features="robust_zscore")
PARAMS = GbmParams(rounds=5, min_data_in_leaf=5)
COUNT = 60


def halves(whole: Dataset) -> tuple[Dataset, Dataset]:
    days = whole.sessions()
    return whole.within(days[:40]), whole.within(days[42:])


def fitted(whole: Dataset, rules: NormalizationRules = ROBUST) -> Model:
    train, valid = halves(whole)
    recipe = Recipe(params=PARAMS, normalization=rules)
    return gbm.fit(train, valid, PARAMS, binned=bin_rows(train, valid, recipe))


@pytest.fixture(scope="module")
def model() -> Model:
    return fitted(panels.dataset(COUNT))


def test_a_feature_is_measured_by_median_and_median_deviation_of_its_finite_values() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 100.0, None, float("nan"), float("inf")]
    rows = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float32)})

    found = fit_scaling(rows, ["x"], ROBUST)

    assert found == Scaling(center=(3.0,), scale=(1.4826,), clip=3.0)
    made = scaled(rows, ["x"], found)["x"]
    assert made[:5].to_list() == pytest.approx([-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 3])
    assert made[5] is None
    assert np.isnan(made[6])
    assert made[7] == 3


def test_a_feature_that_hardly_ever_changes_is_still_divided_by_something() -> None:
    rows = pl.DataFrame(
        {
            "mostly": pl.Series([0.0] * 9 + [9.0], dtype=pl.Float32),
            "never": pl.Series([2.0] * 10, dtype=pl.Float32),
            "absent": pl.Series([None] * 10, dtype=pl.Float32),
        }
    )

    found = fit_scaling(rows, rows.columns, ROBUST)

    assert found
    assert found.scale == (pytest.approx(np.std([0] * 9 + [9], ddof=1)), 1.0, 1.0)
    assert scaled(rows, ["never"], Scaling(center=(2.0,), scale=(1.0,), clip=3))["never"].sum() == 0


def test_nothing_after_the_training_window_changes_what_is_stored(model: Model) -> None:
    frame = panels.features(COUNT)
    later = pl.col("session") > panels.sessions(COUNT)[39]
    changed = frame.with_columns(
        pl.when(later).then(pl.col(name) * 1000 + 7).otherwise(pl.col(name)).alias(name)
        for name in panels.NAMES
    )
    plain = panels.labels(frame, signal=0.5, seed=2)
    tampered = fitted(build(changed, plain))

    assert read_from(tampered.text, 8) == read_from(model.text, 8)
    first = frame.with_columns(pl.col("F2") * 3)
    assert read_from(fitted(build(first, plain)).text, 8) != read_from(model.text, 8)


def test_training_and_prediction_scale_a_row_to_the_same_bits(model: Model) -> None:
    whole = panels.dataset(COUNT)
    predictor = gbm.load(model.text, feature_version="test-1")

    assert predictor.scaling
    seen = pl.DataFrame(to_arrow(whole, predictor.scaling))
    assert scaled(whole.rows, predictor.features, predictor.scaling).equals(seen)
    bare: Any = predictor.booster.predict(seen.to_numpy(), num_threads=1)
    assert predicted(model, whole)["prediction"].to_list() == list(bare)


def test_a_scaled_row_has_the_same_prediction_alone_and_among_others(model: Model) -> None:
    whole = panels.dataset(COUNT)
    day = whole.within(whole.sessions()[-1:])
    alone = Dataset(rows=day.rows.head(1), features=day.features, feature_version="test-1")

    assert predicted(model, alone).equals(predicted(model, day).head(1))


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6)), min_size=1, max_size=9),
    st.floats(0.1, 100),
)
def test_what_is_written_into_a_text_is_read_from_it(
    numbers: list[tuple[float, float]], clip: float
) -> None:
    given_ = Scaling(
        center=tuple(each for each, _ in numbers),
        scale=tuple(each for _, each in numbers),
        clip=clip,
    )

    text = write_into("tree\nend of trees\n\npandas_categorical:null\n", given_)

    assert read_from(text, len(numbers)) == given_
    assert text.endswith("\npandas_categorical:null\n")


def test_a_model_without_a_scaling_is_the_text_it_always_was() -> None:
    whole = panels.dataset(COUNT)

    plain = fitted(whole, AS_THEY_ARE)

    assert plain.text == gbm.fit(*halves(whole), PARAMS).text
    assert "\nscaling:" not in plain.text
    assert gbm.load(plain.text, feature_version="test-1").scaling is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"center":[0],"scale":[1],"clip":3}', "scales 1 features and takes 8"),
        ('{"center":[0],"scale":[0],"clip":3}', "cannot be read"),
        ('{"center":[0', "cannot be read"),
    ],
)
def test_a_scaling_that_does_not_fit_its_model_is_refused(
    model: Model, line: str, said: str
) -> None:
    before, _, after = model.text.partition("\nscaling:")
    text = f"{before}\nscaling:{line}\n{after.partition(chr(10))[2]}"

    with pytest.raises(ModelCorruptError, match=said):
        gbm.load(text, feature_version="test-1")


def test_each_fold_is_scaled_by_its_own_training_window() -> None:
    rules = panels.SMALL.model_copy(update={"normalization": ROBUST, "gbm": PARAMS})
    used: list[Scaling | None] = []

    def noting(train: Dataset, valid: Dataset, recipe: Recipe) -> Binned:
        made = bin_rows(train, valid, recipe)
        used.append(made.scaling)
        return made

    dataset = panels.dataset(rules.labeled_sessions)
    found = walk(dataset, rules, lambda what, share: None, binning=noting)

    expected = [
        fit_scaling(dataset.within(fold.split.train).rows, dataset.features, ROBUST)
        for fold in found.folds
    ]
    assert used == expected
    assert used[0] != used[1]


def test_a_label_may_become_its_rank_in_the_session() -> None:
    frame = panels.features(3)
    labels = panels.labels(frame, signal=0.5)

    rows = build(frame, labels, "rank").rows

    day = rows.filter(pl.col("session") == panels.sessions(3)[0]).sort("label")
    expected = [((place - 0.5) / 5 - 0.5) * 12**0.5 for place in range(1, 6)]
    assert day["target"].to_list() == pytest.approx(expected)


def test_rows_read_in_blocks_are_those_read_at_once() -> None:
    frame = panels.features(12)
    labels = panels.labels(frame, signal=0.5)
    days = panels.sessions(12)
    blocks = [
        frame.filter(pl.col("session").is_in(part)) for part in (days[:5], days[5:6], days[6:])
    ]

    found = build_blocks(blocks, labels, "zscore")

    assert found.rows.equals(build(frame, labels).rows)
    assert found.digest() == build(frame, labels).digest()


@pytest.mark.parametrize("wrong", [{"features": "minmax"}, {"clip": 0}, {"target": "raw"}])
def test_unknown_normalizations_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NormalizationRules.model_validate(wrong)
