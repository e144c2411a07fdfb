"""Helpers over prices: adjusted, and right at the first row of a range."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.catalog import ADJUSTED_BARS, Catalog
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.corporate_actions import adjust, on_sessions
from trading_pipeline.errors import SettingsError
from trading_pipeline_tests.factories import (
    actions_of,
    dividend,
    random_bars,
    raw_actions,
    sessions_from,
    split,
)

SESSIONS = sessions_from(count=30)
SYMBOLS = ["AAPL", "IBM"]
WALK = random_bars(SYMBOLS, SESSIONS)
IS_AFTER = (pl.col("symbol") == "AAPL") & (pl.col("session") >= SESSIONS[15])
PRICES = pl.col("open", "high", "low", "close", "vwap")
SPLIT = WALK.with_columns(pl.when(IS_AFTER).then(PRICES / 2).otherwise(PRICES).name.keep())
GAP = (pl.col("symbol") == "IBM") & (pl.col("session") == SESSIONS[9])
BARS = SPLIT.filter(~GAP)
ACTIONS = actions_of(split("AAPL", SESSIONS[15], 2.0), dividend("IBM", SESSIONS[20], 1.5))
ADJUSTED = adjust(BARS, ACTIONS, convention="crsp")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.write("clean_bars", BARS, SESSIONS)
    lake.write("corporate_actions", raw_actions(ACTIONS), SESSIONS)
    with Catalog(lake.root) as opened:
        yield opened


def of(frame: pl.DataFrame, symbol: str) -> pl.DataFrame:
    return frame.filter(pl.col("symbol") == symbol)


def test_a_return_is_over_the_adjusted_close_of_the_bar_before(catalog: Catalog) -> None:
    found = catalog.daily_returns(SYMBOLS)

    expected = ADJUSTED.sort("symbol", "session").select(
        "symbol",
        "session",
        "close",
        (pl.col("close") / pl.col("close").shift().over("symbol") - 1).alias("daily_return"),
    )
    assert_frame_equal(found.sort("symbol", "session"), expected, rel_tol=1e-12)
    on_split = of(found, "AAPL").filter(pl.col("session") == SESSIONS[15])["daily_return"].item()
    assert abs(on_split) < 0.1, "a split is no loss"


@pytest.mark.parametrize("first", [SESSIONS[1], SESSIONS[10], SESSIONS[29], date(2012, 1, 7)])
def test_a_range_has_the_rows_of_the_whole(catalog: Catalog, first: date) -> None:
    for ask in (
        lambda **days: catalog.daily_returns(SYMBOLS, **days),
        lambda **days: catalog.moving_average(SYMBOLS, 5, **days),
        lambda **days: catalog.side_by_side(SYMBOLS, "daily_return", **days),
        lambda **days: catalog.adjusted_bars(SYMBOLS, **days),
    ):
        whole, part = ask(), ask(first=first)
        assert_frame_equal(part, whole.filter(pl.col("session") >= first))
        assert part.height


def test_the_bar_before_a_gap_is_the_one_before(catalog: Catalog) -> None:
    (row,) = catalog.daily_returns(["IBM"], first=SESSIONS[10], last=SESSIONS[10]).rows(named=True)
    closes = of(BARS, "IBM").filter(pl.col("session") <= SESSIONS[10])["close"].to_list()

    assert row["daily_return"] == pytest.approx(closes[-1] / closes[-2] - 1, rel=1e-12)


def test_a_moving_average_is_null_until_its_window_is_full(catalog: Catalog) -> None:
    found = catalog.moving_average(SYMBOLS, 5)

    for symbol in SYMBOLS:
        own = of(found, symbol)
        expected = of(ADJUSTED, symbol)["close"].rolling_mean(5).alias("moving_average")
        assert_frame_equal(own["moving_average"].to_frame(), expected.to_frame(), rel_tol=1e-12)
        assert own["moving_average"].null_count() == 4
    assert catalog.moving_average(SYMBOLS, 31)["moving_average"].null_count() == BARS.height
    one = catalog.moving_average(SYMBOLS, 1)
    assert_frame_equal(one.select(moving_average="close"), one.select("moving_average"))


@pytest.mark.parametrize("window", [0, -1, 2521, 2.5, True, "5", None])
def test_a_window_that_is_none_is_refused(catalog: Catalog, window: object) -> None:
    with pytest.raises(SettingsError, match="window"):
        catalog.moving_average(SYMBOLS, window)  # pyright: ignore[reportArgumentType]


def test_symbols_stand_side_by_side_with_their_look_back(catalog: Catalog) -> None:
    found = catalog.side_by_side(["IBM", "AAPL", "NONE"], "daily_return", first=SESSIONS[9])

    assert found.columns == ["session", "IBM", "AAPL", "NONE"]
    assert found["session"].to_list() == SESSIONS[9:]
    assert found["IBM"].null_count() == 1  # the gap; its first return is there
    assert found["AAPL"].null_count() == 0
    assert found["NONE"].null_count() == found.height
    close = catalog.side_by_side(["AAPL", "IBM"])
    assert close["AAPL"].to_list() == of(ADJUSTED, "AAPL")["close"].to_list()


@pytest.mark.parametrize("symbols", ["AAPL", [], ()])
def test_symbols_are_a_list(catalog: Catalog, symbols: object) -> None:
    with pytest.raises(SettingsError, match="list of symbols"):
        catalog.daily_returns(symbols)  # pyright: ignore[reportArgumentType]


def test_a_measure_that_is_none_is_refused(catalog: Catalog) -> None:
    with pytest.raises(SettingsError, match="no measure"):
        catalog.side_by_side(SYMBOLS, "close; DROP TABLE x")  # pyright: ignore[reportArgumentType]


def test_bars_as_of_a_day_know_nothing_of_later_actions(catalog: Catalog) -> None:
    before = catalog.adjusted_bars(["AAPL"], last=SESSIONS[14])

    assert before["close"].to_list() == of(BARS, "AAPL")["close"].to_list()[:15]
    assert set(before["price_factor"]) == {1.0}


def test_adjusted_bars_are_a_table_of_sql_too(catalog: Catalog) -> None:
    found = catalog.query(f"SELECT * FROM {ADJUSTED_BARS} ORDER BY session, symbol")

    assert_frame_equal(found, ADJUSTED.sort("session", "symbol"), rel_tol=1e-12)


def test_adjusted_bars_follow_the_lake(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("clean_bars", BARS, SESSIONS)
    asked = f"SELECT close FROM {ADJUSTED_BARS} WHERE symbol = 'AAPL' ORDER BY session LIMIT 1"
    with Catalog(lake.root) as catalog:
        raw_close = catalog.query(asked).item()
        lake.write("corporate_actions", raw_actions(ACTIONS), SESSIONS)

        assert catalog.query(asked).item() == pytest.approx(raw_close / 2)


def test_an_action_that_the_price_contradicts_adjusts_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("clean_bars", BARS, SESSIONS)
    lake.write("corporate_actions", raw_actions(ACTIONS), SESSIONS)
    told = on_sessions(ACTIONS)
    refuted = told.select("symbol", "session", "ex_date", "kind").with_columns(
        announced=2.0, moved=1.0, verdict=pl.lit("contradicted")
    )
    with Catalog(lake.root) as catalog:
        lake.write("action_checks", refuted, SESSIONS)
        assert catalog.adjusted_bars(["AAPL"])["close"].equals(of(BARS, "AAPL")["close"])
