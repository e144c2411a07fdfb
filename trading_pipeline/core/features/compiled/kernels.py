"""The rolling statistics of operators.py and moments.py, compiled.

They give the same bits, statistic by statistic, because they do the same sums in the same order; a
test holds them to it. Each works on one symbol: arrays have shape (rows,) or, by window in the
order of WINDOWS, (5, rows); `state` is scratch of shape (8, PARTS, rows).
"""

from typing import Final

import numpy as np

from trading_pipeline.core.features.compiled.compiling import jit
from trading_pipeline.core.features.compiled.merges import (
    Bytes,
    Values,
    add,
    extreme,
    merge,
    merge_pairs,
    unit,
)
from trading_pipeline.core.features.compiled.sorted_window import quantiles
from trading_pipeline.core.features.moments import FLAT
from trading_pipeline.core.features.operators import CHAIN, EPS, WINDOWS

_WIDTHS = np.array(WINDOWS)
_LENGTHS = (1, *(length for length, _, _ in CHAIN))
_AT = np.array([_LENGTHS.index(width) for width in WINDOWS])
_STEPS = np.array([(_LENGTHS.index(new), _LENGTHS.index(old), new) for _, new, old in CHAIN])

OWN: Final = ("open", "high", "low", "close", "volume", "vwap", "span", "top", "bottom")
"""What a row is made of, by place."""

ROLLED: Final = (
    *(f"closes.{name}" for name in ("mean", "std", "slope", "rsquare", "residual", "n")),
    *(f"{side}.{name}" for side in ("highest", "lowest") for name in ("value", "position")),
    *("quantiles.0", "quantiles.1", "ranks", "close_and_volume", "changes"),
    *(f"{name}.{of}" for name in ("volumes", "traded_moves") for of in ("mean", "std")),
    *(f"moves.{name}" for name in ("rise_share", "fall_share", "balance", "risen", "fallen")),
    *(f"volume_moves.{name}" for name in ("rise_share", "fall_share", "balance")),
    *("earlier", "lengths"),
)
"""The statistics by window that `statistics` fills, by place."""

PARTS: Final = 6
"""Of a state at most; the scratch of a symbol is (8, PARTS, rows)."""

SPARE: Final = 5
"""Further places that `statistics` uses for what no formula reads."""


@jit
def statistics(own: Values, logs: Values, state: Values, below: Bytes, rolled: Values) -> None:  # noqa: PLR0917
    """Fill `rolled`, (ROLLED and SPARE, 5, rows), of a symbol whose first six of OWN are given.

    `logs` are the logarithms of volume and of its change, (2, rows).
    """
    high, low, close, volume = own[1], own[2], own[3], own[4]
    _of_row(own)
    r = rolled
    trends(close, state, r[0], r[1], r[2], r[3], r[4], r[5])
    highest(high, 1.0, state, r[6], r[7])
    highest(low, -1.0, state, r[8], r[9])
    quantiles(close, r[5], r[10], r[11])
    ranks(close, below, r[5], r[12])
    spare, log_std, change_std, log_change_std, aside = r[29], r[30], r[31], r[32], r[33]
    moments(logs[0], state, spare, log_std)
    correlation(close, logs[0], state, r[1], log_std, r[13])
    moments(logs[1], state, spare, log_change_std)
    change, moved = aside[0], aside[1]
    for row in range(len(close)):
        change[row] = close[row] / close[row - 1] if row else np.nan
        moved[row] = abs(change[row] - 1.0) * volume[row]
    moments(change, state, spare, change_std)
    correlation(change, logs[1], state, change_std, log_change_std, r[14])
    moments(volume, state, r[15], r[16])
    moments(moved, state, r[17], r[18])
    moves(close, 5, state, r[19], r[20], r[21])
    for window in range(len(_AT)):
        r[22, window], r[23, window] = state[_AT[window], 3], state[_AT[window], 4]
    moves(volume, 3, state, r[24], r[25], r[26])
    for window in range(len(_WIDTHS)):
        width, before, size = _WIDTHS[window], r[27][window], r[28][window]
        for row in range(len(close)):
            before[row] = close[row - width] if row >= width else np.nan
            size[row] = min(row + 1.0, float(width))


@jit
def _of_row(own: Values) -> None:
    opening, high, low, close = own[0], own[1], own[2], own[3]
    span, top, bottom = own[6], own[7], own[8]
    for row in range(len(close)):
        span[row] = high[row] - low[row] + EPS
        known = not (np.isnan(opening[row]) or np.isnan(close[row]))
        top[row] = max(opening[row], close[row]) if known else np.nan
        bottom[row] = min(opening[row], close[row]) if known else np.nan


@jit
def moments(y: Values, state: Values, mean: Values, std: Values) -> None:
    """Mean and standard deviation of y; `state` is scratch of shape (8, parts, rows)."""
    unit(y, y, state)
    for step in range(len(_STEPS)):
        new, old, rows = _STEPS[step]
        merge(state[new], state[old], rows, state[step + 1])
    for window in range(len(_AT)):
        its = state[_AT[window]]
        _spread(its[0], its[2], std[window])
        _ratio(its[1], its[0], mean[window])


