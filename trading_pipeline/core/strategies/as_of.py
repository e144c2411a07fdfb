"""Scores and features of past sessions, each from what was known at its close.

Every session is scored from a window of its own, adjusted as of itself: a range gives, to the last
bit, what its sessions give one by one, so that a backtest says what the trading day said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.corporate_actions import Convention, adjust
from trading_pipeline.core.strategies.base import Featurize, Strategy

_KEY = ("symbol", "session")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Raw clean bars, the corporate actions to adjust them by, and how."""

    bars: pl.DataFrame
    actions: pl.DataFrame
    convention: Convention

    def windows(
        self, sessions: Sequence[date], look_back: int
    ) -> Iterator[tuple[date, pl.DataFrame]]:
        """Yield each session with the bars of its look-back, adjusted as of it."""
        ordered = self.bars.sort("session", maintain_order=True)
        days = ordered["session"]
        for session in sessions:
            first = days.search_sorted(session_window(session, look_back)[0], "left")
            window = ordered.slice(first, days.search_sorted(session, "right") - first)
            yield session, adjust(window, self.actions, convention=self.convention, as_of=session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a strategy may be given: of each session what was known at its close.

    `universe` are symbol and session of what may trade; other symbols' rows are left out. `prices`
    reach back as far as the strategy looks.
    """

    universe: pl.DataFrame
    predictions: pl.DataFrame
    features: pl.DataFrame
    prices: Prices


def scores_as_of(strategy: Strategy, known: Known, sessions: Sequence[date]) -> pl.DataFrame:
    """Return the scores of the sessions: symbol, session, score, sorted by session and symbol."""
    features = among(known.features, known.universe)
    predictions = among(known.predictions, known.universe)
    if not strategy.look_back:
        return strategy(_of(features, sessions), _of(predictions, sessions), None)
    parts: list[pl.DataFrame] = []
    for session, bars in _tradable(known, sessions, strategy.look_back):
        said = _of(predictions, session_window(session, strategy.prediction_look_back))
        parts.append(_today(strategy(_of(features, [session]), said, bars), session))
    return pl.concat(parts) if parts else _NO_SCORES


def features_as_of(
    featurize: Featurize, prices: Prices, sessions: Sequence[date], *, look_back: int
) -> pl.DataFrame:
    """Return a strategy's own features of the sessions, sorted by session and symbol.

    A symbol has a row in each session in which it has a bar.
    """
    parts = [
        _today(featurize(bars), session) for session, bars in prices.windows(sessions, look_back)
    ]
    return pl.concat(parts).sort("session", "symbol")


_NO_SCORES = pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date, "score": pl.Float64})


def _tradable(
    known: Known, sessions: Sequence[date], look_back: int
) -> Iterator[tuple[date, pl.DataFrame]]:
    """Yield the windows with the bars of each session's universe only."""
    of_session = known.universe.group_by("session").agg("symbol")
    universe = dict(of_session.select("session", "symbol").iter_rows())
    for session, bars in known.prices.windows(sessions, look_back):
        yield session, bars.filter(pl.col("symbol").is_in(universe.get(session, [])))


def among(frame: pl.DataFrame, universe: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose symbol may trade in their session."""
    if frame.is_empty():
        return frame
    return frame.join(universe, on=_KEY, how="semi", maintain_order="left")


def _of(frame: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    return frame if frame.is_empty() else frame.filter(pl.col("session").is_in(list(sessions)))


def _today(frame: pl.DataFrame, session: date) -> pl.DataFrame:
    return frame.filter(pl.col("session") == session)
