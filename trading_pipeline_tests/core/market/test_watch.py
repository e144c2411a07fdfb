"""What is odd about a session against those before it."""

from typing import Any

import polars as pl
import pytest

from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.market.watch import BLOCKING, WATCHES, WatchRules, watch
from trading_pipeline_tests.factories import random_bars, sessions_from

DAYS = sessions_from(count=30)
LAST = DAYS[-1]
BARS = random_bars(("AAA", "BBB", "CCC", "DDD"), DAYS)
NO_SUSPECTS = BARS.clear()
AT_LAST = pl.col("session") == LAST


def found(bars: pl.DataFrame, suspects: pl.DataFrame = NO_SUSPECTS) -> dict[str, CheckOutcome]:
    return {one.name: one for one in watch([LAST], bars, suspects, WatchRules())[LAST]}


def failed(bars: pl.DataFrame, **more: Any) -> list[str]:
    return [name for name, one in found(bars, **more).items() if not one.passed]


def of(symbol: str, value: pl.Expr, name: str, since: int = -1) -> pl.DataFrame:
    rows = (pl.col("symbol") == symbol) & (pl.col("session") >= DAYS[since])
    return BARS.with_columns(pl.when(rows).then(value).otherwise(pl.col(name)).alias(name))


def test_usual_bars_pass_everything_and_only_the_wrong_day_blocks() -> None:
    outcomes = found(BARS)
    assert list(outcomes) == list(WATCHES)
    assert all(one.passed for one in outcomes.values())
    assert {name for name, one in outcomes.items() if one.blocking} == BLOCKING == {"wrong_day"}


def test_a_delivery_of_the_day_before_is_the_wrong_day() -> None:
    again = BARS.filter(session=DAYS[-2]).with_columns(session=pl.lit(LAST))
    outcomes = found(pl.concat([BARS.filter(~AT_LAST), again]))
    assert not outcomes["wrong_day"].passed
    assert outcomes["wrong_day"].stops_the_day
    assert outcomes["wrong_day"].numbers["repeated_share"] == 1.0


def test_a_part_of_a_delivery_and_one_written_three_times_are_told() -> None:
    part = BARS.filter(~AT_LAST | (pl.col("symbol") < "CCC"))
    assert failed(part) == ["delivery"]
    tripled = pl.concat([BARS, BARS.filter(AT_LAST), BARS.filter(AT_LAST)])
    assert failed(tripled) == ["delivery"]
    assert "300%" in found(tripled)["delivery"].sentence


def test_a_symbol_that_was_away_is_told_and_a_new_one_is_not() -> None:
    away = BARS.filter((pl.col("symbol") != "BBB") | (pl.col("session") != DAYS[-2]))
    assert failed(away) == ["missing_sessions"]
    assert "BBB" in found(away)["missing_sessions"].sentence
    fresh = BARS.filter((pl.col("symbol") != "BBB") | AT_LAST)
    assert failed(fresh) == []


def test_a_series_that_stands_still_is_told() -> None:
    still = BARS
    for name in ("open", "high", "low", "close"):
        rows = (pl.col("symbol") == "CCC") & (pl.col("session") >= DAYS[-5])
        still = still.with_columns(pl.when(rows).then(9.0).otherwise(name).alias(name))
    assert failed(still) == ["stale_series"]
    assert failed(still.filter((pl.col("symbol") != "CCC") | (pl.col("session") != LAST))) == []


@pytest.mark.parametrize("ratio", [50.0, 1 / 50.0])
def test_a_break_in_volume_is_told(ratio: float) -> None:
    assert failed(of("DDD", pl.col("volume") * ratio, "volume")) == ["volume_break"]


def test_a_suspect_is_told() -> None:
    suspect = BARS.filter(AT_LAST, symbol="AAA")
    assert failed(BARS, suspects=suspect) == ["suspects"]
