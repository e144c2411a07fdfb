"""Indicators against TA-Lib, and where the two differ on purpose."""

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.strategies import indicators

CLOSE = 1e-9


def market(seed: int, rows: int = 400) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, rows)))
    close[rows // 2 : rows // 2 + 4] = close[rows // 2]  # a few days without a change
    high = close * (1 + abs(random.normal(0, 0.01, rows)))
    low = close * (1 - abs(random.normal(0, 0.01, rows)))
    return high, low, close, np.round(random.lognormal(13, 0.5, rows))


def lane(values: np.ndarray) -> np.ndarray:
    return values[:, None]


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    ours = ours[:, 0]
    assert (np.isnan(ours) == np.isnan(theirs)).all()
    assert np.nanmax(abs(ours - theirs) / np.maximum(1, abs(theirs))) < CLOSE


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_indicators_equal_talib_to_1e9(seed: int) -> None:
    high, low, close, _ = market(seed)
    h, l, c = map(lane, (high, low, close))  # noqa: E741
    assert_same(indicators.mean(c, 10), talib.SMA(close, 10))
    assert_same(indicators.ema(c, 12), talib.EMA(close, 12))
    assert_same(indicators.rsi(c), talib.RSI(close, 14))
    bands = indicators.bollinger(c)
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    assert_same(bands.upper, upper)
    assert_same(bands.middle, middle)
    assert_same(bands.lower, lower)
    assert_same(bands.percent, (close - lower) / (upper - lower))
    assert_same(bands.width, (upper - lower) / middle)
    fast_k, fast_d = talib.STOCHF(high, low, close, 14, 3)
    fast = indicators.stochastic(h, l, c)
    assert_same(fast.d, fast_d)
    assert np.nanmax(abs(fast.k[15:, 0] - fast_k[15:])) < CLOSE
    assert_same(
        indicators.zscore(c), (close - middle) / (talib.STDDEV(close, 20, 1) * np.sqrt(20 / 19))
    )


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_trend_indicators_equal_talib_to_1e9(seed: int) -> None:
    high, low, close, volume = market(seed)
    h, l, c, v = map(lane, (high, low, close, volume))  # noqa: E741
    line, signal, gap = talib.MACD(close, 12, 26, 9)
    ours = indicators.macd(c)
    assert_same(ours.signal, signal)
    assert_same(ours.gap, gap)
    assert np.nanmax(abs(ours.line[:, 0] - line)) < CLOSE
    assert_same(indicators.rate_of_change(c), talib.ROC(close, 14))
    direction = indicators.directional(h, l, c)
    assert_same(direction.plus, talib.PLUS_DI(high, low, close, 14))
    assert_same(direction.minus, talib.MINUS_DI(high, low, close, 14))
    assert_same(direction.adx, talib.ADX(high, low, close, 14))
    assert_same(indicators.on_balance_volume(c, v), talib.OBV(close, volume))


def test_where_nothing_moves_every_indicator_is_neutral() -> None:
    flat = np.full((60, 1), 207.1)
    assert indicators.rsi(flat)[-1] == 50
    assert indicators.bollinger(flat).percent[-1] == 0.5
    assert indicators.stochastic(flat, flat, flat).k[-1] == 50
    assert indicators.zscore(flat)[-1] == 0
    direction = indicators.directional(flat, flat, flat)
    assert (direction.plus[-1], direction.minus[-1], direction.adx[-1]) == (0, 0, 0)
    assert np.isnan(talib.STDDEV(flat[:, 0], 20, 1)[0])


@pytest.mark.parametrize("rows", [1, 5, 13, 14, 27])
def test_a_history_too_short_is_unknown_and_no_error(rows: int) -> None:
    high, low, close, volume = (lane(values[:rows]) for values in market(1))
    assert np.isnan(indicators.rsi(close)[: min(rows, 14)]).all()
    assert np.isnan(indicators.bollinger(close).percent[:19]).all()
    assert np.isnan(indicators.macd(close).gap).all()
    assert np.isnan(indicators.directional(high, low, close).adx).all()
    assert np.isfinite(indicators.on_balance_volume(close, volume)).all()


def test_lanes_do_not_see_each_other_and_end_where_their_bars_end() -> None:
    _, _, one, _ = market(1)
    _, _, other, _ = market(2)
    short = np.where(np.arange(400) < 100, other, np.nan)
    both = np.column_stack([one, short])
    together = indicators.rsi(both)
    assert np.array_equal(together[:, :1], indicators.rsi(lane(one)), equal_nan=True)
    assert np.array_equal(together[:100, 1:], indicators.rsi(lane(other[:100])), equal_nan=True)
    assert np.isnan(together[100:, 1]).all()
