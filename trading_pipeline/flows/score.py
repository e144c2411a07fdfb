"""Turn stored predictions into signals, and signals into target weights."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.portfolio.allocation_rules import Allocation, AllocationRules
from trading_pipeline.core.portfolio.construction import rank
from trading_pipeline.core.portfolio.targets import RISK_SESSIONS, Ground, targets_as_of
from trading_pipeline.core.strategies.as_of import Prices, scores_as_of
from trading_pipeline.flows.know import Cast, actions, known

_log = logging.getLogger(__name__)


def score(lake: Lake, cast: Cast, sessions: Sequence[date]) -> pl.DataFrame:
    """Write and return the signals of `sessions`: each session's universe, scored and ranked.

    The universe is applied after the model: it keeps the asked symbols that have a clean bar which
    is not suspect, and that it has no reason against. What other strategies say of these sessions
    stays.
    """
    scores = scores_as_of(cast.strategy, known(lake, cast, sessions), sessions)
    signals = rank(scores, strategy=cast.name)
    lake.write("signals", signals, sessions, strategy=cast.name)
    _log.info("signals written", extra={"strategy": cast.name, "rows": signals.height})
    return signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """The target weights of sessions, and how those by more than counting came, by session."""

    targets: pl.DataFrame
    allocations: Mapping[date, Allocation]


def weigh_targets(
    lake: Lake,
    cast: Cast,
    sessions: Sequence[date],
    rules: AllocationRules,
    *,
    sectors: Mapping[str, str] | None = None,
) -> Weighed:
    """Write and return the target weights of `sessions`; the lake's last ones count as held.

    Over a range, a session whose universe is too small for the asked counts has no targets; asked
    for by itself it is a SettingsError with the numbers.
    """
    strategy = cast.name
    signals = lake.read("signals", sessions[0], sessions[-1]).filter(pl.col("strategy") == strategy)
    parts = {session: signals.filter(pl.col("session") == session) for session in sessions}
    if len(sessions) > 1:
        parts = {
            session: part for session, part in parts.items() if part.height >= rules.names.needed
        }
    asked = pl.concat(parts.values()) if parts else signals.clear()
    targets, made = _no_targets(signals), dict[date, Allocation]()
    if parts:
        first = min(parts)
        targets, made = targets_as_of(
            asked, rules, lambda: ground_of(lake, cast, (first, sessions[-1]), sectors or {})
        )
    lake.write("target_weights", targets, sessions, strategy=strategy)
    _log.info("target weights written", extra={"strategy": strategy, "sessions": len(parts)})
    return Weighed(targets=targets, allocations=made)


def ground_of(
    lake: Lake, cast: Cast, span: tuple[date, date], sectors: Mapping[str, str]
) -> Ground:
    """Return what weights of the first to the last session rest on besides their scores."""
    first, last = span
    before = session_window(first, 2)[0]
    wanted = lake.read("target_weights", before, before).filter(pl.col("strategy") == cast.name)
    start = session_window(first, RISK_SESSIONS)[0]
    return Ground(
        prices=Prices(
            bars=lake.read("clean_bars", start, last, symbols=cast.symbols),
            actions=actions(lake, cast.symbols, start, last),
            convention=cast.convention,
        ),
        before=dict(wanted.select("symbol", "target_weight").iter_rows()) if before < first else {},
        sectors=sectors,
    )


def _no_targets(signals: pl.DataFrame) -> pl.DataFrame:
    return signals.clear().select(
        "symbol", "session", "strategy", pl.col("score").alias("target_weight")
    )
