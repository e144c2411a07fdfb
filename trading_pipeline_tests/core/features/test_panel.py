from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trading_pipeline.core.features.panel import FIELDS, blocks, fill, to_array
from trading_pipeline.errors import SchemaError
from trading_pipeline_tests.factories import bars_of, random_bars, sessions_from

SESSIONS = sessions_from(count=40)
BARS = random_bars(["BBB", "AAA"], SESSIONS)


@given(st.sets(st.integers(0, len(BARS) - 1), min_size=1))
def test_a_filled_frame_has_every_session_between_first_and_last_bar_and_every_bar(
    kept: set[int],
) -> None:
    bars = BARS[sorted(kept)]
    filled = fill(bars)
    for (symbol,), rows in filled.group_by("symbol"):
        own = bars.filter(pl.col("symbol") == symbol)["session"]
        expected = [session for session in SESSIONS if own.min() <= session <= own.max()]
        assert rows["session"].to_list() == expected
    assert_frame_equal(filled.filter(pl.col("close").is_not_null()), bars.sort("symbol", "session"))
    assert filled.filter(pl.col("close").is_null())["open"].null_count() == len(filled) - len(bars)
    assert_frame_equal(fill(filled), filled)


@settings(max_examples=20)
@given(st.permutations(range(len(BARS))), st.booleans())
def test_the_order_of_bars_does_not_matter(order: list[int], is_spoilt: bool) -> None:
    spoil = pl.when(pl.int_range(pl.len()) == 7).then(float("nan")).otherwise(pl.col("close"))
    bars = BARS.sort("symbol", "session").with_columns(
        close=spoil if is_spoilt else pl.col("close")
    )

    assert_frame_equal(fill(bars[order]), fill(bars))


def test_a_bar_of_nulls_is_a_row_and_so_moves_where_a_symbol_begins() -> None:
    late = bars_of({"AAA": [None, None, 10.0]})
    marker = pl.DataFrame({"symbol": ["AAA"], "session": [SESSIONS[0]]})
    filled = fill(pl.concat((late, marker), how="diagonal"))
    assert filled["session"].to_list() == SESSIONS[:3]
    assert filled["close"].to_list() == [None, None, 10.0]


def test_nan_and_infinite_fields_become_null_and_whole_numbers_become_float() -> None:
    bars = bars_of({"AAA": [1.0, 2.0, 3.0]}).with_columns(
        close=pl.Series([float("nan"), float("inf"), 3.0]), volume=pl.Series([1, 2, 3])
    )
    filled = fill(bars)
    assert filled["close"].to_list() == [None, None, 3.0]
    assert filled["volume"].dtype == pl.Float64


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 100))
def test_every_row_stands_in_one_block_once(lengths: list[int], cells: int) -> None:
    filled = fill(bars_of({f"S{at:02}": [1.0] * rows for at, rows in enumerate(lengths)}))
    layout = blocks(filled, cells)
    there = np.concatenate([rows[rows >= 0] for rows in layout])
    assert sorted(there.tolist()) == list(range(len(filled)))
    for rows in layout:
        lanes = rows.shape[1]
        assert lanes == 1 or rows.size <= cells
        for lane in rows.T:
            own = lane[lane >= 0]
            assert own.tolist() == list(range(own[0], own[0] + len(own)))
            assert filled["symbol"][own.tolist()].n_unique() == 1
            assert (lane[len(own) :] == -1).all()


def test_the_row_that_stands_for_none_reads_nan() -> None:
    values = to_array(fill(BARS))
    assert values.shape == (len(FIELDS), len(BARS) + 1)
    assert np.isnan(values[:, -1]).all()
    assert not np.isnan(values[:, :-1]).any()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda bars: bars.drop("vwap", "low"), "lack low, vwap"),
        (lambda bars: bars.cast({"session": pl.Datetime}), "Datetime"),
        (
            lambda bars: bars.with_columns(session=pl.lit(date(2012, 1, 7))),
            "2012-01-07, which is no session",
        ),
        (lambda bars: pl.concat((bars, bars[5:6])), "several bars on 2012-01-05"),
        (
            lambda bars: bars.with_columns(session=pl.lit(None, pl.Date)),
            "None, which is no session",
        ),
    ],
)
def test_bars_that_cannot_be_laid_out_are_refused(
    spoil: Callable[[pl.DataFrame], pl.DataFrame], sentence: str
) -> None:
    with pytest.raises(SchemaError, match=sentence):
        fill(spoil(BARS))
