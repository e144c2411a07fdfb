from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trading_pipeline.core.features.alpha158 import (
    LOOK_BACK,
    NAMES,
    VERSION,
    alpha158,
    compute,
    of_session,
)
from trading_pipeline.core.features.panel import fill
from trading_pipeline_tests.factories import bars_of, random_bars, sessions_from

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
BARS = pl.read_parquet(GOLDEN / "alpha158_bars.parquet")
AXIS = BARS["session"].unique().sort().to_list()
FULL = alpha158(BARS, sessions=AXIS)


def mismatches(found: pl.DataFrame, expected: pl.DataFrame) -> dict[str, int]:
    """Cells by column that differ in null, or by more than 1e-6 relative and 1e-9 absolute."""
    counts: dict[str, int] = {}
    for name in NAMES:
        ours = found[name].cast(pl.Float64).to_numpy()
        theirs = expected[name].cast(pl.Float64).to_numpy()
        apart = np.abs(ours - theirs)
        wrong = np.isnan(ours) != np.isnan(theirs)
        wrong |= (apart > 1e-9) & (apart > 1e-6 * np.abs(theirs))
        if wrong.any():
            counts[name] = int(wrong.sum())
    return counts


def assert_same_bits(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert_frame_equal(found, expected, check_exact=True)


def rows_of(features: pl.DataFrame, *symbols: str) -> pl.DataFrame:
    return features.filter(pl.col("symbol").is_in(symbols))


def test_every_value_equals_the_stored_reference() -> None:
    golden = pl.read_parquet(GOLDEN / "alpha158_features.parquet")
    found = golden.select("symbol", "session").join(
        FULL, on=["symbol", "session"], how="left", maintain_order="left"
    )
    assert golden.columns == ["symbol", "session", *NAMES]
    assert found["feature_version"].null_count() == 0
    assert mismatches(found, golden) == {}


def test_every_value_of_the_whole_reference_panel_equals_it(shared_data: Path) -> None:
    folder = shared_data.parent / "spec" / "alpha158"
    if not folder.is_dir():
        pytest.skip("the whole reference panel is not next to this repository")
    session = pl.col("date").cast(pl.Date).alias("session")
    bars = pl.read_parquet(folder / "panel_20x600.parquet").with_columns(session)
    exact = pl.read_parquet(folder / "alpha158_exact_f64.parquet").with_columns(session)
    found = alpha158(bars, sessions=bars["session"].unique().sort().to_list())
    exact = exact.sort("symbol", "session")
    assert exact.height == 11_730
    assert tuple(exact.columns[2:-1]) == NAMES
    assert_frame_equal(found.select("symbol", "session"), exact.select("symbol", "session"))
    assert mismatches(found, exact) == {}


def test_a_wrong_value_is_a_mismatch() -> None:
    off = FULL.with_columns(pl.col("KMID") * 1.00001, RANK5=pl.lit(None, pl.Float32))
    assert set(mismatches(off, FULL)) == {"KMID", "RANK5"}


def test_there_are_158_names_and_each_window_feature_has_five() -> None:
    assert len(set(NAMES)) == len(NAMES) == 158
    assert NAMES[:3] == ("KMID", "KLEN", "KMID2")
    assert NAMES[9:18] == (
        *("OPEN0", "HIGH0", "LOW0", "VWAP0"),
        *("ROC5", "ROC10", "ROC20", "ROC30", "ROC60"),
    )
    assert NAMES[-1] == "VSUMD60"


def test_features_are_float32_without_nan_and_carry_their_version() -> None:
    assert FULL.columns == ["symbol", "session", "feature_version", *NAMES]
    values = FULL.select(NAMES)
    assert set(values.dtypes) == {pl.Float32}
    assert not values.select(pl.any_horizontal(pl.all().is_nan().any())).item()
    assert FULL["feature_version"].unique().to_list() == [VERSION]
    keys = FULL.select("session", "symbol")
    assert keys.equals(keys.sort("symbol", "session"))


@settings(max_examples=12)
@given(st.integers(1, len(AXIS)))
def test_no_feature_changes_when_later_sessions_arrive(known: int) -> None:
    past = BARS.filter(pl.col("session") <= AXIS[known - 1])
    found = alpha158(past, sessions=AXIS)
    assert_same_bits(found, FULL.join(found, on=["symbol", "session"], how="semi"))
    assert found.height >= past.height


@settings(max_examples=12)
@given(st.sets(st.sampled_from(sorted(BARS["symbol"].unique())), min_size=1))
def test_a_symbol_has_the_same_features_whatever_others_are_computed_with_it(
    symbols: set[str],
) -> None:
    assert_same_bits(alpha158(rows_of(BARS, *symbols), sessions=AXIS), rows_of(FULL, *symbols))


@settings(max_examples=12)
@given(st.integers(1, 40_000))
def test_the_size_of_the_blocks_does_not_change_a_bit(cells: int) -> None:
    assert_same_bits(compute(fill(BARS, sessions=AXIS), cells=cells), FULL)


@settings(max_examples=12)
@given(st.integers(0, len(AXIS) - 1))
def test_one_session_equals_its_rows_of_the_full_history(place: int) -> None:
    expected = FULL.filter(pl.col("session") == AXIS[place])
    assert_same_bits(of_session(BARS, AXIS[place], sessions=AXIS), expected)


@settings(max_examples=12)
@given(st.integers(LOOK_BACK, len(AXIS) - 1))
def test_the_look_back_is_all_that_a_session_needs(place: int) -> None:
    window = AXIS[place - LOOK_BACK : place + 1]
    filled = fill(BARS, sessions=AXIS).filter(pl.col("session").is_in(window))
    expected = FULL.filter(pl.col("session") == window[-1])
    assert_same_bits(
        alpha158(filled, sessions=AXIS).filter(pl.col("session") == window[-1]), expected
    )
    assert_same_bits(of_session(filled, window[-1], sessions=AXIS), expected)


def test_a_shorter_look_back_would_not_do() -> None:
    window = AXIS[-LOOK_BACK:]
    found = of_session(BARS.filter(pl.col("session").is_in(window)), window[-1], sessions=AXIS)
    expected = FULL.filter(pl.col("session") == window[-1])
    assert not found.select("ROC60").equals(expected.select("ROC60"))


def test_the_order_of_bars_and_other_columns_do_not_matter() -> None:
    mixed = BARS.sample(fraction=1, shuffle=True, seed=3).with_columns(price_factor=pl.lit(2.0))
    assert_same_bits(alpha158(mixed, sessions=AXIS), FULL)


def test_by_default_the_axis_is_that_of_the_exchange() -> None:
    bars = random_bars(["AAA"], sessions_from(date(2012, 6, 25), 10))
    without_july_3 = bars.filter(pl.col("session") != date(2012, 7, 3))
    found = alpha158(without_july_3)
    assert found["session"].to_list() == bars["session"].to_list()  # July 4 is not there
    empty = found.row(by_predicate=pl.col("session") == date(2012, 7, 3), named=True)
    assert empty["KMID"] is empty["RANK5"] is empty["MA5"] is None
    assert (
        empty["BETA5"] is None
    )  # the slope of the window is known, but not the close to divide by
    assert empty["RSQR5"] is not None
    assert empty["CNTP5"] is not None


def test_a_feature_that_needs_vwap_is_null_without_it_and_no_other_is() -> None:
    bars = random_bars(["AAA"], sessions_from(count=61))
    blind = of_session(bars.with_columns(vwap=pl.lit(None, pl.Float64)), bars["session"][-1])
    nulls = [name for name in NAMES if blind[name][0] is None]
    assert nulls == ["VWAP0"]
    seeing = of_session(bars, bars["session"][-1])
    assert_same_bits(blind.drop("VWAP0"), seeing.drop("VWAP0"))


def test_a_price_that_stands_still_has_no_spread_line_or_correlation() -> None:
    last = alpha158(bars_of({"AAA": [10.1] * 70})).row(-1, named=True)
    for window in (5, 10, 20, 30, 60):
        assert last[f"STD{window}"] == last[f"BETA{window}"] == last[f"WVMA{window}"] == 0
        assert last[f"RESI{window}"] == 0
        assert last[f"RSQR{window}"] is last[f"CORR{window}"] is last[f"CORD{window}"] is None
        assert last[f"IMAX{window}"] == last[f"IMIN{window}"] == pytest.approx(1 / window)


def test_a_first_bar_has_what_one_row_can_tell() -> None:
    first = alpha158(bars_of({"AAA": [10.0, 11.0]})).row(0, named=True)
    assert first["MA60"] == first["RANK60"] == first["MAX60"] == 1
    assert first["CNTP60"] == 0
    assert first["IMAX60"] == pytest.approx(1 / 60)
    unknown = ("STD60", "BETA60", "RSQR60", "ROC5", "SUMP60", "VSUMD60", "CORR60", "WVMA60")
    assert [name for name in unknown if first[name] is not None] == []


def test_a_rising_price_is_seen_as_one() -> None:
    closes = [100.0 + day for day in range(70)]
    last = alpha158(bars_of({"AAA": closes})).row(-1, named=True)
    assert last["BETA20"] == pytest.approx(1 / 169)
    assert last["RSQR20"] == pytest.approx(1)
    assert last["RANK20"] == last["CNTP20"] == last["SUMD20"] == last["IMAX20"] == 1
    assert last["RSV20"] == pytest.approx(1)
    assert last["ROC20"] == pytest.approx(149 / 169)
    assert last["QTLU5"] == pytest.approx(168.2 / 169)


def test_an_infinite_price_is_a_missing_one() -> None:
    missing = bars_of({"AAA": [10.0, 11.0, 12.0, 11.0]})
    last = pl.col("session") == pl.col("session").max()
    infinite = missing.with_columns(pl.when(last).then(np.inf).otherwise("open").alias("open"))
    null = missing.with_columns(pl.when(~last).then("open").alias("open"))
    assert_same_bits(alpha158(infinite), alpha158(null))


def test_no_bars_have_no_features() -> None:
    none = alpha158(BARS.clear())
    assert none.schema == FULL.schema
    assert none.is_empty()
    assert of_session(BARS.clear(), AXIS[0]).is_empty()


def test_a_session_without_bars_has_no_rows() -> None:
    assert of_session(BARS, AXIS[-1] + timedelta(days=30), sessions=AXIS).is_empty()
