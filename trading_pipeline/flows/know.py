"""Gather what a strategy may know of past sessions from the lake, each as at its close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import polars as pl

from trading_pipeline.adapters.lake import Lake, empty
from trading_pipeline.core.market.announcements import credible
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.core.market.quality import is_suspect
from trading_pipeline.core.market.restatements import known_actions
from trading_pipeline.core.strategies import STRATEGIES, models_of
from trading_pipeline.core.strategies.as_of import Known, Prices, features_as_of
from trading_pipeline.core.strategies.base import Featurize, Strategy
from trading_pipeline.errors import MissingDataError

_KEY: Final = ["symbol", "session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who is asked, about which symbols: a strategy by name, among those it may combine."""

    name: str
    symbols: tuple[str, ...]
    convention: Convention
    among: Mapping[str, Strategy] = field(default_factory=lambda: STRATEGIES)

    @property
    def strategy(self) -> Strategy:
        """The strategy itself."""
        return self.among[self.name]

    @property
    def models(self) -> tuple[str, ...]:
        """The strategies whose models it asks; none for rules."""
        return models_of(self.name, self.among)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFeatures:
    """The features of a model that reads none of the lake's: computed from clean bars."""

    featurize: Featurize
    look_back: int
    symbols: tuple[str, ...]
    convention: Convention

    def rows(self, lake: Lake, sessions: Sequence[date]) -> pl.DataFrame:
        """Return the features of the sessions, each as of itself, of symbols with a clean bar.

        A suspect bar has none, as in the lake's table of features.
        """
        asked = sorted(set(sessions))
        given = prices(lake, self, asked)
        found = features_as_of(self.featurize, given, asked, look_back=self.look_back)
        aside = lake.read("quarantined_bars", asked[0], asked[-1], symbols=self.symbols)
        return found.join(aside.filter(is_suspect()), on=_KEY, how="anti", maintain_order="left")


def own_features(cast: Cast, name: str) -> OwnFeatures | None:
    """Return how the model of the strategy `name` gets its features; None when from the lake."""
    strategy = cast.among[name]
    if strategy.featurize is None:
        return None
    return OwnFeatures(
        featurize=strategy.featurize,
        look_back=strategy.feature_look_back,
        symbols=cast.symbols,
        convention=cast.convention,
    )


def prices(lake: Lake, cast: Cast | OwnFeatures, sessions: Sequence[date]) -> Prices:
    """Return the clean bars up to the last of the sessions, as far back as is looked from any."""
    look_back = cast.strategy.look_back if isinstance(cast, Cast) else cast.look_back
    needed = session_window(sessions[0], max(look_back, 1))
    first, last = needed[0], sessions[-1]
    missing = sorted(set(needed) - lake.held("clean_bars", first, last, symbols=cast.symbols))
    if look_back and missing:
        raise MissingDataError(
            f"{sessions[0]} needs clean bars of the {len(needed)} sessions that end with it, "
            f"{len(missing)} are not held, the first {missing[0]}: materialize them."
        )
    return Prices(
        bars=lake.read("clean_bars", first, last, symbols=cast.symbols),
        actions=actions(lake, cast.symbols, first, last),
        convention=cast.convention,
    )


def actions(lake: Lake, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
    """Return the corporate actions known now that no check speaks against."""
    deliveries = lake.read("corporate_actions", first, last, symbols=symbols)
    checks = lake.read("action_checks", first, last, symbols=symbols)
    return credible(known_actions(deliveries), checks)


def universe_of(lake: Lake, symbols: Sequence[str], sessions: Sequence[date]) -> pl.DataFrame:
    """Return symbol and session of what may trade, sorted by session.

    That is every clean bar that is not suspect, of symbols that the universe, where it is held, has
    no reason against.
    """
    first, last = sessions[0], sessions[-1]
    held = lake.read("clean_bars", first, last, symbols=symbols, columns=_KEY)
    aside = lake.read("quarantined_bars", first, last, symbols=symbols).filter(is_suspect())
    found = held.filter(pl.col("session").is_in(list(sessions)))
    sound = found.join(aside, on=_KEY, how="anti", maintain_order="left").select(_KEY)
    return without_outsiders(lake, sound, symbols)


def without_outsiders(lake: Lake, rows: pl.DataFrame, symbols: Sequence[str]) -> pl.DataFrame:
    """Return the rows of symbols and sessions that the held universe has no reason against."""
    if rows.is_empty():
        return rows
    first, last = rows["session"].sort().gather([0, -1])
    judged = lake.read("universe", first, last, symbols=symbols)
    out = judged.filter(pl.col("reason").is_not_null())
    if out.is_empty():
        return rows
    return rows.join(out, on=_KEY, how="anti", maintain_order="left")


def known(
    lake: Lake, cast: Cast, sessions: Sequence[date], predictions: pl.DataFrame | None = None
) -> Known:
    """Return what the strategy may know; `predictions` replace those of the lake.

    Raises MissingDataError where a model it asks has not predicted a session with a universe.
    """
    past = session_window(sessions[0], cast.strategy.prediction_look_back)
    first, last = past[0], sessions[-1]
    universe = universe_of(lake, cast.symbols, [*past[:-1], *sessions])
    said = lake.read("predictions", first, last) if predictions is None else predictions
    asked = said.filter(pl.col("strategy").is_in(cast.models))
    needed = universe.filter(pl.col("session").is_in(list(sessions)))
    _require_predictions(asked, cast, needed)
    features = empty("features")
    if cast.strategy.needs_features:
        features = lake.read("features", first, last, symbols=cast.symbols)
    return Known(
        universe=universe,
        predictions=asked,
        features=features,
        prices=prices(lake, cast, sessions),
    )


def _require_predictions(said: pl.DataFrame, cast: Cast, universe: pl.DataFrame) -> None:
    for model in cast.models:
        its = said.filter(pl.col("strategy") == model).select("session")
        for session in universe.join(its, on="session", how="anti")["session"].head(1):
            raise MissingDataError(f"{session} has no predictions of {model}: materialize them.")
