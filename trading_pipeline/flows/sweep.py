"""Try many parameters of a strategy over the same sessions, fast, to be told from luck.

Scores come from one long window and trades fill whole or in fractions at the open, without the
gate: see `core.backtest.vectorized`. What looks good is to be replayed by `flows.backtest`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.accounting.performance import (
    Performance,
    deflated_sharpe,
    performance,
)
from trading_pipeline.core.backtest.vectorized import Panel, by_shares, dense, on_grid
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.portfolio.construction import weigh_dense
from trading_pipeline.core.strategies.as_of import Known, scores_at_once
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.backtest import Ensure, Study, history_of, predictions_of
from trading_pipeline.flows.know import known

_BY = "top_n"

Tell = Callable[[int, int], None]
"""Told how many trials are done, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A trial: what was changed, by name, and what came of it."""

    changes: Mapping[str, str]
    study: Study
    returns: tuple[float, ...]
    performance: Performance


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Every trial, the best Sharpe ratio first, and what is left of the best one after luck.

    `deflated_sharpe` is the probability that the true ratio of the best exceeds what the best of
    all `trials` would show without any skill; `trials` counts those on record before, too.
    """

    tried: tuple[Tried, ...]
    trials: int
    deflated_sharpe: float | None


def sweep(
    lake: Lake,
    trials: Sequence[tuple[Mapping[str, str], Study]],
    ensure: Ensure,
    *,
    tell: Tell,
    others: Sequence[float] = (),
) -> Swept:
    """Return what every trial comes to; `others` are Sharpe ratios of earlier trials.

    All trials are of one strategy and the same sessions. Trials that share the rules of the
    strategy share their scores. One that loses everything is left out of the table, and counts.
    """
    if not trials:
        raise SettingsError("There is no parameter to try: at least one trial is expected.")
    if method := next((s.allocation.method for _, s in trials if s.allocation.method != _BY), None):
        raise SettingsError(f"A sweep weighs by {_BY}: the allocation is by {method}.")
    world, scores = _World.of(lake, [study for _, study in trials], ensure), _Scores()
    found: list[Tried] = []
    for done, (changes, study) in enumerate(trials):
        tell(done, len(trials))
        series = world.run(study, scores.of(study, world))
        if series is not None:
            result = performance(series)
            found.append(
                Tried(changes=changes, study=study, returns=tuple(series), performance=result)
            )
    tell(len(trials), len(trials))
    found.sort(key=lambda each: -(each.performance.sharpe or float("-inf")))
    ratios = [each.performance.sharpe or 0.0 for each in found]
    tried = [*others, *ratios]
    return Swept(
        tried=tuple(found),
        trials=len(others) + len(trials),
        deflated_sharpe=deflated_sharpe(found[0].returns, tried) if found else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What all trials share: the market, and what the strategy may know."""

    sessions: tuple[date, ...]
    panel: Panel
    known: Known

    @classmethod
    def of(cls, lake: Lake, studies: Sequence[Study], ensure: Ensure) -> "_World":
        first = studies[0]
        sessions = sessions_between(first.first, first.last)
        widest = max(studies, key=lambda study: study.cast.strategy.look_back)
        predictions = predictions_of(lake, widest.cast, sessions, ensure)
        history = history_of(lake, first, sessions)
        panel = dense(
            history.bars, history.actions, sessions=sessions, symbols=sorted(first.cast.symbols)
        )
        return cls(
            sessions=tuple(sessions),
            panel=panel,
            known=known(lake, widest.cast, sessions, predictions),
        )

    def run(self, study: Study, scores: npt.NDArray[np.float64]) -> list[float] | None:
        """Return the returns of a trial by session; None where everything was lost."""
        weights = weigh_dense(scores, study.allocation.names)
        navs = by_shares(weights, self.panel, study.rules)
        return (navs[1:] / navs[:-1] - 1).tolist() if (navs > 0).all() else None


class _Scores:
    """The scores of the trials, made once for each set of rules."""

    def __init__(self) -> None:
        self._made: dict[int, npt.NDArray[np.float64]] = {}

    def of(self, study: Study, world: _World) -> npt.NDArray[np.float64]:
        """Return the scores on the panel's grid, NaN where there is none."""
        key = id(study.cast.among)
        if key not in self._made:
            found = scores_at_once(study.cast.strategy, world.known, world.sessions)
            self._made[key] = on_grid(found, "score", world.panel)
        return self._made[key]


def table(swept: Swept) -> pl.DataFrame:
    """Return a row a trial, the best first: what was changed, and its figures."""
    return pl.DataFrame(
        [
            {
                **each.changes,
                "sharpe": each.performance.sharpe,
                "total_return": each.performance.total_return,
                "volatility": each.performance.volatility,
                "max_drawdown": each.performance.max_drawdown,
            }
            for each in swept.tried
        ]
    )
