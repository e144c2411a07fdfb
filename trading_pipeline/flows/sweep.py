"""Try many parameters of a strategy over the same sessions, fast, to be told from luck.

Scores come from one long window (`core.backtest.board`), and trades fill in fractions of shares at
the open, without the gate (`core.backtest.vectorized`). What looks good is to be replayed by
`flows.backtest`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.accounting.performance import (
    Performance,
    deflated_sharpe,
    performance,
)
from trading_pipeline.core.backtest.board import Board
from trading_pipeline.core.backtest.panel import Panel, Values, dense, rows_of, weights_on
from trading_pipeline.core.backtest.vectorized import by_shares
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.portfolio.construction import rank, weigh_dense
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.backtest import Ensure, Study, history_of, predictions_of, targets_of
from trading_pipeline.flows.know import known

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

    All trials are of one strategy and the same sessions. Those that share the rules of the strategy
    share their scores. One that loses everything is left out of the table, and counts.
    """
    if not trials:
        raise SettingsError("There is no parameter to try: at least one trial is expected.")
    if len({study.rules.retrain_every for _, study in trials}) > 1:
        raise SettingsError("retrain_every cannot be varied: all trials are given the same models.")
    world = World.of(lake, [study for _, study in trials], ensure)
    found: list[Tried] = []
    tell(0, len(trials))
    for done, (changes, study, series) in enumerate(world.tried(trials), 1):
        if series is not None:
            result = performance(series)
            found.append(
                Tried(changes=changes, study=study, returns=tuple(series), performance=result)
            )
        tell(done, len(trials))
    found.sort(key=lambda each: -(each.performance.sharpe or float("-inf")))
    ratios = [each.performance.sharpe or 0.0 for each in found]
    return Swept(
        tried=tuple(found),
        trials=len(others) + len(trials),
        deflated_sharpe=deflated_sharpe(found[0].returns, [*others, *ratios]) if found else None,
    )


Trial = tuple[Mapping[str, str], Study]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What all trials share: the market, and what the strategy may know."""

    lake: Lake
    panel: Panel
    board: Board

    @classmethod
    def of(cls, lake: Lake, studies: Sequence[Study], ensure: Ensure) -> "World":
        """Gather it from the lake, for all studies as for the one that looks back furthest."""
        first = studies[0]
        sessions = sessions_between(first.first, first.last)
        widest = max(studies, key=lambda study: study.cast.strategy.look_back)
        predictions = predictions_of(lake, widest, sessions, ensure)
        history = history_of(lake, first, sessions)
        panel = dense(
            history.bars,
            history.actions,
            sessions=sessions,
            symbols=sorted(first.cast.symbols),
            convention=first.cast.convention,
        )
        given = known(lake, widest.cast, sessions, predictions)
        return cls(lake=lake, panel=panel, board=Board(given, panel))

    def tried(
        self, trials: Sequence[Trial]
    ) -> Iterator[tuple[Mapping[str, str], Study, list[float] | None]]:
        """Yield each trial with its returns by session, None where everything was lost.

        Trials with the same rules follow each other; those with others run side by side.
        """
        groups: dict[int, list[Trial]] = {}
        for trial in trials:
            groups.setdefault(id(trial[1].cast.among), []).append(trial)
        with ThreadPoolExecutor() as pool:
            for alike, made in zip(
                groups.values(), pool.map(self._run_alike, groups.values()), strict=True
            ):
                for (changes, study), series in zip(alike, made, strict=True):
                    yield changes, study, series

    def _run_alike(self, alike: Sequence[Trial]) -> list[list[float] | None]:
        scores = self.board.scores(alike[0][1].cast.strategy)
        return [self._run(study, scores) for _, study in alike]

    def _run(self, study: Study, scores: Values) -> list[float] | None:
        navs = by_shares(self._weights(study, scores), self.panel, study.rules)
        return (navs[1:] / navs[:-1] - 1).tolist() if (navs > 0).all() else None

    def _weights(self, study: Study, scores: Values) -> Values:
        """Return weights by counting at once, and those by any other method as the day does."""
        if study.allocation.method == "top_n":
            return weigh_dense(scores, study.allocation.names)
        signals = rank(rows_of(scores, "score", self.panel), strategy=study.cast.name)
        return weights_on(targets_of(self.lake, study, signals), self.panel)


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
