"""The dataset: point-in-time joins, and windows that no label crosses."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.features.labels import LABEL_HORIZON
from trading_pipeline.core.models.binning import to_arrow
from trading_pipeline.core.models.dataset import build, newest_split, walk_forward
from trading_pipeline.errors import FeatureMismatchError, MissingDataError, SchemaError
from trading_pipeline_tests.core.models import panels


def test_only_rows_with_a_label_are_learned_from() -> None:
    features = panels.features(10)
    labels = panels.labels(features, signal=0.5)
    known = labels.with_columns(
        label=pl.when(pl.col("symbol") == "IBM").then(None).otherwise(pl.col("label"))
    )

    rows = build(features, known).rows

    assert set(rows["symbol"]) == {"AAPL", "FB", "GOOG", "MSFT"}
    assert len(rows) == 40
    assert rows["label"].null_count() == 0


def test_the_target_is_the_z_score_of_the_label_across_its_session() -> None:
    features = panels.features(3)
    rows = build(features, panels.labels(features, signal=0.2)).rows

    for (_,), part in rows.group_by("session"):
        label = part["label"].to_numpy()
        expected = (label - label.mean()) / label.std(ddof=1)
        np.testing.assert_allclose(part["target"].to_numpy(), expected)


def test_the_order_of_the_rows_given_does_not_matter() -> None:
    features = panels.features(10)
    labels = panels.labels(features, signal=0.5)

    shuffled = build(features.sample(fraction=1, shuffle=True, seed=3), labels.reverse())

    assert shuffled.rows.equals(build(features, labels).rows)


def test_two_labels_of_one_row_are_refused_instead_of_doubling_it() -> None:
    features = panels.features(5)
    labels = panels.labels(features, signal=0.5)

    with pytest.raises(SchemaError, match="one of each is expected"):
        build(features, pl.concat([labels, labels.head(1)]))


def test_features_without_any_label_are_missing_data() -> None:
    features = panels.features(5)
    labels = panels.labels(features, signal=0.5).clear()

    with pytest.raises(MissingDataError, match="None of 25 feature rows"):
        build(features, labels)


def test_features_of_two_versions_are_never_learned_from_together() -> None:
    old, new = panels.features(5, version="test-1"), panels.features(9, version="test-2")
    features = pl.concat([old, new.join(old, on=["symbol", "session"], how="anti")])

    with pytest.raises(FeatureMismatchError, match="test-1, test-2"):
        build(features, panels.labels(features, signal=0.5))


def test_the_matrix_is_float32_and_keeps_what_is_missing() -> None:
    found = to_arrow(panels.dataset(20))

    assert {str(kind) for kind in found.schema.types} == {"float"}
    assert found.column_names == list(panels.NAMES)
    assert found.column("F1").null_count == 6


def test_the_digest_notices_a_single_changed_value() -> None:
    one, same = panels.dataset(20), panels.dataset(20)
    frame = panels.features(20)
    labels = panels.labels(frame, signal=0.5)
    changed = build(frame, labels.with_columns(pl.col("label") + 1e-12))

    assert one.digest() == same.digest()
    assert one.digest() != changed.digest()


@given(
    length=st.integers(40, 300),
    train=st.integers(10, 60),
    valid=st.integers(5, 20),
    test=st.integers(1, 20),
    embargo=st.integers(LABEL_HORIZON, 6),
)
def test_no_label_of_a_window_reaches_into_the_next_one(
    length: int, train: int, valid: int, test: int, embargo: int
) -> None:
    sessions = panels.sessions(length)
    place = {session: number for number, session in enumerate(sessions)}

    splits = walk_forward(sessions, train=train, valid=valid, test=test, embargo=embargo)

    for split in splits:
        assert (len(split.train), len(split.valid), len(split.test)) == (train, valid, test)
        for earlier, later in ((split.train, split.valid), (split.valid, split.test)):
            assert place[earlier[-1]] + LABEL_HORIZON < place[later[0]]
    judged = [session for split in splits for session in split.test]
    assert judged == sessions[length - len(judged) :]
    spare = length - (train + valid + 2 * embargo) - len(judged)
    assert spare < test


def test_the_model_that_trades_learns_up_to_the_newest_session() -> None:
    sessions = panels.sessions(100)

    split = newest_split(sessions, train=60, valid=20, embargo=2)

    assert split.valid == tuple(sessions[80:])
    assert split.train == tuple(sessions[18:78])
    assert split.test == ()


def test_too_few_sessions_to_train_on_are_told_with_the_numbers() -> None:
    with pytest.raises(MissingDataError, match=r"81 labeled sessions .* 60 \+ 2 \+ 20"):
        newest_split(panels.sessions(81), train=60, valid=20, embargo=2)
