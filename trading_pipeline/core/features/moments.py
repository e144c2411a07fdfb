"""Mean, spread, line and correlation over windows, by Chan's merge of centered moments.

Shapes, windows and the treatment of NaN are those of operators.py. Because moments are centered
when two windows merge, nothing cancels: a full window of one repeated value has a spread of exactly
0, and one with gaps a spread of its rounding.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading_pipeline.core.features.operators import Values, over_windows

FLAT = 2e-5
"""A standard deviation up to this counts as none where a correlation divides by it (qlib)."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and spread of a column y, or of a column x beside it, over a window.

    Parts of the state: n valid rows, the sum of y, its centered second moment yy; with an x also
    its sum, xx and xy. A row is valid when y (and x) is finite.
    """

    state: Values

    @property
    def n(self) -> Values:
        """How many rows are valid."""
        return self.state[0]

    @property
    def mean(self) -> Values:
        """Mean of y; NaN without a valid row."""
        return self.state[1] / self.state[0]

    @property
    def std(self) -> Values:
        """Sample standard deviation of y (ddof = 1); NaN below two valid rows."""
        return np.sqrt(self.state[2] / np.where(self.n > 1, self.n - 1, np.nan))

    @property
    def slope(self) -> Values:
        """Least-squares change of y a row, x being the age of a row; NaN below two valid rows."""
        return -self.state[5] / self.state[4]

    @property
    def rsquare(self) -> Values:
        """Share of y's variance that its line explains; NaN for a flat y or below two rows."""
        return _unless_flat(self.state[5] ** 2 / (self.state[4] * self.state[2]), self.std)

    def residual(self, y: Values) -> Values:
        """How far the newest y is above its line, which has n·age = sum of x at the mean."""
        return y - self.mean - self.slope * (self.state[3] / self.n)

    def correlation(self, x_std: Values, y_std: Values) -> Values:
        """Pearson correlation of x and y; NaN when either, over its own valid rows, is flat."""
        found = self.state[5] / np.sqrt(self.state[4] * self.state[2])
        return _unless_flat(_unless_flat(found, x_std), y_std)


def moments(y: Values) -> dict[int, Moments]:
    """Count, mean and standard deviation of y, by window."""
    return _moments(np.isfinite(y), y, None)


def trends(y: Values) -> dict[int, Moments]:
    """The same, and the regression of y on the age of its rows, by window."""
    return _moments(np.isfinite(y), y, np.zeros_like(y), ages=True)


def co_moments(x: Values, y: Values) -> dict[int, Moments]:
    """The moments of x and y over the rows where both are finite, by window."""
    return _moments(np.isfinite(x) & np.isfinite(y), y, x)


def _moments(
    valid: npt.NDArray[np.bool_], y: Values, x: Values | None, *, ages: bool = False
) -> dict[int, Moments]:
    unit = np.zeros((3 if x is None else 6, *y.shape))
    unit[0] = valid
    unit[1] = np.where(valid, y, 0.0)
    if x is not None:
        unit[3] = np.where(valid, x, 0.0)

    def merge(new: Values, old: Values, rows: int, out: Values) -> None:
        """Chan, Golub and LeVeque's update of centered moments."""
        n, m = new[0], old[0]
        scale = 1.0 / np.maximum(n * m * (n + m), 1.0)
        y_gap = old[1] * n - new[1] * m
        np.add(new, old, out=out)
        out[2] += y_gap * y_gap * scale
        if x is None:
            return
        older = rows * m if ages else 0.0
        x_gap = (old[3] + older) * n - new[3] * m
        out[3] += older
        out[4] += x_gap * x_gap * scale
        out[5] += x_gap * y_gap * scale

    return {window: Moments(state) for window, state in over_windows(unit, merge).items()}


def _unless_flat(x: Values, std: Values) -> Values:
    return np.where(std <= FLAT, np.nan, x)