@jit
def trends(  # noqa: PLR0913, PLR0917 - what is filled, one array each
    y: Values,
    state: Values,
    mean: Values,
    std: Values,
    slope: Values,
    rsquare: Values,
    residual: Values,
    valid: Values,
) -> None:
    """The same, and the regression of y on the age of its rows; `valid` counts rows with a y."""
    unit(y, y, state)
    state[0, 3:] = 0.0
    for step in range(len(_STEPS)):
        new, old, rows = _STEPS[step]
        merge(state[new], state[old], rows, state[step + 1])
        merge_pairs(state[new], state[old], rows, float(rows), state[step + 1])
    for window in range(len(_AT)):
        its = state[_AT[window]]
        valid[window] = its[0]
        _spread(its[0], its[2], std[window])
        _ratio(its[1], its[0], mean[window])
        _line(its, y, mean[window], std[window], slope[window], rsquare[window], residual[window])


@jit
def correlation(  # noqa: PLR0917
    x: Values, y: Values, state: Values, x_std: Values, y_std: Values, out: Values
) -> None:
    """Correlation of x and y, whose own standard deviations are given by window."""
    unit(x, y, state)
    state[0, 4:] = 0.0
    for row in range(len(x)):
        state[0, 3, row] = x[row] if state[0, 0, row] else 0.0
    for step in range(len(_STEPS)):
        new, old, rows = _STEPS[step]
        merge(state[new], state[old], rows, state[step + 1])
        merge_pairs(state[new], state[old], rows, 0.0, state[step + 1])
    for window in range(len(_AT)):
        its, found = state[_AT[window]], out[window]
        yy, xx, xy = its[2], its[4], its[5]
        x_spread, y_spread = x_std[window], y_std[window]
        for row in range(len(found)):
            value = xy[row] / np.sqrt(xx[row] * yy[row])
            flat = x_spread[row] <= FLAT or y_spread[row] <= FLAT
            found[row] = np.nan if flat else value


@jit
def moves(  # noqa: PLR0917
    x: Values, parts: int, state: Values, rise_share: Values, fall_share: Values, balance: Values
) -> None:
    """Rises and falls of x: three parts of a state; the last two of five count them."""
    unit = state[0]
    for row in range(len(x)):
        step = x[row] - x[row - 1] if row else np.nan
        known = 0.0 if np.isnan(step) else step
        unit[0, row] = known if known > 0 else 0.0
        unit[1, row] = -known if known < 0 else 0.0
        unit[2, row] = np.isfinite(step)
        unit[3, row], unit[4, row] = step > 0, step < 0
    for step in range(len(_STEPS)):
        new, old, rows = _STEPS[step]
        for part in range(parts):
            add(state[new, part], state[old, part], rows, state[step + 1, part])
    for window in range(len(_AT)):
        its = state[_AT[window]]
        _shares(its, rise_share[window], fall_share[window], balance[window])


@jit
def highest(x: Values, sign: float, state: Values, value: Values, position: Values) -> None:  # noqa: PLR0917
    """Maximum of sign·x, times sign, and its position from the oldest row; a NaN row beats all."""
    unit = state[0]
    for row in range(len(x)):
        unit[0, row] = sign * x[row]
        unit[1, row] = np.inf if np.isnan(x[row]) else sign * x[row]
        unit[2, row] = 0.0
    for step in range(len(_STEPS)):
        new, old, rows = _STEPS[step]
        extreme(state[new], state[old], rows, state[step + 1])
    for window in range(len(_AT)):
        its, width = state[_AT[window]], float(_WIDTHS[window])
        for row in range(len(x)):
            best = its[0, row]
            value[window, row] = sign * best
            size = min(row + 1.0, width)
            position[window, row] = np.nan if np.isnan(best) else size - its[2, row]


@jit
def ranks(x: Values, below: Bytes, valid: Values, out: Values) -> None:
    """Average rank of the newest value as a share of the valid rows; `below` is scratch, uint8."""
    below[:] = 0
    window = 0
    for age in range(_WIDTHS[-1]):
        count = max(len(x) - age, 0)
        newest, older, into = x[age:], x[:count], below[age:]
        for row in range(count):
            into[row] += np.uint8(older[row] < newest[row]) + np.uint8(older[row] <= newest[row])
        if age + 1 == _WIDTHS[window]:
            found, counted = out[window], valid[window]
            for row in range(len(x)):
                rank = (below[row] + 1.0) / 2.0 / counted[row]
                found[row] = np.nan if np.isnan(x[row]) else rank
            window += 1


@jit
def _spread(count: Values, second: Values, std: Values) -> None:
    for row in range(len(count)):
        n = count[row]
        std[row] = np.sqrt(second[row] / (n - 1.0)) if n > 1 else np.nan


@jit
def _ratio(total: Values, count: Values, mean: Values) -> None:
    for row in range(len(total)):
        mean[row] = total[row] / count[row]


@jit
def _line(  # noqa: PLR0913, PLR0917 - what is filled, one array each
    its: Values,
    y: Values,
    mean: Values,
    std: Values,
    slope: Values,
    rsquare: Values,
    residual: Values,
) -> None:
    count, yy, x, xx, xy = its[0], its[2], its[3], its[4], its[5]
    for row in range(len(y)):
        found = -xy[row] / xx[row]
        slope[row] = found
        share = xy[row] * xy[row] / (xx[row] * yy[row])
        rsquare[row] = np.nan if std[row] <= FLAT else share
        residual[row] = y[row] - mean[row] - found * (x[row] / count[row])


@jit
def _shares(its: Values, rise_share: Values, fall_share: Values, balance: Values) -> None:
    up, down, count = its[0], its[1], its[2]
    for row in range(len(up)):
        way = up[row] + down[row] + EPS if count[row] > 0 else np.nan
        rise_share[row], fall_share[row] = up[row] / way, down[row] / way
        balance[row] = (up[row] - down[row]) / way
