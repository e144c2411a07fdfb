"""One contract for every vendor of bars and corporate actions, and what is particular to each."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.alpaca_data import AlpacaData, DataAccess
from trading_pipeline.adapters.file_data import FileData
from trading_pipeline.adapters.sample_data import CONVENTION, SampleData
from trading_pipeline.core.market.action_kinds import ACTIONS, SHARES, completed
from trading_pipeline.core.market.calendar import is_session
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.flows.ports import MarketData
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin
from trading_pipeline_tests.factories import (
    BARS,
    PRICES,
    bars_of,
    random_bars,
    sessions_from,
)

KDD17 = """
convention = "yahoo"
volume_is_adjusted = true

[columns]
session = "date"
adj_close = "adj_close"
"""
PER_SYMBOL = """
date_format = "%m/%d/%Y"

[columns]
session = "Date"
close = "Last"

[constants]
symbol = "{stem}"

[actions]
file = "actions.csv"

[actions.columns]
ex_date = "Ex Date"
"""
MADE = random_bars(("AAA", "BBB", "BRK.B"), sessions_from(count=40))
MADE_ACTIONS = completed(
    pl.DataFrame(
        {
            "symbol": ["AAA", "BBB", "BBB", "AAA"],
            "ex_date": [date(2012, 1, 20), date(2012, 1, 20), date(2012, 2, 11), date(2012, 2, 2)],
            "kind": ["dividend", "split", "dividend", "split"],
            "split_ratio": [1.0, 2.0, 1.0, 0.25],
            "dividend": [0.5, 0.0, 0.125, 0.0],
        }
    )
).sort("ex_date", "symbol")


def written(folder: Path, mapping: str) -> Path:
    path = folder / "mapping.toml"
    path.write_text(mapping)
    return path


def csv_per_symbol(folder: Path) -> FileData:
    """A folder of one CSV a symbol, dates in American form, and a list of actions beside them."""
    theirs = MADE.with_columns(pl.col("session").dt.strftime("%m/%d/%Y"))
    for (symbol,), rows in theirs.partition_by("symbol", as_dict=True, include_key=False).items():
        rows.rename({"session": "Date", "close": "Last"}).drop("vwap").write_csv(
            folder / f"{str(symbol).replace('.', '-').lower()}.csv"
        )
    MADE_ACTIONS.drop("kind").with_columns(pl.col("ex_date").dt.strftime("%m/%d/%Y")).rename(
        {"ex_date": "Ex Date"}
    ).write_csv(folder / "actions.csv")
    return FileData(folder, written(folder, PER_SYMBOL))


def parquet(folder: Path) -> FileData:
    MADE.rename({"session": "date"}).sample(fraction=1, shuffle=True, seed=1).write_parquet(
        folder / "bars.parquet"
    )
    return FileData(folder / "bars.parquet")


def compressed_csv(folder: Path) -> FileData:
    MADE.rename({"session": "date"}).write_csv(folder / "bars.csv.gz", compression="gzip")
    return FileData(folder)


def alpaca_vendor(twin: AlpacaTwin, folder: Path, **access: Any) -> AlpacaData:
    """Alpaca's vendor with a twin that has the made bars and actions."""
    twin.market.add_bars(MADE)
    for row in MADE_ACTIONS.iter_rows(named=True):
        kind = KINDS_OF_ALPACA[row["kind"]]
        rates = {"new_rate": row["split_ratio"], "old_rate": 1, "rate": row["dividend"]}
        told = {"symbol": row["symbol"], "ex_date": str(row["ex_date"]), "special": False}
        twin.market.actions[kind].append(told | rates)
    return AlpacaData(
        DataAccess(url=twin.url, **access),
        (KEY, SECRET),
        spool=folder / "spool",
        clock=lambda: datetime.now(UTC),
        sleep=lambda _: None,
    )


KINDS_OF_ALPACA = {
    "split": "forward_splits",
    "reverse_split": "reverse_splits",
    "dividend": "cash_dividends",
}
MAKERS: dict[str, Callable[[Path], MarketData]] = {
    "sample": lambda _: SampleData(),
    "csv per symbol": csv_per_symbol,
    "parquet": parquet,
    "csv.gz": compressed_csv,
}


@pytest.fixture(params=[*MAKERS, "alpaca", "kdd17"])
def vendor(request: pytest.FixtureRequest, tmp_path: Path) -> MarketData:
    if request.param == "alpaca":
        slices = {"symbols_per_request": 2, "sessions_per_request": 15}
        return alpaca_vendor(request.getfixturevalue("alpaca"), tmp_path, **slices)
    if request.param == "kdd17":
        path = request.getfixturevalue("shared_data") / "kdd17_raw_2007_2016.parquet"
        return FileData(path, written(tmp_path, KDD17))
    return MAKERS[request.param](tmp_path)


