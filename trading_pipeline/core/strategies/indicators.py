"""Technical indicators, defined as TA-Lib defines them, from the first bar on.

Arrays have shape (rows, lanes): a lane is one symbol, its bars follow each other from row 0, and
rows after its last bar are NaN. A value reads its own row and earlier ones only. It is NaN until
the indicator has the bars it needs. Where a ratio has nothing to divide by, the indicator is
neutral: 50 for RSI and stochastic, 0.5 for %B, 0 for a z-score or a trend (TA-Lib says 0 to all).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
"""Shape (rows, lanes)."""

EPS: Final = 1e-12
"""Below this a divisor, as a share of what it measures, is nothing but rounding."""


class Bands(NamedTuple):
    """Bollinger bands, where the close lies in them (0 lower, 1 upper), their width / middle."""

    lower: Values
    middle: Values
    upper: Values
    percent: Values
    width: Values


class Stochastic(NamedTuple):
    """%K, where the close lies between the lowest low and the highest high, and its mean %D."""

    k: Values
    d: Values


class Macd(NamedTuple):
    """The difference of two averages, its own average, and the difference of these."""

    line: Values
    signal: Values
    gap: Values


class Direction(NamedTuple):
    """Wilder's directional movement, all from 0 to 100."""

    plus: Values
    minus: Values
    adx: Values


def mean(x: Values, rows: int) -> Values:
    """Return the simple mean of the last `rows` rows."""
    return _summed(x, rows) / rows


def deviation(x: Values, rows: int, *, ddof: int = 0) -> Values:
    """Return √(Σ(x − mean)² / (rows − ddof)) of the last `rows` rows."""
    middle, squares = mean(x, rows), np.full_like(x, np.nan)
    if len(x) >= rows:
        squares[rows - 1 :] = 0.0
        for back in range(rows):
            squares[rows - 1 :] += (x[rows - 1 - back : len(x) - back] - middle[rows - 1 :]) ** 2
    return np.sqrt(squares / (rows - ddof))


def ema(x: Values, rows: int, *, skip: int = 0) -> Values:
    """Return the exponential mean, weight 2/(rows + 1), begun as the mean of `rows` rows.

    The first `skip` rows of `x` do not count.
    """
    return _smooth(
        x, 2 / (rows + 1), seed=x[skip : skip + rows].sum(axis=0) / rows, at=skip + rows - 1
    )


def rsi(close: Values, rows: int = 14) -> Values:
    """Return Wilder's relative strength, 100·rises / (rises + falls), smoothed with 1/rows."""
    moved = _change(close)
    rises, falls = _wilder(np.maximum(moved, 0), rows), _wilder(np.maximum(-moved, 0), rows)
    return _ratio(100 * rises, rises + falls, neutral=50.0, scale=close)


def bollinger(close: Values, rows: int = 20, *, deviations: float = 2.0) -> Bands:
    """Return mean ± `deviations` population standard deviations of the last `rows` closes."""
    middle, half = mean(close, rows), deviations * deviation(close, rows)
    lower, upper = middle - half, middle + half
    percent = _ratio(close - lower, upper - lower, neutral=0.5, scale=close)
    return Bands(lower, middle, upper, percent, (upper - lower) / middle)


def stochastic(
    high: Values, low: Values, close: Values, *, rows: int = 14, smoothing: int = 3
) -> Stochastic:
    """Return fast %K = 100·(close − lowest) / (highest − lowest) and %D, its simple mean."""
    highest, lowest = _extreme(high, rows, np.maximum), _extreme(low, rows, np.minimum)
    k = _ratio(100 * (close - lowest), highest - lowest, neutral=50.0, scale=close)
    return Stochastic(k, mean(k, smoothing))


def zscore(close: Values, rows: int = 20) -> Values:
    """Return (close − mean) / sample standard deviation (rows − 1) of the last `rows` closes."""
    away = close - mean(close, rows)
    return _ratio(away, deviation(close, rows, ddof=1), neutral=0.0, scale=close)


def rate_of_change(close: Values, rows: int = 14) -> Values:
    """Return the close in percent above that of `rows` rows before."""
    out = np.full_like(close, np.nan)
    out[rows:] = 100 * (close[rows:] / close[:-rows] - 1)
    return out


