"""The ensemble: opinions become one, and a missing one is never taken for "hold"."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_pipeline.core.strategies.base import Strategy, opinions
from trading_pipeline.core.strategies.ensemble import EnsembleRules, combine, strategy
from trading_pipeline.errors import SchemaError

SESSION = date(2013, 1, 2)
NAMES = ("a", "b", "c")
METHODS = (
    "weighted_average",
    "majority_vote",
    "unanimous",
    "confidence_weighted",
    "max_confidence",
    "rank_average",
)


def votes(symbol: str = "X", **scores: float) -> pl.DataFrame:
    """Scores of one symbol by strategy, from −1 to 1."""
    frame = pl.DataFrame(
        {"symbol": [symbol] * len(scores), "session": SESSION, "score": list(scores.values())},
        schema={"symbol": pl.String, "session": pl.Date, "score": pl.Float64},
    )
    return opinions(frame, 1.0).with_columns(strategy=pl.Series(list(scores), dtype=pl.String))


def verdict(method: str, frame: pl.DataFrame, **rules: object) -> float | None:
    made = EnsembleRules(**{"members": NAMES, "method": method, **rules})
    return combine(frame, made)["score"].item()


@pytest.mark.parametrize(
    ("method", "scores", "expected"),
    [
        ("weighted_average", {"a": 0.9, "b": 0.7, "c": 0.0}, 0.8),  # 2/3 > 0.3
        ("weighted_average", {"a": 0.9, "b": -0.9, "c": 0.0}, 0.0),
        ("weighted_average", {"a": 0.5, "b": 0.5, "c": 0.5}, 0.0),  # not sure enough
        ("majority_vote", {"a": 0.9, "b": 0.7, "c": -1.0}, 0.8),
        ("majority_vote", {"a": 0.9, "b": 0.0, "c": -1.0}, 0.0),
        ("unanimous", {"a": -0.9, "b": -0.7, "c": -0.8}, -0.8),
        ("unanimous", {"a": 0.9, "b": 0.7, "c": 0.0}, 0.0),
        ("confidence_weighted", {"a": 0.9, "b": -0.2, "c": -0.1}, 0.9),  # 0.6/1.2 = 0.5
        ("confidence_weighted", {"a": 0.6, "b": -0.5, "c": 0.0}, 0.0),  # 0.1/1.1
        ("max_confidence", {"a": -0.8, "b": 0.9, "c": 0.0}, 0.9),
        ("max_confidence", {"a": -0.9, "b": 0.9, "c": 0.0}, -0.9),  # a tie goes by name
    ],
)
def test_each_method_as_stated(method: str, scores: dict[str, float], expected: float) -> None:
    assert verdict(method, votes(**scores)) == pytest.approx(expected)


def test_weights_decide_who_counts() -> None:
    frame = votes(a=0.9, b=-0.9, c=-0.9)
    heavy = {"a": 0.8, "b": 0.1, "c": 0.1}
    assert verdict("weighted_average", frame) == pytest.approx(-0.9)
    assert verdict("weighted_average", frame, weights=heavy) == pytest.approx(0.9)


def test_a_net_weight_of_exactly_the_threshold_does_not_act() -> None:
    weights = {"a": 0.65, "b": 0.35, "c": 0.0}  # nets 0.30000000000000004
    frame = votes(a=0.9, b=-0.9, c=0.0)
    assert verdict("weighted_average", frame, weights=weights) == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_strategy_takes_no_part(method: str) -> None:
    """The others decide as if it were not a member, and the result names it."""
    two = votes(a=0.9, b=0.7)
    alone = EnsembleRules(members=("a", "b"), method=method)
    found = combine(two, EnsembleRules(members=NAMES, method=method)).row(0, named=True)
    assert found["score"] == combine(two, alone)["score"].item()
    assert found["missing"] == ["c"]
    assert found["present"] == 2
    if method != "rank_average":
        assert found["score"] > 0.5  # a silent zero of c would have made it less sure


@pytest.mark.parametrize("method", METHODS)
def test_too_few_opinions_are_no_score_rather_than_hold(method: str) -> None:
    assert verdict(method, votes(a=1.0)) is None
    assert verdict(method, votes(a=1.0), min_strategies=1) is not None


def test_members_present_without_any_weight_are_no_score() -> None:
    weights = {"a": 0.0, "b": 0.0, "c": 1.0}
    assert verdict("weighted_average", votes(a=1.0, b=1.0), weights=weights) is None


def test_agreement_may_be_asked_for() -> None:
    frame = votes(a=0.9, b=0.9, c=-0.9)
    assert verdict("majority_vote", frame, min_agreement=0.6) == pytest.approx(0.9)
    assert verdict("majority_vote", frame, min_agreement=0.7) == 0.0


def test_a_rank_average_is_the_mean_place_among_symbols() -> None:
    frame = pl.concat(
        [votes("X", a=0.1, b=0.3), votes("Y", a=0.2, b=0.2), votes("Z", a=0.3, b=0.1, c=0.5)]
    )
    rules = EnsembleRules(members=NAMES, method="rank_average")
    found = combine(frame, rules).select("symbol", "score").rows()
    # c knows Z only, which is no place at all
    assert found == [("X", 0.0), ("Y", 0.0), ("Z", 0.0)]
    rising = pl.concat([votes("X", a=0.1, b=0.1), votes("Y", a=0.2, b=0.9)])
    assert combine(rising, rules)["score"].to_list() == [-1.0, 1.0]


def test_weights_of_the_session_replace_those_of_the_rules() -> None:
    frame = votes(a=0.9, b=-0.9, c=0.0)
    rules = EnsembleRules(members=NAMES)
    weights = pl.DataFrame(
        {"session": [SESSION] * 3, "strategy": list(NAMES), "weight": [0.1, 0.8, 0.1]}
    )
    assert combine(frame, rules, weights)["score"].item() == pytest.approx(-0.9)
    with pytest.raises(SchemaError, match="c has no weight"):
        combine(frame, rules, weights.head(2))


def test_a_stranger_and_a_second_opinion_are_refused() -> None:
    rules = EnsembleRules(members=NAMES)
    with pytest.raises(SchemaError, match="z is no member"):
        combine(votes(a=0.1, z=0.1), rules)
    with pytest.raises(SchemaError, match="a has several opinions of X"):
        combine(pl.concat([votes(a=0.1), votes(a=0.2)]), rules)


@given(
    st.lists(st.sampled_from([-1.0, -0.7, 0.0, 0.6, 1.0]), min_size=3, max_size=3),
    st.sampled_from(METHODS),
    st.permutations(range(3)),
)
def test_turning_every_opinion_around_turns_the_result_around(
    scores: list[float], method: str, order: list[int]
) -> None:
    given_scores = dict(zip(NAMES, scores, strict=True))
    frame = votes(**given_scores)
    turned = votes(**{name: -score for name, score in given_scores.items()})
    ours, theirs = verdict(method, frame[order]), verdict(method, turned)
    assert ours is not None
    assert theirs is not None
    assert ours == pytest.approx(-theirs)
    assert abs(ours) <= 1
    if method != "rank_average" and ours:  # a rank is a preference whatever the sign
        assert any(score * ours > 0 for score in scores)


def test_as_a_strategy_it_gives_its_members_what_they_ask_for() -> None:
    def fixed(value: float) -> Strategy:
        def score(features: pl.DataFrame, predictions: pl.DataFrame, bars: object = None):
            return pl.DataFrame({"symbol": ["X"], "session": [SESSION], "score": [value]})

        return Strategy(score=score, look_back=int(value * 100), needs_predictions=value < 0.5)

    members = {"a": fixed(0.9), "b": fixed(0.7)}
    made = strategy(members, EnsembleRules(members=("a", "b")))
    assert (made.look_back, made.needs_predictions) == (90, False)
    nothing = pl.DataFrame()
    assert made(nothing, nothing)["score"].to_list() == pytest.approx([0.8])


@pytest.mark.parametrize(
    "rules",
    [
        {"members": ("a",)},
        {"members": ("a", "a")},
        {"members": ("a", "b"), "weights": {"a": 1.0}},
        {"members": ("a", "b"), "weights": {"a": 1.5, "b": -0.5}},
        {"members": ("a", "b"), "weights": {"a": 0.5, "b": 0.4}},
        {"members": ("a", "b"), "min_strategies": 3},
        {"members": ("a", "b"), "method": "median"},
    ],
)
def test_rules_that_contradict_themselves_are_refused(rules: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EnsembleRules(**rules)