def last_of(vendor: MarketData) -> date:
    """The newest session; what was made where the vendor delivers up to the present."""
    return vendor.last_session() or MADE["session"].max()


def symbols_of(vendor: MarketData) -> list[str]:
    """Every symbol; those made where the vendor cannot list them."""
    symbols = vendor.symbols()
    return sorted(MADE["symbol"].unique() if symbols is None else symbols)


def test_bars_have_the_promised_columns_and_order(vendor: MarketData) -> None:
    last = last_of(vendor)
    bars = vendor.bars(symbols_of(vendor), last - timedelta(days=30), last)
    assert dict(bars.schema) == BARS
    assert_frame_equal(bars, bars.sort("session", "symbol"))
    assert bars.null_count().drop("vwap").sum_horizontal().item() == 0
    assert bars.filter(~pl.all_horizontal(pl.col(PRICES) > 0)).is_empty()
    assert not bars.is_empty()


def test_a_range_includes_both_ends_and_nothing_else(vendor: MarketData) -> None:
    first, last = last_of(vendor) - timedelta(days=15), last_of(vendor) - timedelta(days=4)
    some = symbols_of(vendor)[1:3]
    longer = vendor.bars(symbols_of(vendor), date(1900, 1, 1), last_of(vendor))
    expected = longer.filter(
        pl.col("session").is_between(first, last), pl.col("symbol").is_in(some)
    )
    assert_frame_equal(vendor.bars(some, first, last), expected)


def test_the_last_session_is_the_newest_bars_and_a_session(vendor: MarketData) -> None:
    last = last_of(vendor)
    bars = vendor.bars(symbols_of(vendor), last - timedelta(days=9), date(2100, 1, 1))
    assert bars["session"].max() == last
    assert is_session(last)


def test_a_symbol_it_does_not_have_is_simply_absent(vendor: MarketData) -> None:
    last = last_of(vendor)
    known = symbols_of(vendor)[0]
    assert vendor.bars(["NO SUCH", known], last, last)["symbol"].to_list() == [known]
    assert vendor.bars(["NO SUCH"], last, last).schema == BARS
    assert vendor.corporate_actions(["NO SUCH"], date(1900, 1, 1), last).is_empty()
    assert "NO SUCH" not in symbols_of(vendor)


def test_an_empty_range_gives_the_columns_without_rows(vendor: MarketData) -> None:
    symbols = symbols_of(vendor)
    assert vendor.bars(symbols, date(1950, 1, 1), date(1950, 12, 31)).schema == BARS
    actions = vendor.corporate_actions(symbols, date(1950, 1, 1), date(1950, 12, 31))
    assert actions.is_empty()
    assert dict(actions.schema) == ACTIONS


def test_corporate_actions_have_the_promised_columns(vendor: MarketData) -> None:
    actions = vendor.corporate_actions(symbols_of(vendor), date(1900, 1, 1), last_of(vendor))
    assert dict(actions.schema) == ACTIONS
    assert actions.drop("new_symbol", "new_shares").null_count().sum_horizontal().item() == 0
    splits, dividends = (
        actions.filter(pl.col("kind").is_in(SHARES)),
        actions.filter(kind="dividend"),
    )
    assert len(splits) + len(dividends) == len(actions)
    assert splits.filter((pl.col("dividend") != 0) | (pl.col("split_ratio") == 1)).is_empty()
    assert dividends.filter((pl.col("dividend") <= 0) | (pl.col("split_ratio") != 1)).is_empty()


def test_actions_of_a_range_are_those_with_an_ex_date_in_it(vendor: MarketData) -> None:
    symbols, last = symbols_of(vendor), last_of(vendor)
    every = vendor.corporate_actions(symbols, date(1900, 1, 1), last)
    for day in every["ex_date"].unique().sort().to_list()[-3:]:
        assert_frame_equal(
            vendor.corporate_actions(symbols, day, day), every.filter(pl.col("ex_date") == day)
        )


def test_asking_twice_gives_the_same(vendor: MarketData) -> None:
    last = last_of(vendor)
    symbols = symbols_of(vendor)
    assert_frame_equal(vendor.bars(symbols, last, last), vendor.bars(symbols, last, last))


