from datetime import date

import polars as pl
import pytest

from trading_pipeline.core.features.alpha158 import alpha158
from trading_pipeline.core.features.labels import LABEL_HORIZON, label
from trading_pipeline_tests.factories import bars_of, random_bars, sessions_from

SESSIONS = sessions_from(count=6)


def with_opens(bars: pl.DataFrame, opens: list[float]) -> pl.DataFrame:
    return bars.with_columns(open=pl.Series(opens))


def test_the_label_is_what_the_next_open_earns_until_the_one_after() -> None:
    bars = with_opens(bars_of({"AAA": [9.0] * 5}), [10.0, 20.0, 30.0, 60.0, 90.0])
    found = label(bars, "open_to_open")
    assert found.columns == ["symbol", "session", "label"]
    assert found["label"].to_list() == [0.5, 1.0, 0.5, None, None]


def test_qlibs_label_is_that_of_closes() -> None:
    found = label(bars_of({"AAA": [10.0, 20.0, 30.0, 60.0]}), "close_to_close")
    assert found["label"].to_list() == [0.5, 1.0, None, None]


def test_the_default_is_the_price_the_platform_trades_at() -> None:
    bars = with_opens(bars_of({"AAA": [10.0, 20.0, 30.0]}), [1.0, 2.0, 5.0])
    assert label(bars)["label"][0] == 1.5


def test_a_label_over_a_session_without_a_bar_is_null_not_that_of_the_next_bar() -> None:
    found = label(bars_of({"AAA": [1.0, 2.0, 3.0, None, 5.0, 6.0]}), "close_to_close")
    assert found["session"].to_list() == SESSIONS
    assert found["label"].to_list() == [0.5, None, None, pytest.approx(0.2), None, None]


def test_a_symbols_label_never_reads_another_symbol() -> None:
    bars = bars_of({"AAA": [1.0, 2.0, 3.0], "BBB": [5.0, 5.0, 10.0]})
    found = label(bars, "close_to_close").filter(pl.col("label").is_not_null())
    assert found.to_dicts() == [
        {"symbol": "AAA", "session": SESSIONS[0], "label": 0.5},
        {"symbol": "BBB", "session": SESSIONS[0], "label": 1.0},
    ]


def test_rows_are_those_of_the_features() -> None:
    bars = random_bars(["BBB", "AAA"], sessions_from(count=30)).filter(
        pl.col("session") != date(2012, 1, 12)
    )
    keys = ["symbol", "session"]
    features = alpha158(bars).sort("session", "symbol")
    assert label(bars).select(keys).equals(features.select(keys))


def test_the_horizon_is_how_far_a_label_reads() -> None:
    bars = random_bars(["AAA"], sessions_from(count=30))
    known = label(bars)
    for held in range(10, 30):
        part = label(bars.head(held))
        assert part["label"].null_count() == LABEL_HORIZON
        complete = held - LABEL_HORIZON
        assert part.head(complete).equals(known.head(complete))
