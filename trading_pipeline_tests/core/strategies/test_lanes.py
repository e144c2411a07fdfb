"""Bars side by side and back."""

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.strategies.lanes import lay
from trading_pipeline.errors import SchemaError
from trading_pipeline_tests.factories import bars_of, sessions_from


def test_lanes_begin_at_row_0_whenever_their_first_bar_is() -> None:
    lanes = lay(bars_of({"A": [1.0, 2.0, 3.0], "B": [None, 5.0, 6.0]}))
    assert np.array_equal(lanes.close, [[1, 5], [2, 6], [3, np.nan]], equal_nan=True)


def test_a_frame_has_a_row_for_every_bar_and_null_for_what_is_unknown() -> None:
    bars = bars_of({"B": [5.0, 6.0], "A": [1.0, None, 3.0]})
    lanes = lay(bars)
    frame = lanes.frame({"twice": lanes.close * 2})
    assert frame.select("symbol", "session").equals(bars.select("symbol", "session"))
    assert frame["twice"].to_list() == [2.0, 10.0, 12.0, 6.0]
    unknown = lanes.frame({"x": np.full_like(lanes.close, np.nan)})
    assert unknown["x"].null_count() == 4


def test_a_bar_without_prices_is_no_bar() -> None:
    bars = bars_of({"A": [1.0, 2.0, 3.0]})
    gap = pl.when(pl.col("close") == 2).then(None).otherwise(pl.col("close"))
    assert lay(bars.with_columns(close=gap)).close[:, 0].tolist() == [1.0, 3.0]


def test_two_bars_of_a_symbol_in_a_session_are_refused() -> None:
    bars = bars_of({"A": [1.0, 2.0]})
    with pytest.raises(SchemaError, match=f"A has several bars in {sessions_from()[0]}"):
        lay(pl.concat([bars, bars]))


def test_no_bars_are_no_lanes() -> None:
    lanes = lay(bars_of({"A": [1.0]}).clear())
    assert lanes.close.shape == (0, 0)
    assert lanes.scores(lanes.close).is_empty()


def test_an_indicator_is_made_once_and_old_ones_are_let_go() -> None:
    lanes, made = lay(bars_of({"A": [1.0, 2.0, 3.0]})), list[int]()

    def indicator(close: np.ndarray, *, rows: int) -> np.ndarray:
        made.append(rows)
        return close * rows

    first = lanes.of(indicator, "close", rows=2)
    assert lanes.of(indicator, "close", rows=2) is first
    assert made == [2]
    for rows in range(3, 50):
        lanes.of(indicator, "close", rows=rows)
    assert lanes.of(indicator, "close", rows=2).tolist() == first.tolist()
    assert made == [2, *range(3, 50), 2]
