import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trading_pipeline.core.features.normalize import zscore, zscores
from trading_pipeline_tests.factories import sessions_from

SESSIONS = sessions_from(count=2)
NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20)


def scored(values: list[float | None]) -> list[float | None]:
    frame = pl.DataFrame(
        {"session": SESSIONS[:1] * len(values), "x": pl.Series(values, dtype=pl.Float64)}
    )
    return frame.with_columns(zscore("x"))["x"].to_list()


@given(NUMBERS)
def test_a_session_has_mean_0_and_sample_deviation_1(values: list[float]) -> None:
    assume(max(values) - min(values) > 1e-6)
    found = pl.Series(scored(values))
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std(ddof=1) == pytest.approx(1)


@given(NUMBERS)
def test_symbols_keep_their_order(values: list[float]) -> None:
    found = scored(values)
    for one, its in zip(values, found, strict=True):
        for other, others in zip(values, found, strict=True):
            assert one >= other or its <= others


def test_it_is_the_sample_deviation() -> None:
    assert scored([1.0, 3.0]) == [pytest.approx(-(0.5**0.5)), pytest.approx(0.5**0.5)]


def test_each_session_is_its_own() -> None:
    frame = pl.DataFrame({"session": [*SESSIONS, *SESSIONS], "x": [1.0, 100.0, 3.0, 500.0]})
    half = pytest.approx(0.5**0.5)
    assert frame.with_columns(zscore("x").abs())["x"].to_list() == [half] * 4


def test_values_that_do_not_differ_are_only_centered() -> None:
    assert scored([0.3, 0.3, 0.3]) == [pytest.approx(0, abs=1e-15)] * 3
    assert scored([207.0]) == [0]


def test_missing_values_stay_missing_and_do_not_count() -> None:
    assert scored([1.0, None, float("nan"), 3.0]) == [
        pytest.approx(-(0.5**0.5)),
        None,
        None,
        pytest.approx(0.5**0.5),
    ]
    assert scored([None, None]) == [None, None]


@given(st.lists(st.none() | st.sampled_from([1.0, 2.0, 2.5, -7.0]), min_size=1, max_size=8))
def test_sessions_laid_out_as_rows_give_the_same(values: list[float | None]) -> None:
    row = np.array([[np.nan if each is None else each for each in values]])
    found = zscores(row)[0]
    for one, expected in zip(found, scored(values), strict=True):
        assert np.isnan(one) if expected is None else one == pytest.approx(expected, abs=1e-12)
