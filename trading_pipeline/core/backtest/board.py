"""What a strategy says of many sessions at once, for sweeps: bars are laid out once for all rules.

Scores come from one long window, adjusted as of its last session. They are those of the trading day
(`strategies.as_of`) but for rounding where a strategy's look-back forgets what lies before it, and
its scores know no unit of price.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.backtest.panel import Panel, Values, on_grid
from trading_pipeline.core.features.normalize import zscores
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.core.strategies.as_of import Known, among
from trading_pipeline.core.strategies.base import ByRules, Strategy
from trading_pipeline.core.strategies.lanes import Lanes, lay

Places = npt.NDArray[np.intp]


class Board:
    """What strategies may know of a panel's sessions, laid out once."""

    def __init__(self, known: Known, panel: Panel) -> None:
        """Adjust the bars as of the panel's last session, and lay them out."""
        self._known, self._panel = known, panel
        prices = known.prices
        self._bars = adjust(
            prices.bars, prices.actions, convention=prices.convention, as_of=panel.sessions[-1]
        )
        self._lanes = lay(self._bars)
        self._bar_of, self._place_of = _places(self._lanes, panel)
        tradable = known.universe.select("symbol", "session", one=pl.lit(1.0))
        self._tradable = ~np.isnan(on_grid(tradable, "one", panel))

    def scores(self, strategy: Strategy) -> Values:
        """Return the scores on the panel, shape (sessions, symbols), NaN where there is none."""
        if strategy.by_rules is not None:
            return self._by_rules(strategy.by_rules)
        universe = self._known.universe
        features, predictions = (
            among(frame, universe) for frame in (self._known.features, self._known.predictions)
        )
        found = strategy(features, predictions, self._bars if strategy.look_back else None)
        return on_grid(among(found, universe), "score", self._panel)

    def _by_rules(self, rules: ByRules) -> Values:
        grid = np.full(self._tradable.shape, np.nan)
        grid.ravel()[self._place_of] = rules.wanted(self._lanes).ravel()[self._bar_of]
        grid[~self._tradable] = np.nan
        return zscores(grid) if rules.compares else grid


def _places(lanes: Lanes, panel: Panel) -> tuple[Places, Places]:
    """Return where in the lanes the panel's bars lie, and where on the panel."""
    at = lanes.row * lanes.close.shape[1] + lanes.lane
    grid = on_grid(lanes.keys.with_columns(at=pl.Series(at)), "at", panel).ravel()
    places = np.flatnonzero(~np.isnan(grid))
    return grid[places].astype(np.intp), places
