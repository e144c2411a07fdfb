"""Replay a strategy over past sessions: what it would have decided, and what came of it.

Scores, target weights, orders and values are made by the very functions of the trading day, from
what the lake knew at each close. Predictions that the trading day stored are taken as they are;
sessions without any are predicted now, by a release that saw nothing later: one for all of them, or
walking forward, a new one every so many sessions. Nothing is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.accounting.book import Entry
from trading_pipeline.core.backtest.engine import Backtest
from trading_pipeline.core.backtest.engine import backtest as run
from trading_pipeline.core.backtest.market import MARK_SESSIONS, History
from trading_pipeline.core.backtest.panel import Panel, dense
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.market.calendar import session_window, sessions_between
from trading_pipeline.core.market.quality import is_suspect
from trading_pipeline.core.market.restatements import current
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import rank
from trading_pipeline.core.portfolio.targets import targets_as_of
from trading_pipeline.core.strategies.as_of import scores_as_of
from trading_pipeline.errors import MissingDataError, ModelError
from trading_pipeline.flows.know import Cast, actions, known, own_features, universe_of
from trading_pipeline.flows.predict import predicted
from trading_pipeline.flows.risk_view import VOLUME_SESSIONS, market_facts
from trading_pipeline.flows.score import ground_of
from trading_pipeline.flows.shelf import Shelf

Ensure = Callable[[str, date, int | None], Release]
"""Returns the release of a model that may decide on a session, trained at most so many ago."""

_NO_MODEL: Final = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is replayed: a strategy over first…last, by which rules it weighs and trades."""

    cast: Cast
    first: date
    last: date
    allocation: AllocationRules
    rules: BacktestRules

    @property
    def symbols(self) -> tuple[str, ...]:
        """The universe, and the benchmark."""
        more = {self.rules.benchmark} - {""}
        return tuple(sorted({*self.cast.symbols, *more}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A backtest, the signals and weights it came from, and the market it ran in.

    `versions` are those of the models that predicted, by model.
    """

    study: Study
    result: Backtest
    signals: pl.DataFrame
    targets: pl.DataFrame
    history: History
    panel: Panel
    versions: Mapping[str, str]


def replay(lake: Lake, study: Study, ensure: Ensure, *, opening: Sequence[Entry] = ()) -> Replayed:
    """Return what the strategy would have done in the study's sessions.

    `opening` are the entries the account begins with, as in `engine.backtest`.

    Raises MissingDataError where the lake lacks what the sessions need, or where no session has a
    universe large enough for the portfolio.
    """
    cast, sessions = study.cast, sessions_between(study.first, study.last)
    predictions = predictions_of(lake, study, sessions, ensure)
    scores = scores_as_of(cast.strategy, known(lake, cast, sessions, predictions), sessions)
    signals = rank(scores, strategy=cast.name)
    targets = targets_of(lake, study, signals)
    history = history_of(lake, study, sessions)
    return Replayed(
        study=study,
        result=run(targets, history, study.rules, opening=opening),
        signals=signals,
        targets=targets,
        history=history,
        panel=dense(
            history.bars, history.actions, sessions=sessions, symbols=sorted(study.symbols)
        ),
        versions=_versions(predictions, cast),
    )


def predictions_of(
    lake: Lake, study: Study, sessions: Sequence[date], ensure: Ensure
) -> pl.DataFrame:
    """Return the predictions of every model the strategy asks, stored ones where there are any.

    Raises ModelError where a release has seen more than was known in the session.
    """
    cast, every = study.cast, study.rules.retrain_every
    past = session_window(sessions[0], cast.strategy.prediction_look_back)
    stored = lake.read("predictions", past[0], sessions[-1])
    days = universe_of(lake, cast.symbols, sessions)["session"].unique()
    parts = [stored.clear()]
    for name in cast.models:
        said = stored.filter(pl.col("strategy") == name)
        parts.append(said)
        unsaid = sorted(set(days) - set(said["session"]))
        for at in range(0, len(unsaid), every or max(len(unsaid), 1)):
            span = unsaid[at : at + every] if every else unsaid
            release, own = ensure(name, span[0], every), own_features(cast, name)
            _require_past(release, span[0])
            parts.append(predicted(lake, release, strategy=name, sessions=span, own=own))
    return pl.concat(parts)


def _require_past(release: Release, session: date) -> None:
    seen = release.manifest.trained_through
    if seen > session:
        raise ModelError(
            f"{release.model_version} has seen prices of {seen}: it cannot decide on {session}."
        )


def targets_of(lake: Lake, study: Study, signals: pl.DataFrame) -> pl.DataFrame:
    """Return the weights of every session whose universe is large enough for the portfolio."""
    needed, sectors = study.allocation.names.needed, study.rules.limits.sector_of
    large = signals.filter(pl.len().over("session") >= needed)
    if large.is_empty():
        raise MissingDataError(
            f"No session has the {needed} scored symbols that the portfolio needs."
        )
    first = large["session"].sort()[0]
    return targets_as_of(
        large,
        study.allocation,
        lambda: ground_of(lake, study.cast, (first, study.last), sectors),
    )[0]


def history_of(lake: Lake, study: Study, sessions: Sequence[date]) -> History:
    """Return what happened in the sessions, and what was known of it, from the lake."""
    limits, cast, symbols = study.rules.limits, study.cast, study.symbols
    reach = max(MARK_SESSIONS, limits.correlation_look_back + 1, VOLUME_SESSIONS)
    first, last = session_window(sessions[0], reach)[0], sessions[-1]
    shelf = Shelf(lake, symbols, first, last)
    aside = shelf.read("quarantined_bars", first, last).filter(is_suspect())
    suspects = aside.group_by("session").agg("symbol")

    def facts(session: date) -> Mapping[str, Any]:
        found = market_facts(
            shelf, cast.symbols, session, limits=limits, convention=cast.convention
        )
        return {
            "average_volumes": found.average_volumes,
            "sessions_behind": found.sessions_behind,
            "suspects": found.suspects,
            "returns": found.returns,
        }

    raw = current(shelf.read("raw_bars", first, last))
    return History(
        bars=raw.unique(["symbol", "session"], keep="first", maintain_order=True),
        actions=actions(lake, symbols, first, last),
        clean=shelf.read("clean_bars", first, last),
        suspended=dict(suspects.select("session", "symbol").iter_rows()),
        facts=facts,
    )


def _versions(predictions: pl.DataFrame, cast: Cast) -> dict[str, str]:
    found = predictions.group_by("strategy").agg(pl.col("model_version").unique().sort())
    said = dict(found.iter_rows())
    return {name: ", ".join(said.get(name, ())) for name in cast.models} or {_NO_MODEL: _NO_MODEL}
