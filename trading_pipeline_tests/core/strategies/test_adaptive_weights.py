"""Weights that follow what each member has lately earned, out of sample."""

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.strategies import STRATEGIES
from trading_pipeline.core.strategies.adaptive_weights import AdaptiveRules, adapted, earned
from trading_pipeline.core.strategies.base import Strategy
from trading_pipeline.core.strategies.ensemble import EnsembleRules, strategy
from trading_pipeline.errors import SchemaError
from trading_pipeline_tests.core.strategies.prefix import assert_does_not_peek, predictions_for
from trading_pipeline_tests.factories import random_bars, sessions_from

SESSIONS = sessions_from(count=60)
RULES = AdaptiveRules()


def returns(sharpe: dict[str, float], count: int = 60, seed: int = 1) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    rows = [
        (session, name, float(random.normal(mean * 0.01, 0.01)))
        for session in SESSIONS[:count]
        for name, mean in sharpe.items()
    ]
    return pl.DataFrame(rows, schema=["session", "strategy", "return"], orient="row")


def last(frame: pl.DataFrame) -> dict[str, float]:
    newest = frame.filter(pl.col("session") == pl.col("session").max())
    return dict(newest.select("strategy", "weight").iter_rows())


def test_what_earned_more_for_its_risk_gets_more() -> None:
    weights = last(adapted(returns({"a": 0.5, "b": -0.5}), ("a", "b"), RULES))
    assert weights["a"] > 0.95
    assert sum(weights.values()) == pytest.approx(1)


def test_weights_stay_equal_until_every_member_can_be_judged() -> None:
    few = adapted(returns({"a": 0.5, "b": -0.5}, count=9), ("a", "b"), RULES)
    assert set(few["weight"]) == {0.5}
    ten = adapted(returns({"a": 0.5, "b": -0.5}, count=10), ("a", "b"), RULES)
    assert last(ten)["a"] == pytest.approx(0.6)  # a fifth of the way from 0.5 to 1
    assert last(adapted(returns({"a": 0.5}), ("a", "b"), RULES)) == {"a": 0.5, "b": 0.5}


def test_where_nothing_earned_anything_weights_go_back_to_equal() -> None:
    assert last(adapted(returns({"a": -1.0, "b": -2.0}), ("a", "b"), RULES)) == (
        pytest.approx({"a": 0.5, "b": 0.5})
    )


def test_later_returns_change_no_earlier_weight() -> None:
    whole = adapted(returns({"a": 0.2, "b": 0.1}), ("a", "b"), RULES)
    part = adapted(returns({"a": 0.2, "b": 0.1}, count=40), ("a", "b"), RULES)
    assert whole.head(80).equals(part)


def test_only_the_last_sessions_are_judged() -> None:
    history = returns({"a": 3.0, "b": 3.0}, count=20)
    long_ago = history.with_columns(
        pl.when(pl.col("strategy") == "a")
        .then(pl.col("return") * 100)
        .otherwise("return")
        .alias("return")
    )
    recent = returns({"a": 0.3, "b": 0.3}).filter(pl.col("session") > SESSIONS[19])
    fast = AdaptiveRules(smoothing=1.0)
    one, other = (adapted(pl.concat([h, recent]), ("a", "b"), fast) for h in (history, long_ago))
    assert last(one) == last(other)


def test_strangers_and_second_returns_are_refused() -> None:
    with pytest.raises(SchemaError, match="z is no member"):
        adapted(returns({"z": 0.1}), ("a", "b"), RULES)
    twice = pl.concat([returns({"a": 0.1}, count=1)] * 2)
    with pytest.raises(SchemaError, match="a has several returns"):
        adapted(twice, ("a", "b"), RULES)


def test_what_a_member_earned_is_its_scores_times_the_next_sessions_returns() -> None:
    days = sessions_from(count=3)
    rows = [("A", days[0], 100.0), ("A", days[1], 110.0), ("A", days[2], 99.0)]
    rows += [("B", days[0], 50.0), ("B", days[1], 50.0)]
    bars = pl.DataFrame(rows, schema=["symbol", "session", "close"], orient="row")
    said = [("m", "A", days[0], 3.0), ("m", "B", days[0], -1.0), ("m", "A", days[1], -2.0)]
    said += [("m", "B", days[1], 2.0), ("z", "A", days[0], 0.0), ("m", "A", days[2], 1.0)]
    votes = pl.DataFrame(said, schema=["strategy", "symbol", "session", "score"], orient="row")
    found = earned(votes, bars).sort("session", "strategy")
    assert found["session"].to_list() == [days[1], days[1], days[2]]
    assert found["return"].to_list() == pytest.approx([0.75 * 0.1, 0.0, -0.5 * -0.1])


def test_an_ensemble_that_adapts_leans_to_the_member_that_earns_and_does_not_peek() -> None:
    days = sessions_from(count=80)
    bars = random_bars(["A", "B", "C", "D"], days, seed=4, move=0.02)
    ahead = (pl.col("close").shift(-1) / pl.col("close") - 1).over("symbol").fill_null(0.0)
    right = bars.sort("symbol", "session").select("symbol", "session", score=ahead.sign())

    def says(sign: float) -> Strategy:
        def score(features: pl.DataFrame, predictions: pl.DataFrame, bars: object = None):
            return right.with_columns(pl.col("score") * sign).sort("session", "symbol")

        return Strategy(score=score, needs_predictions=False)

    members = {"good": says(1.0), "bad": says(-1.0)}
    rules = EnsembleRules(members=("good", "bad"), adapts=True, min_confidence=0.0)
    made = strategy(members, rules)
    assert (made.look_back, made.prediction_look_back) == (90, 91)
    scores = made(pl.DataFrame(), pl.DataFrame(), bars)
    late = scores.filter(pl.col("session") > days[40]).join(right, on=["symbol", "session"])
    known = late.filter(pl.col("session") < days[-1])
    assert (known["score"].sign() == known["score_right"]).mean() > 0.9
    early = scores.filter(pl.col("session") <= days[5])["score"]
    assert early.abs().max() == 0.0
    rule = EnsembleRules(members=("mean_reversion", "momentum"), adapts=True)
    real = strategy(STRATEGIES, rule)
    long = random_bars(["A", "B", "C"], sessions_from(count=150), seed=5, move=0.03)
    assert_does_not_peek(real, long, predictions_for(long), sessions_from(count=150)[100:149:24])
