import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.features import operators as op
from trading_pipeline_tests.core.features.windows import COLUMNS, Column, by_hand, valid

# Where nothing is known, 0 / 0 is NaN, as it should be.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

WINDOW = st.sampled_from(op.WINDOWS)


def assert_equal(found: Column, expected: Column) -> None:
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=25)
@given(COLUMNS, st.integers(1, 150))
def test_ref_is_the_value_of_an_earlier_row(x: Column, rows: int) -> None:
    expected = [x[at - rows, 0] if at >= rows else np.nan for at in range(len(x))]
    assert_equal(op.ref(x, rows)[:, 0], np.array(expected))


@given(COLUMNS, WINDOW)
def test_extremes_are_numpys_with_the_oldest_missing_row_above_all(x: Column, window: int) -> None:
    def highest(rows: Column) -> float:
        return valid(rows).max() if len(valid(rows)) else np.nan

    def position(rows: Column) -> float:
        return rows.argmax() + 1.0 if len(valid(rows)) else np.nan

    assert_equal(op.highest(x)[window].value, by_hand(x, window, highest))
    assert_equal(op.highest(x)[window].position, by_hand(x, window, position))
    assert_equal(op.lowest(x)[window].value, -by_hand(-x, window, highest))
    assert_equal(op.lowest(x)[window].position, by_hand(-x, window, position))


@given(COLUMNS, WINDOW)
def test_a_rank_is_the_average_one_among_the_valid_rows(x: Column, window: int) -> None:
    def rank(rows: Column) -> float:
        if np.isnan(rows[-1]):
            return np.nan
        below, equal = (rows < rows[-1]).sum(), (rows == rows[-1]).sum()
        return (below + (equal + 1) / 2) / len(valid(rows))

    assert_equal(op.ranks(x, counts(x))[window], by_hand(x, window, rank))


@given(COLUMNS, WINDOW, st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))
def test_a_quantile_is_linear_between_its_neighbors(x: Column, window: int, share: float) -> None:
    def quantile(rows: Column) -> float:
        return np.quantile(valid(rows), share) if len(valid(rows)) else np.nan

    found = op.quantiles(x, counts(x), (share, 0.3))[window][0]
    np.testing.assert_allclose(found, by_hand(x, window, quantile), rtol=1e-8)


@given(COLUMNS, WINDOW)
def test_moves_are_counted_and_summed_where_both_rows_are_known(x: Column, window: int) -> None:
    step = x - op.ref(x, 1)
    moves = op.moves(x)[window]
    assert_equal(moves.risen, by_hand(step, window, lambda rows: (rows > 0).sum()))
    assert_equal(moves.fallen, by_hand(step, window, lambda rows: (rows < 0).sum()))

    def share(sign: int) -> Column:
        def of(rows: Column) -> float:
            known = valid(rows)
            total = np.abs(known).sum() + 1e-12
            return np.maximum(sign * known, 0).sum() / total if len(known) else np.nan

        return by_hand(step, window, of)

    np.testing.assert_allclose(moves.rise_share, share(1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moves.fall_share, share(-1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moves.balance, share(1) - share(-1), rtol=1e-9, atol=1e-9)


def test_the_chain_of_merges_covers_every_window_once() -> None:
    def merge(new: Column, old: Column, rows: int, out: Column) -> None:
        np.copyto(out, new + old * 2.0**rows)

    ones = np.ones((1, 70, 1))
    for window, state in op.over_windows(ones, merge).items():
        assert state[0, -1, 0] == 2.0**window - 1  # a bit for each age, none twice
        assert state[0, 2, 0] == 2.0**3 - 1


def test_lanes_do_not_touch_each_other() -> None:
    x = np.random.default_rng(1).normal(size=(100, 3))
    together, alone = op.highest(x), op.highest(x[:, 1:2])
    for window in op.WINDOWS:
        assert_equal(together[window].position[:, 1:2], alone[window].position)


@pytest.mark.parametrize("rows", [1, 4, 60, 61])
def test_lengths_grow_until_the_window_is_full(rows: int) -> None:
    found = op.lengths(rows)
    assert found[5][:, 0].tolist() == [min(at + 1.0, 5.0) for at in range(rows)]
    assert found[60][-1, 0] == min(rows, 60)


def counts(x: Column) -> dict[int, Column]:
    return {window: by_hand(x, window, lambda rows: len(valid(rows))) for window in op.WINDOWS}