def test_the_sample_has_five_symbols_and_its_known_actions() -> None:
    vendor = SampleData()
    assert vendor.symbols() == {"AAPL", "FB", "GOOG", "IBM", "MSFT"}
    assert vendor.last_session() == date(2013, 3, 1)
    actions = vendor.corporate_actions(symbols_of(vendor), date(2000, 1, 1), date(2013, 3, 1))
    splits = actions.filter(kind="split").sort("ex_date")
    assert splits.select("symbol", "ex_date", "split_ratio").rows() == [
        ("AAPL", date(2000, 6, 21), 2.0),
        ("MSFT", date(2003, 2, 18), 2.0),
        ("AAPL", date(2005, 2, 28), 2.0),
    ]
    assert len(actions.filter(kind="dividend")) == 92


def test_every_bar_of_the_sample_is_of_a_session() -> None:
    bars = SampleData().bars(["IBM"], date(2000, 1, 1), date(2013, 12, 31))
    assert len(bars) == 3_270
    assert all(is_session(session) for session in bars["session"])


def test_adjusting_the_sample_gives_its_published_adjusted_closes() -> None:
    vendor = SampleData()
    symbols = symbols_of(vendor)
    bars = vendor.bars(symbols, date(2000, 1, 1), date(2013, 3, 1))
    actions = vendor.corporate_actions(symbols, date(2000, 1, 1), date(2013, 3, 1))
    adjusted = adjust(bars, actions, convention=CONVENTION)
    published = vendor._bars.select("symbol", "session", "adj_close")
    both = adjusted.join(published, on=["symbol", "session"], validate="1:1")
    scale = pl.col("adj_close").last() / pl.col("close").last()
    error = (pl.col("close") * scale / pl.col("adj_close") - 1).abs().over("symbol")
    assert both.select(error.max()).item() < 1e-6


def test_files_give_back_what_was_put_in(tmp_path: Path) -> None:
    for maker in (parquet, compressed_csv):
        (tmp_path / maker.__name__).mkdir()
        got = maker(tmp_path / maker.__name__)
        assert_frame_equal(
            got.bars(["AAA", "BBB", "BRK.B"], date(2012, 1, 1), date(2012, 12, 31)), MADE
        )


def test_a_folder_of_a_csv_a_symbol_is_read_by_its_mapping(tmp_path: Path) -> None:
    vendor = csv_per_symbol(tmp_path)
    assert vendor.symbols() == {"AAA", "BBB", "BRK-B"}
    got = vendor.bars(["AAA", "BBB"], date(2012, 1, 1), date(2012, 12, 31))
    expected = MADE.filter(pl.col("symbol") != "BRK.B")
    assert_frame_equal(got.drop("vwap"), expected.drop("vwap"))
    assert got["vwap"].is_null().all()
    assert_frame_equal(
        vendor.corporate_actions(["AAA", "BBB"], date(2012, 1, 1), date(2012, 12, 31)), MADE_ACTIONS
    )


def test_volume_in_todays_shares_is_put_back_into_those_of_its_session(tmp_path: Path) -> None:
    bars = bars_of({"AAA": [100.0, 50.0, 25.0], "BBB": [10.0] * 3}, volume=80.0)
    bars.rename({"session": "date"}).write_csv(tmp_path / "bars.csv")
    days = bars["session"].unique().sort().to_list()
    (tmp_path / "actions.csv").write_text(
        f"symbol,ex_date,split_ratio\nAAA,{days[1]},2\nAAA,{days[2]},2\n"
    )
    mapping = 'volume_is_adjusted = true\n[actions]\nfile = "actions.csv"'
    vendor = FileData(tmp_path, written(tmp_path, mapping))
    assert vendor.bars(["AAA"], days[0], days[2])["volume"].to_list() == [20.0, 40.0, 80.0]
    assert vendor.bars(["BBB"], days[0], days[2])["volume"].to_list() == [80.0] * 3


def test_kdd17_volumes_agree_with_the_samples(shared_data: Path, tmp_path: Path) -> None:
    files = FileData(shared_data / "kdd17_raw_2007_2016.parquet", written(tmp_path, KDD17))
    span = (date(2010, 1, 1), date(2013, 3, 1))
    both = files.bars(["AAPL", "MSFT"], *span).join(
        SampleData().bars(["AAPL", "MSFT"], *span), on=["symbol", "session"], suffix="_sample"
    )
    ratio = both.select((pl.col("volume") / pl.col("volume_sample")).median().over("symbol"))
    assert len(both) > 1_500
    assert ratio["volume"].round(2).unique().to_list() == [1.0]
