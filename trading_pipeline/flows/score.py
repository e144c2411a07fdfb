"""Turn stored predictions into signals, and signals into target weights."""

import logging
from collections.abc import Sequence
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.universe import universe
from trading_pipeline.core.market.verdicts import suspended
from trading_pipeline.core.portfolio.construction import ConstructionRules, rank, weigh
from trading_pipeline.core.strategies import STRATEGIES
from trading_pipeline.errors import MissingDataError

_log = logging.getLogger(__name__)


def score(
    lake: Lake, *, strategy: str, symbols: Sequence[str], sessions: Sequence[date]
) -> pl.DataFrame:
    """Write and return the signals of `sessions`: each session's universe, scored and ranked.

    The universe is applied after the model: it keeps the asked symbols that have a clean bar which
    is not suspect. What other strategies say of these sessions stays.
    """
    parts = [_score_session(lake, strategy, symbols, session) for session in sessions]
    signals = pl.concat(parts)
    lake.write("signals", signals, sessions, strategy=strategy)
    _log.info("signals written", extra={"strategy": strategy, "rows": signals.height})
    return signals


def weigh_targets(
    lake: Lake, *, strategy: str, sessions: Sequence[date], rules: ConstructionRules
) -> pl.DataFrame:
    """Write and return the target weights of `sessions`.

    Over a range, a session whose universe is too small for the asked counts has no targets; asked
    for by itself it is a SettingsError with the numbers.
    """
    signals = lake.read("signals", sessions[0], sessions[-1]).filter(pl.col("strategy") == strategy)
    parts = {session: signals.filter(pl.col("session") == session) for session in sessions}
    if len(sessions) > 1:
        parts = {session: part for session, part in parts.items() if part.height >= rules.needed}
    targets = pl.concat([weigh(part, rules) for part in parts.values()] or [_no_targets(signals)])
    lake.write("target_weights", targets, sessions, strategy=strategy)
    _log.info("target weights written", extra={"strategy": strategy, "sessions": len(parts)})
    return targets


def _score_session(
    lake: Lake, strategy: str, symbols: Sequence[str], session: date
) -> pl.DataFrame:
    suspects = suspended(lake.read("quarantined_bars", session, session))
    tradable = universe(symbols, lake.read("clean_bars", session, session), suspects)
    rows = pl.col("symbol").is_in(tradable)
    predictions = lake.read("predictions", session, session).filter(
        rows, pl.col("strategy") == strategy
    )
    if predictions.is_empty() and tradable:
        raise MissingDataError(f"{session} has no predictions of {strategy}: materialize them.")
    features = lake.read("features", session, session).filter(rows)
    return rank(STRATEGIES[strategy](features, predictions), strategy=strategy)


def _no_targets(signals: pl.DataFrame) -> pl.DataFrame:
    return signals.clear().select(
        "symbol", "session", "strategy", pl.col("score").alias("target_weight")
    )
