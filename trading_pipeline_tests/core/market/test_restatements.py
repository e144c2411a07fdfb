"""Deliveries over time and what is known when."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.restatements import ACTIONS_KEY, current, merge
from trading_pipeline.errors import SchemaError, SettingsError
from trading_pipeline_tests.factories import (
    bars_of,
    dividend,
    raw,
    raw_actions,
    sessions_from,
    split,
)

MONDAY = datetime(2012, 3, 5, 22, 0, tzinfo=UTC)
DAYS = sessions_from(count=4)


def _delivery(closes: dict[str, list[float | None]], day: int = 0) -> pl.DataFrame:
    return raw(bars_of(closes), known_at=MONDAY + timedelta(days=day))


def test_the_first_delivery_is_kept_whole() -> None:
    first = _delivery({"A": [1.0, 2.0]})
    merged = merge(first.clear(), first)
    assert merged.frame.equals(first)
    assert merged.restated.is_empty()


def test_a_delivery_that_repeats_what_is_held_adds_nothing() -> None:
    first, second = _delivery({"A": [1.0, 2.0]}), _delivery({"A": [1.0, 2.0]}, day=1)
    merged = merge(first, second)
    assert merged.frame.equals(first)
    assert merged.restated.is_empty()


def test_a_restated_cell_is_told_with_its_old_and_new_value() -> None:
    first, second = _delivery({"A": [1.0, 2.0]}), _delivery({"A": [1.0, 2.5], "B": [7.0]}, day=1)
    second = second.with_columns(pl.when(symbol="B").then(None).otherwise("open").alias("open"))
    merged = merge(first, second)
    assert merged.frame.height == 4
    told = merged.restated.filter(column="close")
    assert told.rows() == [("A", DAYS[1], "close", 2.0, 2.5)]
    assert set(merged.restated["symbol"]) == {"A"}


def test_a_value_that_goes_missing_is_a_restatement() -> None:
    first = _delivery({"A": [1.0]})
    second = _delivery({"A": [1.0]}, day=1).with_columns(close=pl.lit(None, dtype=pl.Float64))
    assert merge(first, second).restated.rows() == [("A", DAYS[0], "close", 1.0, None)]


def test_reading_as_known_then_gives_what_was_known_then() -> None:
    held = merge(_delivery({"A": [1.0, 2.0]}), _delivery({"A": [1.0, 2.5]}, day=1)).frame
    assert current(held)["close"].to_list() == [1.0, 2.5]
    assert current(held, MONDAY)["close"].to_list() == [1.0, 2.0]
    assert current(held, MONDAY - timedelta(days=1)).is_empty()


def test_a_value_restated_back_is_a_delivery_of_its_own() -> None:
    held = _delivery({"A": [1.0]})
    for day, close in ((1, 2.0), (2, 1.0)):
        held = merge(held, _delivery({"A": [close]}, day=day)).frame
    assert held["close"].to_list() == [1.0, 2.0, 1.0]
    assert current(held)["close"].to_list() == [1.0]


def test_a_symbol_missing_from_a_later_delivery_stays() -> None:
    held = merge(_delivery({"A": [1.0], "B": [2.0]}), _delivery({"A": [1.5]}, day=1)).frame
    assert current(held).select("symbol", "close").rows() == [("A", 1.5), ("B", 2.0)]


def test_a_delivery_written_three_times_counts_once() -> None:
    once = _delivery({"A": [1.0, 2.0]})
    assert merge(once.clear(), pl.concat([once, once, once])).frame.equals(once)


def test_a_delivery_that_contradicts_itself_keeps_both_until_it_is_corrected() -> None:
    both = pl.concat([_delivery({"A": [1.0]}), _delivery({"A": [9.0]})])
    held = merge(both.clear(), both).frame
    assert sorted(current(held)["close"]) == [1.0, 9.0]
    again = merge(held, both.with_columns(pl.col("known_at") + timedelta(days=1)))
    assert again.frame.equals(held)
    corrected = merge(held, _delivery({"A": [1.0]}, day=2)).frame
    assert current(corrected)["close"].to_list() == [1.0]


def test_corporate_actions_are_told_apart_by_day_and_kind() -> None:
    paid, ratio = dividend("A", DAYS[1], 0.5), split("A", DAYS[1], 2.0)
    held = raw_actions(pl.concat([paid, ratio]), known_at=MONDAY)
    corrected = raw_actions(dividend("A", DAYS[1], 0.45), known_at=MONDAY + timedelta(days=1))
    merged = merge(held, corrected, key=ACTIONS_KEY)
    assert merged.restated.select("kind", "column", "old", "new").rows() == [
        ("dividend", "dividend", 0.5, 0.45)
    ]
    newest = current(merged.frame, key=ACTIONS_KEY)
    assert newest.select("kind", "split_ratio", "dividend").rows() == [
        ("dividend", 1.0, 0.45),
        ("split", 2.0, 0.0),
    ]


def test_a_naive_time_is_refused_and_a_missing_column_named() -> None:
    with pytest.raises(SettingsError, match="time zone"):
        current(_delivery({"A": [1.0]}), datetime(2012, 3, 5))
    with pytest.raises(SchemaError, match="known_at"):
        current(bars_of({"A": [1.0]}))


CELLS = st.lists(st.sampled_from([1.0, 2.0, None]), min_size=1, max_size=3)
DELIVERIES = st.lists(
    st.tuples(CELLS, st.integers(0, 4)), min_size=1, max_size=4, unique_by=lambda drawn: drawn[1]
).map(lambda drawn: [_delivery({"A": closes}, day=day) for closes, day in drawn])


@given(DELIVERIES)
def test_merging_a_delivery_again_changes_nothing(deliveries: list[pl.DataFrame]) -> None:
    held = deliveries[0].clear()
    for delivery in deliveries:
        once = merge(held, delivery)
        twice = merge(once.frame, delivery)
        assert twice.frame.equals(once.frame)
        assert twice.restated.is_empty()
        held = once.frame


@given(CELLS, st.permutations([0, 1, 2, 3]))
def test_identical_deliveries_leave_the_earliest_in_whatever_order(
    closes: list[float | None], order: list[int]
) -> None:
    held = _delivery({"A": closes}).clear()
    for day in order:
        held = merge(held, _delivery({"A": closes}, day=day)).frame
    assert held.equals(_delivery({"A": closes}))


@given(
    st.lists(st.sets(st.sampled_from("ABC"), min_size=1), min_size=2, max_size=4),
    st.randoms(use_true_random=False),
)
def test_deliveries_that_differ_leave_the_same_state_in_any_order(
    parts: list[set[str]], shuffled: Random
) -> None:
    deliveries = [
        _delivery({symbol: [float(day)] for symbol in sorted(part)}, day=day)
        for day, part in enumerate(parts, start=1)
    ]
    kept = list[pl.DataFrame]()
    for _ in range(2):
        held = deliveries[0].clear()
        for delivery in deliveries:
            held = merge(held, delivery).frame
        kept.append(held)
        shuffled.shuffle(deliveries)
    assert kept[0].equals(kept[1])


@given(DELIVERIES)
def test_more_is_known_later_and_nothing_is_forgotten(deliveries: list[pl.DataFrame]) -> None:
    held = deliveries[0].clear()
    for delivery in sorted(deliveries, key=lambda each: each["known_at"].to_list()):
        held = merge(held, delivery).frame
    moments = sorted(set(held["known_at"]))
    for earlier, later in pairwise(moments):
        then, after = current(held, earlier), current(held, later)
        assert set(then["session"]) <= set(after["session"])
        assert current(held.filter(pl.col("known_at") <= later), earlier).equals(then)


def test_real_restatements_between_two_deliveries_are_found(shared_data: Path) -> None:
    """AAPL as delivered in 2016 and in 2018: volumes and closes were restated."""
    rows = pl.read_parquet(shared_data / "wiki_aapl_older_vintages.parquet")
    names = ("open", "high", "low", "close", "volume")
    bars = rows.select("symbol", "vintage", *names, session="date", vwap=pl.lit(None, pl.Float64))
    first, second = (
        raw(bars.filter(vintage=vintage).drop("vintage"), known_at=MONDAY + timedelta(days=day))
        for day, vintage in enumerate(sorted(rows["vintage"].unique()))
    )
    merged = merge(first, second)
    later = second.join(first, on=["symbol", "session"])
    changed = {name: later.filter(pl.col(name) != pl.col(f"{name}_right")).height for name in names}
    told = dict(merged.restated.group_by("column").len().iter_rows())
    assert told == {name: count for name, count in changed.items() if count}
    assert current(merged.frame).height == max(second.height, first.height)