def macd(close: Values, *, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Return EMA(fast) − EMA(slow), both begun on the same row, and its EMA(signal)."""
    line = ema(close, fast, skip=slow - fast) - ema(close, slow)
    average = ema(line, signal, skip=slow - 1)
    return Macd(line, average, line - average)


def directional(high: Values, low: Values, close: Values, rows: int = 14) -> Direction:
    """Return +DI, −DI and ADX, smoothed with 1/rows; a market that does not move has no trend."""
    up, down = _change(high), -_change(low)
    before = _shift(close)
    span = np.maximum(high - low, np.maximum(abs(high - before), abs(low - before)))
    span, plus, minus = (
        _movement(part, rows) for part in (span, _where(up, up > down), _where(down, down > up))
    )
    plus = _ratio(100 * plus, span, neutral=0.0, scale=close)
    minus = _ratio(100 * minus, span, neutral=0.0, scale=close)
    index = _ratio(100 * abs(plus - minus), plus + minus, neutral=0.0, scale=np.ones_like(close))
    adx = _smooth(index, 1 / rows, seed=index[rows : 2 * rows].sum(axis=0) / rows, at=2 * rows - 1)
    return Direction(plus, minus, adx)


def on_balance_volume(close: Values, volume: Values) -> Values:
    """Return the volume summed, that of falling closes subtracted; it begins with row 0's own."""
    way = np.sign(_change(close))
    way[:1] = 1.0
    return np.cumsum(way * volume, axis=0)


def _summed(x: Values, rows: int) -> Values:
    """Return sums of the last `rows` rows, each added up on its own: nothing runs along."""
    out = np.full_like(x, np.nan)
    if len(x) >= rows:
        out[rows - 1 :] = x[rows - 1 :]
        for back in range(1, rows):
            out[rows - 1 :] += x[rows - 1 - back : len(x) - back]
    return out


def _extreme(x: Values, rows: int, pick: np.ufunc) -> Values:
    out = np.full_like(x, np.nan)
    if len(x) >= rows:
        out[rows - 1 :] = x[rows - 1 :]
        for back in range(1, rows):
            pick(out[rows - 1 :], x[rows - 1 - back : len(x) - back], out=out[rows - 1 :])
    return out


def _smooth(x: Values, weight: float, *, seed: Values, at: int) -> Values:
    """Return y[t] = y[t−1] + weight·(x[t] − y[t−1]) after y[at] = seed; NaN before."""
    out = np.full_like(x, np.nan)
    if at < len(x):
        out[at] = seed
    for row in range(at + 1, len(x)):
        out[row] = out[row - 1] + weight * (x[row] - out[row - 1])
    return out


def _wilder(x: Values, rows: int) -> Values:
    """Smooth changes, of which row 0 has none, from the mean of the first `rows` on."""
    return _smooth(x, 1 / rows, seed=x[1 : rows + 1].sum(axis=0) / rows, at=rows)


def _movement(x: Values, rows: int) -> Values:
    """Smooth movements as Wilder does, who begins with the sum of one row less."""
    out = _smooth(x, 1 / rows, seed=x[1:rows].sum(axis=0) / rows, at=rows - 1)
    out[:rows] = np.nan
    return out


def _shift(x: Values) -> Values:
    out = np.full_like(x, np.nan)
    out[1:] = x[:-1]
    return out


def _change(x: Values) -> Values:
    return x - _shift(x)


def _where(move: Values, leads: npt.NDArray[np.bool_]) -> Values:
    """Return `move` where it leads and is positive, else 0; NaN stays NaN."""
    return np.where(np.isnan(move), np.nan, np.where(leads & (move > 0), move, 0.0))


def _ratio(over: Values, under: Values, *, neutral: float, scale: Values) -> Values:
    """Return over / under, `neutral` where `under` is nothing beside `scale`, NaN where unknown."""
    known = ~(np.isnan(over) | np.isnan(under))
    out = np.where(known, neutral, np.nan)
    return np.divide(over, under, out=out, where=known & (under > EPS * abs(scale)))
