"""Target weights of many sessions, each from what was known at its close."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from trading_pipeline.core.portfolio.allocation import allocate
from trading_pipeline.core.portfolio.allocation_rules import (
    Allocation,
    AllocationRules,
    Evidence,
    Weights,
)
from trading_pipeline.core.portfolio.construction import weigh
from trading_pipeline.core.portfolio.covariance import Risk, estimate
from trading_pipeline.core.strategies.as_of import Prices

RISK_SESSIONS = 253
"""Sessions of bars that a covariance is of: a year of returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What weights rest on besides scores.

    `prices` reach back RISK_SESSIONS; `before` are the weights of the session before the first;
    `sectors` the sector of each symbol.
    """

    prices: Prices
    before: Weights
    sectors: Mapping[str, str]


def targets_as_of(
    signals: pl.DataFrame, rules: AllocationRules, ground: Callable[[], Ground]
) -> tuple[pl.DataFrame, dict[date, Allocation]]:
    """Return the target weights of every session of `signals`, and how they came by session.

    Weights by counting alone (top_n) have no story.
    The weights held are taken to be those wanted in the session before. `ground` is asked for only
    where a method needs it. A session with fewer signals than top_n needs is a SettingsError.
    """
    if rules.method == "top_n":
        return weigh(signals, rules.names), {}
    known, found = ground(), dict[date, Allocation]()
    held = known.before
    sessions = signals["session"].unique().sort().to_list()
    for session, bars in known.prices.windows(sessions, RISK_SESSIONS):
        evidence = Evidence(risk=_risk(bars), held=held, sectors=known.sectors)
        made = allocate(signals.filter(pl.col("session") == session), rules, evidence)
        found[session] = made
        held = dict(made.targets.select("symbol", "target_weight").iter_rows())
    return pl.concat(made.targets for made in found.values()), found


def sentence(made: Allocation) -> str:
    """Return by which method the weights came, what bound them, and what could not be used."""
    said = [f"by {made.method}"]
    bound = [
        f"{each.limit}{' (broken)' if each.broken else ''}"
        + (f" at {each.price:.3g}" if each.price is not None else "")
        for each in made.bounds
    ]
    if bound:
        said.append(f"bound by {', '.join(bound)}")
    said += [f"not by {method}: {why}" for method, why in made.failures.items()]
    return "; ".join(said)


def _risk(bars: pl.DataFrame) -> Risk | None:
    found = estimate(bars)
    return found if found.symbols else None
