"""Quantiles of every window from a window that is kept sorted, compiled."""

import numpy as np

from trading_pipeline.core.features.compiled.merges import Values, jit
from trading_pipeline.core.features.operators import WINDOWS

_WIDTHS = np.array(WINDOWS)


@jit
def quantiles(x: Values, share: float, other: float, out: Values, out_other: Values) -> None:  # noqa: PLR0917
    """Two quantiles of the valid rows, linear between neighbors, from a window kept sorted."""
    ordered = np.empty(_WIDTHS[-1] + 1)
    for window in range(len(_WIDTHS)):
        width, count, before = _WIDTHS[window], 0, -1
        found, found_other = out[window], out_other[window]
        low = above = low_other = above_other = 0
        part = part_other = 0.0
        for row in range(len(x)):
            leaves, enters = x[row - width] if row >= width else np.nan, x[row]
            if not (np.isnan(leaves) or np.isnan(enters)):
                _replace(ordered, count, leaves, enters)
            elif not np.isnan(leaves):
                count = _taken_out(ordered, count, leaves)
            elif not np.isnan(enters):
                count = _put_in(ordered, count, enters)
            if count != before:
                low, above, part = _neighbors(count, share)
                low_other, above_other, part_other = _neighbors(count, other)
                before = count
            value, value_other = ordered[low], ordered[low_other]
            found[row] = value + (ordered[above] - value) * part if count else np.nan
            between = value_other + (ordered[above_other] - value_other) * part_other
            found_other[row] = between if count else np.nan


@jit
def _neighbors(count: int, share: float) -> tuple[int, int, float]:
    """Which two of so many ordered values a quantile lies between, and how far."""
    last = max(count - 1.0, 0.0)
    place = share * last
    below = np.floor(place)
    return int(below), int(min(below + 1.0, last)), place - below


@jit
def _place(ordered: Values, count: int, value: float) -> int:
    """Where a value stands: faster over a few numbers than a search by halves."""
    place = 0
    for at in range(count):
        place += ordered[at] < value
    return place


@jit
def _replace(ordered: Values, count: int, old: float, new: float) -> None:
    place = _place(ordered, count, old)
    if new > old:
        while place + 1 < count and ordered[place + 1] < new:
            ordered[place] = ordered[place + 1]
            place += 1
    else:
        while place > 0 and ordered[place - 1] > new:
            ordered[place] = ordered[place - 1]
            place -= 1
    ordered[place] = new


@jit
def _put_in(ordered: Values, count: int, value: float) -> int:
    place = count
    while place > 0 and ordered[place - 1] > value:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = value
    return count + 1


@jit
def _taken_out(ordered: Values, count: int, value: float) -> int:
    place = _place(ordered, count, value)
    for at in range(place, count - 1):
        ordered[at] = ordered[at + 1]
    return count - 1
