"""Bars of a block, and what several features are made from."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from trading_pipeline.core.features import operators as op
from trading_pipeline.core.features.moments import Moments, co_moments, moments, trends
from trading_pipeline.core.features.operators import EPS, WINDOWS, Values


class Bars:
    """Adjusted bars of several symbols, and what several features are made from.

    Arrays are (rows, lanes); what is by window maps its length to one. Each is computed once, when
    a feature first asks for it.
    """

    def __init__(self, values: npt.NDArray[np.float64]) -> None:
        """Take an array of (fields, rows, lanes) in the order of FIELDS."""
        self.open, self.high, self.low, self.close, self.volume, self.vwap = values

    @cached_property
    def span(self) -> Values:
        """High - low, never 0."""
        return self.high - self.low + EPS

    @cached_property
    def top(self) -> Values:
        """The higher one of open and close."""
        return np.maximum(self.open, self.close)

    @cached_property
    def bottom(self) -> Values:
        """The lower one of open and close."""
        return np.minimum(self.open, self.close)

    @cached_property
    def change(self) -> Values:
        """Close over the close before."""
        return self.close / op.ref(self.close, 1)

    @cached_property
    def log_volume(self) -> Values:
        """Log of volume + 1."""
        return np.log(self.volume + 1)

    @cached_property
    def log_volume_change(self) -> Values:
        """Log of volume over the volume before, + 1."""
        return np.log(self.volume / op.ref(self.volume, 1) + 1)

    @cached_property
    def lengths(self) -> dict[int, Values]:
        """Rows by window."""
        return op.lengths(len(self.close))

    @cached_property
    def valid(self) -> dict[int, Values]:
        """Rows with a close, by window."""
        return {window: trend.n for window, trend in self.closes.items()}

    @cached_property
    def closes(self) -> dict[int, Moments]:
        """Close, and its regression on time."""
        return trends(self.close)

    @cached_property
    def highest(self) -> dict[int, op.Extreme]:
        """Maximum of high."""
        return op.highest(self.high)

    @cached_property
    def lowest(self) -> dict[int, op.Extreme]:
        """Minimum of low."""
        return op.lowest(self.low)

    @cached_property
    def quantiles(self) -> dict[int, tuple[Values, ...]]:
        """The 0.8 and the 0.2 quantile of close."""
        return op.quantiles(self.close, self.valid, (0.8, 0.2))

    @cached_property
    def ranks(self) -> dict[int, Values]:
        """Rank of the newest close."""
        return op.ranks(self.close, self.valid)

    @cached_property
    def moves(self) -> dict[int, op.Moves]:
        """Rises and falls of close."""
        return op.moves(self.close)

    @cached_property
    def volume_moves(self) -> dict[int, op.Moves]:
        """Rises and falls of volume."""
        return op.moves(self.volume)

    @cached_property
    def volumes(self) -> dict[int, Moments]:
        """Volume."""
        return moments(self.volume)

    @cached_property
    def traded_moves(self) -> dict[int, Moments]:
        """Size of the close's relative change times volume."""
        return moments(np.abs(self.change - 1) * self.volume)

    @cached_property
    def close_and_volume(self) -> dict[int, Values]:
        """Correlation of close and log volume."""
        return self._correlation(self.close, self.log_volume)

    @cached_property
    def changes(self) -> dict[int, Values]:
        """Correlation of the changes of close and volume."""
        return self._correlation(self.change, self.log_volume_change)

    @staticmethod
    def _correlation(x: Values, y: Values) -> dict[int, Values]:
        both, own_x, own_y = co_moments(x, y), moments(x), moments(y)
        return {w: both[w].correlation(own_x[w].std, own_y[w].std) for w in WINDOWS}
