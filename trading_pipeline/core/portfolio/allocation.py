"""From signals to target weights by more than counting: by score, by volatility, or optimal.

Each method gives the weights of one session. Where one cannot be used, the next of an ordered list
is, and the last of that list is always top-N: equal weights, which nothing can keep from being had.
What was tried, what was used and which limits bound is part of the result.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import polars as pl

from trading_pipeline.core.portfolio.allocation_rules import (
    NEAR,
    Allocation,
    AllocationRules,
    Bound,
    CannotAllocateError,
    Evidence,
    Found,
    Method,
    Weights,
)
from trading_pipeline.core.portfolio.construction import weigh
from trading_pipeline.errors import SchemaError, SettingsError


def allocate(
    signals: pl.DataFrame, rules: AllocationRules, evidence: Evidence | None = None
) -> Allocation:
    """Return the target weights of one session's signals by the first method that has an answer.

    `signals` are those of one strategy and session (`construction.rank`). `targets` has a row for
    every signal, sorted by rank. Signals of several sessions or strategies are a SchemaError; a
    universe too small even for top_n is a SettingsError.
    """
    if signals.select("session", "strategy").n_unique() != 1:
        raise SchemaError("The signals are not those of one strategy and session: one is expected.")
    known = evidence or Evidence()
    failures: dict[Method, str] = {}
    for method in rules.order:
        try:
            weights, bounds = _METHODS[method](signals, rules, known)
        except CannotAllocateError as reason:
            failures[method] = str(reason)
            continue
        return Allocation(
            targets=_targets(signals, weights),
            method=method,
            bounds=bounds or _bounds(weights, rules),
            failures=MappingProxyType(failures),
        )
    raise SettingsError("No method of allocation has an answer: top_n was expected to.")


def _targets(signals: pl.DataFrame, weights: Weights) -> pl.DataFrame:
    found = pl.col("symbol").replace_strict(weights, default=0.0, return_dtype=pl.Float64)
    return signals.sort("rank").select(
        "symbol", "session", "strategy", found.alias("target_weight")
    )


def _top_n(signals: pl.DataFrame, rules: AllocationRules, evidence: Evidence) -> Found:  # noqa: ARG001
    targets = weigh(signals, rules.names)
    return dict(targets.select("symbol", "target_weight").iter_rows()), ()


def _score_proportional(
    signals: pl.DataFrame,
    rules: AllocationRules,
    evidence: Evidence,  # noqa: ARG001
) -> Found:
    scores = dict(signals.sort("symbol").select("symbol", "score").iter_rows())
    longs = {symbol: score for symbol, score in scores.items() if score > 0}
    shorts = {symbol: -score for symbol, score in scores.items() if score < 0}
    if rules.names.long_only:
        shorts = {}
    return _two_sides(longs, shorts, rules), ()


def _inverse_volatility(signals: pl.DataFrame, rules: AllocationRules, evidence: Evidence) -> Found:
    equal, _ = _top_n(signals, rules, evidence)
    if evidence.risk is None:
        raise CannotAllocateError("The volatilities are not known.")
    volatility = evidence.risk.volatility
    for symbol in sorted(symbol for symbol, weight in equal.items() if weight):
        if not volatility.get(symbol, 0.0) > 0:
            raise CannotAllocateError(f"The volatility of {symbol} is not known.")
    longs = {symbol: 1 / volatility[symbol] for symbol, weight in equal.items() if weight > 0}
    shorts = {symbol: 1 / volatility[symbol] for symbol, weight in equal.items() if weight < 0}
    return _two_sides(longs, shorts, rules), ()


def _optimal(signals: pl.DataFrame, rules: AllocationRules, evidence: Evidence) -> Found:
    # heavy: on first use
    from trading_pipeline.core.portfolio.optimal import solve  # noqa: PLC0415

    return solve(signals, rules, evidence)


_METHODS: Final[Mapping[Method, Callable[[pl.DataFrame, AllocationRules, Evidence], Found]]] = (
    MappingProxyType(
        {
            "top_n": _top_n,
            "score_proportional": _score_proportional,
            "inverse_volatility": _inverse_volatility,
            "optimal": _optimal,
        }
    )
)


def _two_sides(longs: Weights, shorts: Weights, rules: AllocationRules) -> Weights:
    """Return both sides within their limits; the larger one shrinks where the net is too wide."""
    up, down = (capped(side, rules.side_gross, rules.max_weight) for side in (longs, shorts))
    net = sum(up.values()) - sum(down.values())
    if abs(net) > rules.max_net:
        side, other = (up, down) if net > 0 else (down, up)
        room = sum(other.values()) + rules.max_net
        side = capped(side, room, rules.max_weight)
        up, down = (side, other) if net > 0 else (other, side)
    return {**up, **{symbol: -weight for symbol, weight in down.items()}}


def capped(sizes: Weights, total: float, cap: float) -> dict[str, float]:
    """Return weights in proportion to `sizes` (> 0) that sum to `total`, none above `cap`.

    What the cap takes off goes to the others in proportion; where all are at the cap, the sum is
    less than `total`.
    """
    fixed: dict[str, float] = {}
    free = dict(sizes)
    while free:
        unit = (total - cap * len(fixed)) / sum(free.values())
        over = [symbol for symbol, size in free.items() if size * unit > cap]
        if not over:
            return {symbol: fixed.get(symbol, size * unit) for symbol, size in sizes.items()}
        for symbol in over:
            fixed[symbol] = cap
            del free[symbol]
    return dict.fromkeys(sizes, cap)


def _bounds(weights: Weights, rules: AllocationRules) -> tuple[Bound, ...]:
    """Return the limits that weights found without a solver lie at or beyond."""
    longs = sum(weight for weight in weights.values() if weight > 0)
    shorts = -sum(weight for weight in weights.values() if weight < 0)
    reached = [
        (f"max_weight of {symbol}", abs(weights[symbol]), rules.max_weight)
        for symbol in sorted(weights)
    ]
    reached += [
        ("side_gross of the longs", longs, rules.side_gross),
        ("side_gross of the shorts", shorts, rules.side_gross),
        ("max_net", abs(longs - shorts), rules.max_net),
    ]
    return tuple(
        Bound(limit=name, broken=value > limit + NEAR)
        for name, value, limit in reached
        if value >= limit - NEAR
    )
