"""The weights that trade expected return, risk and cost off best, as a convex problem.

Importing this module imports cvxpy, which is slow; `allocation` imports it on first use.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import cvxpy
import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.portfolio.allocation_rules import (
    NEAR,
    AllocationRules,
    Bound,
    CannotAllocateError,
    Evidence,
    Found,
)

BASIS_POINTS: Final = 10_000
SMALLEST: Final = 1e-7
"""Weights below this are what a solver leaves of 0."""

_cp = cast("Any", cvxpy)  # it has no usable types
Vector = npt.NDArray[np.float64]


def expected_returns(scores: Vector, volatility: Vector, coefficient: float) -> Vector:
    """Return IC · volatility · z, the return that a session's scores let one expect.

    z is the score less its mean over its deviation in the session. Source: Grinold and Kahn, Active
    Portfolio Management, 1999.
    """
    deviation = scores.std()
    if deviation < 1e-12:
        return np.zeros_like(scores)
    return coefficient * volatility * (scores - scores.mean()) / deviation


def solve(signals: pl.DataFrame, rules: AllocationRules, evidence: Evidence) -> Found:
    """Return the weights w that maximize α·w − λ/2·w'Σw − cost·Σ|w − held|, and what bound them.

    Within: longs and shorts at most `side_gross` each, |w| at most `max_weight`, |Σw| at most
    `max_net`, turnover and sectors as asked for. A symbol whose risk is not known gets no weight,
    which the bounds say. Positions held in symbols without a signal or a risk are sold, which
    counts toward turnover. CannotAllocateError where no risk at all is known, no such weights
    exist, or the solver fails.
    """
    if evidence.risk is None:
        raise CannotAllocateError("The covariance is not known.")
    has_risk = pl.col("symbol").is_in(evidence.risk.symbols)
    rows = signals.filter(has_risk).sort("symbol")
    unknown = signals.filter(~has_risk)["symbol"].sort().to_list()
    symbols: list[str] = rows["symbol"].to_list()
    if not symbols:
        raise CannotAllocateError("The covariance of no symbol is known.")
    covariance = evidence.risk.of(symbols)
    alpha = expected_returns(
        rows["score"].to_numpy(), np.sqrt(np.diag(covariance)), rules.information_coefficient
    )
    up, down = (_cp.Variable(len(symbols), nonneg=True) for _ in range(2))
    weight = up - down
    held = np.array([evidence.held.get(symbol, 0.0) for symbol in symbols])
    left = sum(abs(w) for symbol, w in evidence.held.items() if symbol not in set(symbols))
    turnover = _cp.norm1(weight - held)
    gain = (
        alpha @ weight
        - rules.risk_aversion / 2 * _cp.sum_squares(_root(covariance).T @ weight)
        - rules.cost_bps / BASIS_POINTS * turnover
    )
    limits = _limits(up, down, rules) | _sectors(weight, symbols, rules, evidence)
    if rules.max_turnover is not None:
        limits["max_turnover"] = turnover <= rules.max_turnover - left
    _run(_cp.Problem(_cp.Maximize(gain), list(limits.values())))
    found = np.asarray(weight.value, dtype=np.float64)
    found[abs(found) < SMALLEST] = 0.0
    bounds = tuple(Bound(limit=f"unknown risk of {symbol}") for symbol in unknown)
    bounds += _bounds(limits, found, symbols, rules)
    return dict(zip(symbols, found.tolist(), strict=True)), bounds


def _limits(up: Any, down: Any, rules: AllocationRules) -> dict[str, Any]:
    limits = {
        "side_gross of the longs": _cp.sum(up) <= rules.side_gross,
        "side_gross of the shorts": _cp.sum(down) <= rules.side_gross,
        "max_net of longs over shorts": _cp.sum(up - down) <= rules.max_net,
        "max_net of shorts over longs": _cp.sum(down - up) <= rules.max_net,
        "max_weight": up + down <= rules.max_weight,
    }
    if rules.names.long_only:
        limits["long_only"] = down <= 0
    return limits


def _sectors(
    weight: Any, symbols: list[str], rules: AllocationRules, evidence: Evidence
) -> dict[str, Any]:
    """Return a limit a sector; a symbol of no known sector is a sector of its own."""
    if rules.max_sector is None:
        return {}
    of = [evidence.sectors.get(symbol, symbol) for symbol in symbols]
    return {
        f"max_sector of {sector}": _cp.abs(
            np.array([float(each == sector) for each in of]) @ weight
        )
        <= rules.max_sector
        for sector in sorted(set(of))
    }


def _root(covariance: Vector) -> Vector:
    """Return R with R·R' = covariance, whatever rounding has made of its smallest eigenvalues."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _run(problem: Any) -> None:
    try:
        problem.solve(solver=_cp.CLARABEL)
    except _cp.SolverError as error:
        raise CannotAllocateError(f"The solver failed: {error}.") from error
    if problem.status != _cp.OPTIMAL:
        raise CannotAllocateError(f"No weights within all limits were found: {problem.status}.")


def _bounds(
    limits: Mapping[str, Any], found: Vector, symbols: list[str], rules: AllocationRules
) -> tuple[Bound, ...]:
    """Return the limits that cost the objective something, with their shadow prices."""
    bounds = [
        Bound(limit=f"max_weight of {symbol}", price=float(price))
        for symbol, price, weight in zip(
            symbols, limits["max_weight"].dual_value, found, strict=True
        )
        if abs(weight) >= rules.max_weight - NEAR
    ]
    for name, limit in limits.items():
        if name in {"max_weight", "long_only"}:
            continue
        price = float(np.max(np.asarray(limit.dual_value)))
        if price > NEAR:
            bounds.append(Bound(limit=name, price=price))
    return tuple(bounds)
