"""Target weights of many sessions: each from its own window, and with the story of how it came."""

import pytest

from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import ConstructionRules, rank, weigh
from trading_pipeline.core.portfolio.targets import Ground, sentence, targets_as_of
from trading_pipeline.core.strategies.as_of import Prices
from trading_pipeline_tests.factories import actions_of, random_bars, sessions_from

DAYS = sessions_from(count=120)
SYMBOLS = ["A", "B", "C", "D", "E", "F"]
BARS = random_bars(SYMBOLS, DAYS, move=0.02)
SCORES = BARS.select("symbol", "session", score=BARS["close"].rank())
SIGNALS = rank(SCORES.filter(SCORES["session"].is_in(DAYS[-4:])), strategy="any")
NAMES = ConstructionRules(top_n=2, bottom_n=2)


def ground() -> Ground:
    prices = Prices(bars=BARS, actions=actions_of(), convention="crsp")
    return Ground(prices=prices, before={"A": 0.5}, sectors={})


def not_needed() -> Ground:
    raise AssertionError("weights by counting alone rest on nothing else")


def test_top_n_is_weigh_and_asks_for_nothing_else() -> None:
    targets, story = targets_as_of(SIGNALS, AllocationRules(names=NAMES), not_needed)
    assert targets.equals(weigh(SIGNALS, NAMES))
    assert story == {}


@pytest.mark.parametrize("method", ["optimal", "inverse_volatility", "score_proportional"])
def test_other_methods_tell_how_each_session_came_and_what_bound_it(method: str) -> None:
    strong = {"information_coefficient": 0.5, "max_weight": 0.3}
    rules = AllocationRules(method=method, names=NAMES, **strong)
    targets, story = targets_as_of(SIGNALS, rules, ground)
    assert list(story) == DAYS[-4:]
    assert targets.height == SIGNALS.height
    assert targets["target_weight"].abs().max() <= 0.3 + 1e-6
    assert all(sentence(made).startswith(f"by {method}") for made in story.values())
    assert any("bound by" in sentence(made) for made in story.values())


def test_turnover_is_counted_from_what_was_wanted_the_session_before() -> None:
    rules = AllocationRules(method="optimal", names=NAMES, max_turnover=0.1)
    targets, story = targets_as_of(SIGNALS, rules, ground)
    held = {"A": 0.5}
    for day in story:
        now = dict(targets.filter(session=day).select("symbol", "target_weight").iter_rows())
        moved = sum(abs(now.get(name, 0) - held.get(name, 0)) for name in SYMBOLS)
        assert moved <= 0.1 + 1e-5
        held = now


def test_a_session_alone_is_weighed_as_within_the_range() -> None:
    rules = AllocationRules(method="inverse_volatility", names=NAMES)
    whole, _ = targets_as_of(SIGNALS, rules, ground)
    for day in DAYS[-4:]:
        alone, _ = targets_as_of(SIGNALS.filter(session=day), rules, ground)
        assert whole.filter(session=day).equals(alone)


def test_what_could_not_be_used_is_told_with_the_reason() -> None:
    young = Ground(
        prices=Prices(bars=BARS.clear(), actions=actions_of(), convention="crsp"),
        before={},
        sectors={},
    )
    _, story = targets_as_of(SIGNALS, AllocationRules(method="optimal", names=NAMES), lambda: young)
    said = sentence(next(iter(story.values())))
    assert said.startswith("by top_n")
    assert "not by optimal: The covariance is not known." in said
