"""Weights that follow what each member has lately earned, out of sample."""

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.strategies.adaptive_weights import AdaptiveRules, adapted
from trading_pipeline.errors import SchemaError
from trading_pipeline_tests.factories import sessions_from

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
