"""The optimizer: every limit kept, what bound named, costs that hold it back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.portfolio.allocation import allocate
from trading_pipeline.core.portfolio.allocation_rules import (
    Allocation,
    AllocationRules,
    Evidence,
)
from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.core.portfolio.covariance import Risk
from trading_pipeline.core.portfolio.optimal import expected_returns
from trading_pipeline_tests.core.portfolio.test_allocation import SCORES, signals, weights

SYMBOLS = tuple(SCORES)


def correlated(seed: int = 1, scale: float = 0.02) -> Risk:
    factors = np.random.default_rng(seed).normal(size=(5, 5)) * 0.5 + np.eye(5)
    covariance = factors @ factors.T
    deviations = np.sqrt(np.diag(covariance))
    return Risk(
        symbols=SYMBOLS, covariance=covariance / np.outer(deviations, deviations) * scale**2,
        shrinkage=0.0,
    )  # fmt: skip


def solved(evidence: Evidence | None = None, **rules: object) -> Allocation:
    made = AllocationRules(**{"method": "optimal", "fallbacks": (), **rules})
    return allocate(signals(), made, evidence or Evidence(risk=correlated()))


def prices(found: Allocation) -> dict[str, float | None]:
    return {bound.limit: bound.price for bound in found.bounds}


def test_little_risk_aversion_runs_into_its_limits_and_says_which() -> None:
    found = solved(risk_aversion=0.001, max_weight=0.4)
    assert found.method == "optimal"
    assert {"max_weight of A", "max_weight of E"} <= set(prices(found))
    assert all(price is not None and price >= 0 for price in prices(found).values())


def test_much_risk_aversion_runs_into_none() -> None:
    assert solved(risk_aversion=500.0, cost_bps=0).bounds == ()


def test_a_shadow_price_is_what_a_wider_limit_would_gain() -> None:
    # alone, A gains alpha a weight of 1; side_gross is all that stops it without risk aversion
    rules = {"risk_aversion": 0.0, "cost_bps": 0.0, "side_gross": 0.5, "max_weight": 1.0}
    found = solved(**rules)
    alpha = expected_returns(np.array(list(SCORES.values())), np.full(5, 0.02), 0.03)
    longs = next(bound for bound in found.bounds if bound.limit == "side_gross of the longs")
    assert longs.price == pytest.approx(alpha.max(), rel=1e-3)


def test_costs_keep_what_is_held() -> None:
    held = {"A": 0.1, "E": -0.1}
    evidence = Evidence(risk=correlated(), held=held)
    dear = weights(solved(evidence, cost_bps=1_000.0, risk_aversion=1.0))
    assert dear == pytest.approx({**dict.fromkeys(SYMBOLS, 0.0), **held}, abs=1e-5)
    free = weights(solved(evidence, cost_bps=0.0, risk_aversion=1.0))
    assert sum(abs(free[s] - held.get(s, 0)) for s in SYMBOLS) > 0.1


def test_turnover_counts_what_is_sold_of_symbols_without_a_signal() -> None:
    held = {"A": 0.1, "GONE": 0.2}
    evidence = Evidence(risk=correlated(), held=held)
    found = weights(solved(evidence, max_turnover=0.5, risk_aversion=0.1))
    moved = sum(abs(found[s] - held.get(s, 0)) for s in SYMBOLS)
    assert moved == pytest.approx(0.3, abs=1e-5)
    stuck = solved(evidence, max_turnover=0.1, fallbacks=("score_proportional",))
    assert stuck.method == "score_proportional"
    assert "No weights within all limits" in stuck.failures["optimal"]


def test_a_sector_is_held_to_its_limit_and_named() -> None:
    sectors = {"A": "tech", "B": "tech", "D": "oil", "E": "oil"}
    found = solved(Evidence(risk=correlated(), sectors=sectors), max_sector=0.2, risk_aversion=0.01)
    held = weights(found)
    assert abs(held["A"] + held["B"]) <= 0.2 + 1e-6
    assert abs(held["D"] + held["E"]) <= 0.2 + 1e-6
    assert {"max_sector of tech", "max_sector of oil"} <= set(prices(found))


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 1_000),
    st.sampled_from([0.1, 0.3, 1.0]),
    st.sampled_from([0.0, 0.3, 2.0]),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 50.0]),
)
def test_every_limit_is_kept(
    seed: int, cap: float, net: float, long_only: bool, aversion: float
) -> None:
    if long_only and net == 0:
        net = 0.1
    names = ConstructionRules(top_n=1, bottom_n=1, long_only=long_only)
    found = solved(
        Evidence(risk=correlated(seed)), max_weight=cap, max_net=net, names=names,
        risk_aversion=aversion, side_gross=0.8,
    )  # fmt: skip
    assert found.method == "optimal", found.failures
    held = np.array(list(weights(found).values()))
    assert abs(held).max() <= cap + 1e-5
    assert abs(held.sum()) <= net + 1e-5
    assert held[held > 0].sum() <= 0.8 + 1e-5
    assert -held[held < 0].sum() <= 0.8 + 1e-5
    assert not long_only or held.min() >= -1e-5


def test_scores_that_do_not_differ_let_nothing_be_expected() -> None:
    assert not expected_returns(np.full(3, 0.7), np.full(3, 0.02), 0.03).any()
    assert not any(weights(allocate(
        signals(dict.fromkeys(SCORES, 0.5)),
        AllocationRules(method="optimal"), Evidence(risk=correlated()),
    )).values())  # fmt: skip


def test_a_symbol_of_unknown_risk_gets_no_weight_and_is_named() -> None:
    """A new listing must not keep the others from being weighed."""
    known = Risk(symbols=SYMBOLS[:4], covariance=np.eye(4) * 0.0004, shrinkage=0.0)
    found = solved(Evidence(risk=known))
    assert found.method == "optimal"
    assert weights(found)["E"] == 0
    assert abs(weights(found)["A"]) > 0
    assert "unknown risk of E" in prices(found)


def test_without_any_known_risk_there_is_no_optimum() -> None:
    found = solved(Evidence(risk=Risk(symbols=(), covariance=np.zeros((0, 0)), shrinkage=0.0)))
    assert found.failures["optimal"] == "The covariance of no symbol is known."
