"""Bars of a block, and what several features are made from."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from trading_pipeline.core.features import operators as op
from trading_pipeline.core.features.moments import Moments, co_moments, moments, trends
from trading_pipeline.core.features.operators import EPS, WINDOWS, Values


class Bars:
    """Adjusted bars of several symbols, and what several features are made from.

    Arrays are (rows, lanes) of the newest rows; what is by window maps its length to one. Each is
    computed once, when a feature first asks for it.
    """

    def __init__(self, values: npt.NDArray[np.float64], newest: int | None = None) -> None:
        """Take (fields, rows, lanes) in the order of FIELDS; only `newest` rows are given back."""
        self._rows = values.shape[1]
        self._cut = slice(None if newest is None else -newest, None)
        _, self._high, self._low, self._close, self._volume, _ = values
        self.open, self.high, self.low, self.close, self.volume, self.vwap = values[:, self._cut]

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
    def earlier(self) -> dict[int, Values]:
        """Close as many rows earlier as a window is long."""
        return {window: op.ref(self._close, window)[self._cut] for window in WINDOWS}

    @cached_property
    def lengths(self) -> dict[int, Values]:
        """Rows by window."""
        return {window: rows[self._cut] for window, rows in op.lengths(self._rows).items()}

    @cached_property
    def closes(self) -> dict[int, Moments]:
        """Close, and its regression on time."""
        return self._newest(self._trend)

    @cached_property
    def highest(self) -> dict[int, op.Extreme]:
        """Maximum of high."""
        return self._extremes(op.highest(self._high))

    @cached_property
    def lowest(self) -> dict[int, op.Extreme]:
        """Minimum of low."""
        return self._extremes(op.lowest(self._low))

    @cached_property
    def quantiles(self) -> dict[int, tuple[Values, ...]]:
        """The 0.8 and the 0.2 quantile of close."""
        return op.quantiles(self._close, self._valid, (0.8, 0.2), newest=len(self.close))

    @cached_property
    def ranks(self) -> dict[int, Values]:
        """Rank of the newest close."""
        return op.ranks(self._close, self._valid, newest=len(self.close))

    @cached_property
    def moves(self) -> dict[int, op.Moves]:
        """Rises and falls of close."""
        return self._moved(self._close)

    @cached_property
    def volume_moves(self) -> dict[int, op.Moves]:
        """Rises and falls of volume."""
        return self._moved(self._volume)

    @cached_property
    def volumes(self) -> dict[int, Moments]:
        """Volume."""
        return self._newest(moments(self._volume))

    @cached_property
    def traded_moves(self) -> dict[int, Moments]:
        """Size of the close's relative change times volume."""
        return self._newest(moments(np.abs(self._change - 1) * self._volume))

    @cached_property
    def close_and_volume(self) -> dict[int, Values]:
        """Correlation of close and log volume."""
        return self._correlation(self._close, np.log(self._volume + 1), self._trend)

    @cached_property
    def changes(self) -> dict[int, Values]:
        """Correlation of the changes of close and volume."""
        log_change = np.log(self._volume / op.ref(self._volume, 1) + 1)
        return self._correlation(self._change, log_change, moments(self._change))

    @cached_property
    def _change(self) -> Values:
        """Close over the close before."""
        return self._close / op.ref(self._close, 1)

    @cached_property
    def _trend(self) -> dict[int, Moments]:
        return trends(self._close)

    @cached_property
    def _valid(self) -> dict[int, Values]:
        """Rows with a close, by window."""
        return {window: trend.n for window, trend in self.closes.items()}

    def _newest(self, of: dict[int, Moments]) -> dict[int, Moments]:
        return {window: Moments(its.state[:, self._cut]) for window, its in of.items()}

    def _moved(self, column: Values) -> dict[int, op.Moves]:
        return {w: op.Moves(its.state[:, self._cut]) for w, its in op.moves(column).items()}

    def _extremes(self, of: dict[int, op.Extreme]) -> dict[int, op.Extreme]:
        cut = self._cut
        return {w: op.Extreme(its.value[cut], its.position[cut]) for w, its in of.items()}

    def _correlation(self, x: Values, y: Values, of_x: dict[int, Moments]) -> dict[int, Values]:
        both, own_x, own_y = (self._newest(of) for of in (co_moments(x, y), of_x, moments(y)))
        return {w: both[w].correlation(own_x[w].std, own_y[w].std) for w in WINDOWS}
