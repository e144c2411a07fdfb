from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.features.moments import co_moments, moments, trends
from trading_pipeline.core.features.operators import WINDOWS
from trading_pipeline_tests.core.features.windows import COLUMNS, Column, by_hand, valid

# Where nothing is known, 0 / 0 is NaN, as it should be.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

WINDOW = st.sampled_from(WINDOWS)


def when(least: int, answer: Callable[[Column], float]) -> Callable[[Column], float]:
    """`answer` of the valid rows, NaN when there are fewer than `least`."""
    return lambda rows: answer(valid(rows)) if len(valid(rows)) >= least else np.nan


def assert_close(found: Column, expected: Column, scale: float = 1.0) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10 * scale)


@given(COLUMNS, WINDOW)
def test_mean_and_standard_deviation_are_those_of_the_valid_rows(x: Column, window: int) -> None:
    found, trend = moments(x)[window], trends(x)[window]
    scale = float(np.nanmax(x)) if len(valid(x)) else 1.0
    assert_close(found.mean, by_hand(x, window, when(1, np.mean)))
    deviation = by_hand(x, window, when(2, lambda rows: rows.std(ddof=1)))
    assert_close(found.std, deviation, scale)
    np.testing.assert_array_equal(trend.mean, found.mean)
    np.testing.assert_array_equal(trend.std, found.std)


@given(COLUMNS, WINDOW)
def test_the_line_is_the_least_squares_one_and_gaps_keep_their_place(
    x: Column, window: int
) -> None:
    def fit(rows: Column) -> tuple[float, float]:
        """Slope, and the line's value at the newest row, whose place is 0."""
        known = ~np.isnan(rows)
        if known.sum() < 2:
            return np.nan, np.nan
        place = np.arange(1.0 - len(rows), 1.0)[known]
        y, p = rows[known], place
        slope = ((p - p.mean()) * (y - y.mean())).sum() / ((p - p.mean()) ** 2).sum()
        return slope, y.mean() - slope * p.mean()

    trend = trends(x)[window]
    scale = float(np.nanmax(x)) if len(valid(x)) else 1.0
    assert_close(trend.slope, by_hand(x, window, lambda rows: fit(rows)[0]), scale)
    assert_close(trend.residual(x), x - by_hand(x, window, lambda rows: fit(rows)[1]), scale)


@given(COLUMNS, WINDOW, st.randoms(use_true_random=False))
def test_correlation_counts_rows_where_both_are_known(
    x: Column, window: int, random: st.DataObject
) -> None:
    order = list(range(len(x)))
    random.shuffle(order)
    y = x[order]
    own_x, own_y = moments(x)[window].std, moments(y)[window].std
    both = co_moments(x, y)[window]
    found = both.correlation(own_x, own_y)
    for at in range(len(x)):
        rows = slice(max(0, at - window + 1), at + 1)
        pair = np.hstack((x[rows], y[rows]))
        pair = pair[~np.isnan(pair).any(axis=1)]
        assert both.n[at, 0] == len(pair)
        flat = len(pair) < 2 or min(own_x[at, 0], own_y[at, 0]) <= 2e-5
        if flat:
            assert np.isnan(found[at, 0])
        elif (pair.std(axis=0) > 1e-3 * pair.max(axis=0)).all():
            expected = np.corrcoef(pair.T)[0, 1]
            np.testing.assert_allclose(found[at, 0], expected, rtol=1e-8, atol=1e-8)


@given(st.floats(1e-3, 1e6), WINDOW, st.sets(st.integers(0, 69), max_size=20))
def test_a_repeated_value_has_no_spread_line_or_correlation(
    value: float, window: int, missing: set[int]
) -> None:
    full, gappy = np.full((70, 1), value), np.full((70, 1), value)
    gappy[sorted(missing)] = np.nan
    whole, part = trends(full)[window], trends(gappy)[window]
    assert (whole.std[window - 1 :] == 0).all()
    assert (whole.slope[window - 1 :] == 0).all()
    assert np.nanmax(part.std, initial=0) <= 1e-15 * value
    for found in (whole, part):
        assert np.isnan(found.rsquare).all()
        assert np.isnan(found.correlation(found.std, found.std)).all()


def test_an_infinite_value_counts_as_missing() -> None:
    x = np.array([[1.0], [np.inf], [3.0]])
    assert moments(x)[5].mean[-1, 0] == 2
    assert moments(x)[5].n[-1, 0] == 2


def test_two_points_lie_on_their_line() -> None:
    trend = trends(np.array([[1.0], [np.nan], [4.0]]))[5]
    assert trend.slope[-1, 0] == 1.5
    assert trend.rsquare[-1, 0] == 1
    assert trend.residual(np.array([[1.0], [np.nan], [4.0]]))[-1, 0] == 0
