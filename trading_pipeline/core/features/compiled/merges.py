"""Merges of two adjacent windows, compiled: those of moments.py and operators.py, row by row.

Arrays are one symbol's: a state has shape (parts, rows). The functions are compiled with what calls
them.
"""

import numpy as np
import numpy.typing as npt

from trading_pipeline.core.features.compiled.compiling import jit

Values = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


@jit
def unit(x: Values, y: Values, state: Values) -> None:
    """Count, sum and second moment of every single row."""
    valid, total, second = state[0, 0], state[0, 1], state[0, 2]
    for row in range(len(y)):
        known = np.isfinite(x[row]) and np.isfinite(y[row])
        valid[row] = known
        total[row] = y[row] if known else 0.0
        second[row] = 0.0


@jit
def merge(new: Values, old: Values, rows: int, out: Values) -> None:
    """Chan, Golub and LeVeque's update of centered moments: count, sum, second moment of y."""
    before = min(rows, new.shape[1])
    for part in range(3):
        out[part, :before] = new[part, :before]
    n_new, s_new, m_new = new[0][rows:], new[1][rows:], new[2][rows:]
    n_old, s_old, m_old = old[0], old[1], old[2]
    n_out, s_out, m_out = out[0][rows:], out[1][rows:], out[2][rows:]
    for row in range(len(n_new)):
        n, m = n_new[row], n_old[row]
        scale = 1.0 / max(n * m * (n + m), 1.0)
        gap = s_old[row] * n - s_new[row] * m
        n_out[row] = n + m
        s_out[row] = s_new[row] + s_old[row]
        m_out[row] = (m_new[row] + m_old[row]) + gap * gap * scale


@jit
def merge_pairs(new: Values, old: Values, rows: int, aged: float, out: Values) -> None:  # noqa: PLR0917
    """The same of x beside y: sum of x, its second moment, the co-moment; x is `aged` a merge."""
    before = min(rows, new.shape[1])
    for part in range(3, 6):
        out[part, :before] = new[part, :before]
    n_new, s_new = new[0][rows:], new[1][rows:]
    x_new, xx_new, xy_new = new[3][rows:], new[4][rows:], new[5][rows:]
    x_out, xx_out, xy_out = out[3][rows:], out[4][rows:], out[5][rows:]
    n_old, s_old, x_old, xx_old, xy_old = old[0], old[1], old[3], old[4], old[5]
    for row in range(len(n_new)):
        n, m = n_new[row], n_old[row]
        scale = 1.0 / max(n * m * (n + m), 1.0)
        gap = s_old[row] * n - s_new[row] * m
        older = aged * m
        x_gap = (x_old[row] + older) * n - x_new[row] * m
        x_out[row] = (x_new[row] + x_old[row]) + older
        xx_out[row] = (xx_new[row] + xx_old[row]) + x_gap * x_gap * scale
        xy_out[row] = (xy_new[row] + xy_old[row]) + x_gap * gap * scale


@jit
def add(new: Values, old: Values, rows: int, out: Values) -> None:
    """The sum of a part of both windows."""
    before = min(rows, len(new))
    out[:before] = new[:before]
    later, into = new[rows:], out[rows:]
    for row in range(len(later)):
        into[row] = later[row] + old[row]


@jit
def extreme(new: Values, old: Values, rows: int, out: Values) -> None:
    """The higher value of both windows, what it beats, and its age; in a tie the older one's."""
    before = min(rows, new.shape[1])
    for part in range(3):
        out[part, :before] = new[part, :before]
    best, beats, age = new[0][rows:], new[1][rows:], new[2][rows:]
    best_old, beats_old, age_old = old[0], old[1], old[2]
    best_out, beats_out, age_out = out[0][rows:], out[1][rows:], out[2][rows:]
    for row in range(len(best)):
        a, b = best[row], best_old[row]
        best_out[row] = a if (a >= b or np.isnan(b)) else b
        c, d = beats[row], beats_old[row]
        beats_out[row] = c if c >= d else d
        age_out[row] = age_old[row] + rows if d >= c else age[row]
