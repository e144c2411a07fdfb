"""Rolling statistics over windows of 5, 10, 20, 30 and 60 rows, without running state.

A window is the merge of two adjacent windows, and seven merges reach all five lengths. So a value
depends on the rows of its own window only, never on what was computed before: a full history, a
chunk of it and a single session from its look-back give the same bits.

Arrays have shape (rows, lanes): a lane is one symbol, its rows follow each other from row 0. NaN
rows are skipped; a window that reaches before row 0 is partial. Operators and their NaN rules are
those of qlib 0.9.7 (ops.py), computed exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Values = npt.NDArray[np.float64]
"""Shape (rows, lanes); a state of a window stacks several: shape (parts, rows, lanes)."""

Merge = Callable[[Values, Values, int, Values], None]

WINDOWS = (5, 10, 20, 30, 60)
"""Rows of the windows that features are made of."""

# Each window from two that are known: its newest rows, and the rows before those.
CHAIN = ((2, 1, 1), (4, 2, 2), (5, 4, 1), (10, 5, 5), (20, 10, 10), (30, 20, 10), (60, 30, 30))

EPS = 1e-12
"""What qlib adds to a divisor that may be 0."""


def ref(x: Values, rows: int) -> Values:
    """The value `rows` (> 0) rows earlier; NaN before the first row."""
    out = np.full_like(x, np.nan)
    out[rows:] = x[: max(len(x) - rows, 0)]
    return out


def over_windows(unit: Values, merge: Merge) -> dict[int, Values]:
    """The state of every window by its length, from the state of every single row.

    `merge(new, old, rows, out)` writes to `out` the state of `new`, which is `rows` rows long,
    followed backward by `old`. Where nothing is before `new`, the state is that of `new`.
    """
    found = {1: unit}
    for length, newer, older in CHAIN:
        new, out = found[newer], np.empty_like(unit)
        out[:, :newer] = new[:, :newer]
        old = found[older][:, : max(unit.shape[1] - newer, 0)]
        merge(new[:, newer:], old, newer, out[:, newer:])
        found[length] = out
    return {length: found[length] for length in WINDOWS}


def lengths(rows: int) -> dict[int, Values]:
    """How many rows every window has, valid or not: its length, or all rows so far; (rows, 1)."""
    so_far = np.arange(1.0, rows + 1)[:, None]
    return {window: np.minimum(so_far, window) for window in WINDOWS}


@dataclass(frozen=True, slots=True)
class Moves:
    """The changes of a column from one row to the next, over a window.

    Parts of the state: the sum of all rises and that of all falls (both positive), how many rows
    have a change, how many rose, how many fell. Shares are NaN without any change.
    """

    state: Values

    @property
    def rise_share(self) -> Values:
        """Rises / (rises + falls + 1e-12)."""
        return self.state[0] / self._way

    @property
    def fall_share(self) -> Values:
        """Falls / (rises + falls + 1e-12)."""
        return self.state[1] / self._way

    @property
    def balance(self) -> Values:
        """(Rises - falls) / (rises + falls + 1e-12)."""
        return (self.state[0] - self.state[1]) / self._way

    @property
    def risen(self) -> Values:
        """How many rows rose; a row without a change did not."""
        return self.state[3]

    @property
    def fallen(self) -> Values:
        """How many rows fell; a row without a change did not."""
        return self.state[4]

    @property
    def _way(self) -> Values:
        return np.where(self.state[2] > 0, self.state[0] + self.state[1] + EPS, np.nan)


def moves(x: Values) -> dict[int, Moves]:
    """Rises and falls of x, by window."""
    step = x - ref(x, 1)
    known = np.where(np.isnan(step), 0.0, step)
    up, down = np.maximum(known, 0.0), np.maximum(-known, 0.0)
    unit = np.stack((up, down, np.isfinite(step), step > 0, step < 0), dtype=np.float64)

    def merge(new: Values, old: Values, _rows: int, out: Values) -> None:
        np.add(new, old, out=out)

    return {window: Moves(state) for window, state in over_windows(unit, merge).items()}


@dataclass(frozen=True, slots=True)
class Extreme:
    """The highest (or lowest) value of a window and its position, 1 being the oldest row.

    Of equal values the oldest counts. A NaN row beats every value, as in numpy's argmax; without
    any valid row both are NaN.
    """

    value: Values
    position: Values


def highest(x: Values) -> dict[int, Extreme]:
    """Maximum and its position, by window."""
    unit = np.stack((x, np.where(np.isnan(x), np.inf, x), np.zeros_like(x)))

    def merge(new: Values, old: Values, rows: int, out: Values) -> None:
        np.fmax(new[0], old[0], out=out[0])
        np.maximum(new[1], old[1], out=out[1])
        out[2] = np.where(old[1] >= new[1], old[2] + rows, new[2])

    size = lengths(len(x))
    return {
        window: Extreme(value, np.where(np.isnan(value), np.nan, size[window] - age))
        for window, (value, _, age) in over_windows(unit, merge).items()
    }


def lowest(x: Values) -> dict[int, Extreme]:
    """Minimum and its position, by window."""
    return {window: Extreme(-top.value, top.position) for window, top in highest(-x).items()}


def ranks(x: Values, counts: dict[int, Values], *, newest: int | None = None) -> dict[int, Values]:
    """Average rank of the newest value among the valid ones of its window, as a share of them.

    `counts` are the valid rows by window, of the `newest` rows (or all), whose ranks are returned.
    NaN where the newest value is.
    """
    skipped = len(x) - (len(x) if newest is None else newest)
    kept = x[skipped:]
    below = np.zeros(kept.shape, dtype=np.uint8)  # rows below the newest, twice; equal ones once
    found: dict[int, Values] = {}
    for age in range(WINDOWS[-1]):
        first = max(age - skipped, 0)  # the first kept row that has a row so much older
        older = x[max(skipped - age, 0) : max(len(x) - age, 0)]
        below[first:] += (older < kept[first:]).view(np.uint8)
        below[first:] += (older <= kept[first:]).view(np.uint8)
        if (window := age + 1) in WINDOWS:
            rank = (below + 1.0) / 2.0 / counts[window]
            found[window] = np.where(np.isnan(kept), np.nan, rank)
    return found


def quantiles(
    x: Values, counts: dict[int, Values], shares: tuple[float, ...], *, newest: int | None = None
) -> dict[int, tuple[Values, ...]]:
    """Quantiles of the valid rows, linear between neighbors, by window and in order of `shares`.

    `counts` are the valid rows by window, of the `newest` rows (or all), whose quantiles are
    returned. NaN without any.
    """
    kept = slice(None if newest is None else -newest, None)
    before = np.full((WINDOWS[-1] - 1, x.shape[1]), np.inf)
    marked = np.concatenate((before, np.where(np.isnan(x), np.inf, x)))
    found: dict[int, tuple[Values, ...]] = {}
    for window in WINDOWS:
        rows = sliding_window_view(marked[WINDOWS[-1] - window :], window, axis=0)
        ordered = np.array(rows[kept], order="C")
        ordered.sort(axis=-1)  # invalid rows last
        found[window] = tuple(_quantile(ordered, counts[window], share) for share in shares)
    return found


def _quantile(ordered: Values, count: Values, share: float) -> Values:
    last = count - 1.0
    place = share * last
    below = np.floor(place)
    first = np.arange(count.size).reshape(count.shape) * ordered.shape[-1]

    def at(position: Values) -> Values:
        return ordered.ravel()[first + np.maximum(position, 0).astype(np.intp)]

    low = at(below)
    found = low + (at(np.minimum(below + 1.0, last)) - low) * (place - below)
    return np.where(count > 0, found, np.nan)
