"""Allocation: each method within its limits, what bound said, and the next one when it fails."""

from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_pipeline.core.portfolio.allocation import allocate, capped
from trading_pipeline.core.portfolio.allocation_rules import (
    Allocation,
    AllocationRules,
    Evidence,
)
from trading_pipeline.core.portfolio.construction import ConstructionRules, rank, weigh
from trading_pipeline.core.portfolio.covariance import Risk
from trading_pipeline.errors import SchemaError, SettingsError

SESSION = date(2013, 1, 2)
NAMES = ConstructionRules(top_n=2, bottom_n=2)
SCORES = {"A": 0.03, "B": 0.01, "C": 0.0, "D": -0.01, "E": -0.03}


def signals(scores: dict[str, float] | None = None, session: date = SESSION) -> pl.DataFrame:
    given = SCORES if scores is None else scores
    frame = {
        "symbol": list(given),
        "session": [session] * len(given),
        "score": list(given.values()),
    }
    return rank(pl.DataFrame(frame), strategy="any")


def risk(**volatility: float) -> Risk:
    deviations = np.array(list(volatility.values()))
    return Risk(symbols=tuple(volatility), covariance=np.diag(deviations**2), shrinkage=0.0)


EVEN = Evidence(risk=risk(A=0.02, B=0.02, C=0.02, D=0.02, E=0.02))


def weights(found: Allocation) -> dict[str, float]:
    return dict(found.targets.select("symbol", "target_weight").iter_rows())


def limits(found: Allocation) -> list[str]:
    return [bound.limit for bound in found.bounds]


def test_top_n_is_the_construction_the_platform_trades() -> None:
    found = allocate(signals(), AllocationRules(names=NAMES))
    assert found.targets.equals(weigh(signals(), NAMES))
    assert (found.method, dict(found.failures)) == ("top_n", {})


def test_top_n_knows_no_limits_and_says_which_it_broke() -> None:
    found = allocate(signals(), AllocationRules(names=NAMES, max_weight=0.2))
    assert [bound.limit for bound in found.bounds if bound.broken] == [
        f"max_weight of {symbol}" for symbol in "ABDE"
    ]


def test_score_proportional_weighs_each_side_by_its_scores() -> None:
    found = allocate(signals(), AllocationRules(method="score_proportional"))
    assert weights(found) == pytest.approx({"A": 0.75, "B": 0.25, "C": 0, "D": -0.25, "E": -0.75})


def test_a_cap_gives_what_it_takes_to_the_others_and_says_so() -> None:
    found = allocate(signals(), AllocationRules(method="score_proportional", max_weight=0.6))
    assert weights(found) == pytest.approx({"A": 0.6, "B": 0.4, "C": 0, "D": -0.4, "E": -0.6})
    assert limits(found)[:2] == ["max_weight of A", "max_weight of E"]
    assert not any(bound.broken for bound in found.bounds)


def test_a_net_limit_shrinks_the_larger_side() -> None:
    rules = AllocationRules(method="score_proportional", max_net=0.25)
    found = allocate(signals({"A": 0.02, "B": 0.01, "C": 0.0}), rules)
    assert sum(weights(found).values()) == pytest.approx(0.25)
    assert "max_net" in limits(found)


def test_long_only_has_no_shorts() -> None:
    rules = AllocationRules(
        method="score_proportional", names=ConstructionRules(top_n=2, long_only=True)
    )
    assert min(weights(allocate(signals(), rules)).values()) == 0


def test_inverse_volatility_gives_a_quieter_name_more() -> None:
    evidence = Evidence(risk=risk(A=0.01, B=0.03, C=0.02, D=0.02, E=0.02))
    found = allocate(signals(), AllocationRules(method="inverse_volatility", names=NAMES), evidence)
    assert weights(found) == pytest.approx({"A": 0.75, "B": 0.25, "C": 0, "D": -0.5, "E": -0.5})


def test_a_method_that_cannot_be_used_gives_way_to_the_next_in_order() -> None:
    rules = AllocationRules(
        method="optimal", fallbacks=("inverse_volatility", "score_proportional"), names=NAMES
    )
    found = allocate(signals(), rules)
    assert found.method == "score_proportional"
    assert list(found.failures) == ["optimal", "inverse_volatility"]
    assert "covariance is not known" in found.failures["optimal"]


def test_top_n_comes_last_whatever_fails() -> None:
    found = allocate(signals(), AllocationRules(method="optimal", names=NAMES))
    assert found.method == "top_n"
    assert list(found.failures) == ["optimal", "inverse_volatility"]
    with pytest.raises(SettingsError, match="need 4 symbols"):
        allocate(signals({"A": 0.0, "B": 0.0}), AllocationRules(names=NAMES))


def test_where_every_score_is_neutral_score_proportional_holds_nothing() -> None:
    alike = signals(dict.fromkeys(SCORES, 0.0))
    found = allocate(alike, AllocationRules(method="score_proportional", names=NAMES))
    assert found.method == "score_proportional"
    assert set(weights(found).values()) == {0.0}


def test_signals_of_two_sessions_are_refused() -> None:
    both = pl.concat([signals(), signals(session=date(2013, 1, 3))])
    with pytest.raises(SchemaError, match="one strategy and session"):
        allocate(both, AllocationRules())


def test_long_only_without_any_net_is_a_contradiction() -> None:
    with pytest.raises(ValidationError, match="no position at all"):
        AllocationRules(names=ConstructionRules(long_only=True), max_net=0)


@given(
    st.dictionaries(st.sampled_from("ABCDEFGH"), st.floats(0.001, 10), min_size=1),
    st.floats(0.05, 1.0),
    st.floats(0.1, 2.0),
)
def test_capped_weights_keep_their_cap_their_sum_and_their_order(
    sizes: dict[str, float], cap: float, total: float
) -> None:
    found = capped(sizes, total, cap)
    assert max(found.values()) <= cap + 1e-12
    assert sum(found.values()) == pytest.approx(min(total, cap * len(sizes)))
    ordered = sorted(sizes, key=lambda symbol: sizes[symbol])
    assert all(found[a] <= found[b] + 1e-12 for a, b in pairwise(ordered))


# one symbol each way: alpha = ic·vol·z, and the best weight is alpha / (λ·variance)
def test_without_limits_or_costs_the_optimum_is_the_closed_form() -> None:
    pair = {"A": 1.0, "E": -1.0}
    evidence = Evidence(risk=risk(A=0.02, E=0.04))
    rules = AllocationRules(
        method="optimal", risk_aversion=50.0, cost_bps=0, information_coefficient=0.02,
        side_gross=5, max_net=5, names=ConstructionRules(top_n=1, bottom_n=1),
    )  # fmt: skip
    found = weights(allocate(signals(pair), rules, evidence))
    assert found["A"] == pytest.approx(0.02 * 0.02 / (50 * 0.02**2), rel=1e-4)
    assert found["E"] == pytest.approx(-0.02 * 0.04 / (50 * 0.04**2), rel=1e-4)
