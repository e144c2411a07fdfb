"""Adjustment against what vendors published themselves, on real prices."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.core.market.announcements import compare
from trading_pipeline.core.market.corporate_actions import Convention, adjust, infer, on_sessions
from trading_pipeline.core.market.quality import QualityRules, gate

FIRST, LAST = date(2000, 1, 3), date(2013, 3, 1)
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
LOST_DIVIDEND = date(2001, 9, 12)


@pytest.fixture(scope="module")
def sample() -> SampleData:
    return SampleData()


@pytest.fixture(scope="module")
def wiki(shared_data: Path) -> pl.DataFrame:
    """Nine names of Quandl WIKI, without a dividend that the vendor announced and then lost."""
    rows = pl.read_parquet(shared_data / "wiki_sample.parquet").rename({"date": "session"})
    return rows.filter(~((pl.col("symbol") == "KO") & (pl.col("session") == LOST_DIVIDEND)))


def _announced(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter((pl.col("ex_dividend") != 0) | (pl.col("split_ratio") != 1)).select(
        "symbol", "split_ratio", ex_date="session", dividend="ex_dividend"
    )


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_announced_actions_give_the_vendors_adjusted_columns(
    wiki: pl.DataFrame, column: str
) -> None:
    raw = wiki.select("symbol", "session", "open", "high", "low", "close", "volume")
    ours = adjust(raw, _announced(wiki), convention="crsp")[column]
    theirs = wiki[f"adj_{column}"]
    assert ((ours - theirs).abs() <= 1e-11 * theirs).all()


def test_the_other_convention_misses_the_vendors_adjusted_close(wiki: pl.DataFrame) -> None:
    raw = wiki.select("symbol", "session", "close", "volume")
    ours = adjust(raw, _announced(wiki), convention="yahoo")["close"]
    assert ((ours / wiki["adj_close"] - 1).abs().max() or 0) > 1e-4


def test_inferred_actions_are_the_announced_ones(wiki: pl.DataFrame) -> None:
    found = (
        infer(wiki)
        .group_by("symbol", "ex_date")
        .agg(pl.col("split_ratio").product(), pl.col("dividend").sum())
    )
    pairs = _announced(wiki).join(found, on=["symbol", "ex_date"], how="full", suffix="_found")
    assert pairs.height == found.height
    for name in ("split_ratio", "dividend"):
        assert (pairs[name] - pairs[f"{name}_found"]).abs().max() == pytest.approx(0, abs=1e-6)


def _miss(rows: pl.DataFrame, convention: Convention) -> pl.DataFrame:
    """By symbol, how far our adjusted close is from the vendor's, both 1 at the last bar."""
    actions = infer(rows, convention=convention)
    done = adjust(rows, actions, convention=convention).sort("symbol", "session")
    level = (pl.col("adj_close") / pl.col("close")).last().over("symbol")
    miss = (pl.col("close") * level / pl.col("adj_close") - 1).abs()
    return done.group_by("symbol").agg(miss.max().alias("miss"))


def test_fifty_large_companies_agree_with_the_yahoo_adjusted_close(shared_data: Path) -> None:
    rows = pl.read_parquet(shared_data / "kdd17_raw_2007_2016.parquet").rename({"date": "session"})
    missed = _miss(rows, "yahoo")
    assert missed.height == 50
    assert (missed["miss"] < 1e-6).all()


def test_the_sample_agrees_with_its_adjusted_close(sample: SampleData) -> None:
    missed = _miss(sample._bars, "crsp")
    assert missed.height == 5
    assert (missed["miss"] < 1e-12).all()


def test_the_sample_holds_three_splits_and_92_dividends(sample: SampleData) -> None:
    actions = sample.corporate_actions(SYMBOLS, FIRST, LAST)
    assert actions.group_by("kind").len().sort("kind").rows() == [("dividend", 92), ("split", 3)]
    splits = actions.filter(kind="split").select("symbol", "ex_date", "split_ratio").rows()
    assert splits == [
        ("AAPL", date(2000, 6, 21), 2.0),
        ("AAPL", date(2005, 2, 28), 2.0),
        ("MSFT", date(2003, 2, 18), 2.0),
    ]


def test_a_true_crash_is_suspect_on_its_day_and_confirmed_by_the_next(sample: SampleData) -> None:
    """C-ETL-5: AAPL fell 52 % on 2000-09-29, and stayed there."""
    bars = sample.bars(SYMBOLS, FIRST, LAST)
    actions = sample.corporate_actions(SYMBOLS, FIRST, LAST)
    gated = gate(bars, actions, QualityRules(), convention="crsp")
    found = gated.suspects.select("symbol", "session", "reason", "verdict", "decided_in").rows()
    crash, after = date(2000, 9, 29), date(2000, 10, 2)
    assert found == [("AAPL", crash, "suspect_move_0.52", "confirmed", after)]
    assert gated.clean.height == bars.height


def test_no_announced_action_of_the_sample_is_doubted(sample: SampleData) -> None:
    actions = on_sessions(sample.corporate_actions(SYMBOLS, FIRST, LAST))
    checks = compare(sample.bars(SYMBOLS, FIRST, LAST), actions)
    assert set(checks.filter(kind="split")["verdict"]) == {"agrees"}
    assert set(checks.filter(kind="dividend")["verdict"]) == {"unverified"}


def test_without_its_actions_the_sample_shows_each_split_as_suspect(sample: SampleData) -> None:
    bars = sample.bars(SYMBOLS, FIRST, LAST)
    none = sample.corporate_actions(SYMBOLS, FIRST, LAST).clear()
    suspects = gate(bars, none, QualityRules(), convention="crsp").suspects
    assert suspects["reason"].to_list() == [
        f"suspect_move_{m}" for m in ("0.45", "0.52", "0.48", "0.50")
    ]
    assert set(suspects["verdict"]) == {"confirmed"}


def test_a_row_of_a_closed_market_is_set_aside_and_its_dividend_still_counts(
    shared_data: Path,
) -> None:
    """KO, 2001-09-12: prices missing, a dividend of 0.18 that the vendor itself then lost."""
    rows = pl.read_parquet(shared_data / "wiki_sample.parquet").filter(
        (pl.col("symbol") == "KO")
        & (pl.col("date").is_between(date(2001, 9, 4), date(2001, 9, 28)))
    )
    bars = rows.select(
        "symbol", "open", "high", "low", "close", "volume", session="date", vwap=pl.lit(None)
    )
    paid = pl.DataFrame({"symbol": ["KO"], "ex_date": [LOST_DIVIDEND], "split_ratio": [1.0]})
    actions = paid.with_columns(dividend=pl.lit(0.18))
    gated = gate(bars, actions, QualityRules(), convention="crsp")
    assert gated.quarantined["reason"].to_list() == ["missing_value; not_a_session"]
    adjusted = adjust(gated.clean, actions, convention="crsp")
    factor = adjusted.filter(pl.col("session") == date(2001, 9, 10))["price_factor"].item()
    assert factor == pytest.approx(50.2 / 50.38, rel=1e-12)
