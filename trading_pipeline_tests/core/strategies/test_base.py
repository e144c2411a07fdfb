"""What every strategy must be: no peeking, no order of rows, no unit of price."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.strategies import STRATEGIES
from trading_pipeline.core.strategies.base import Strategy, opinions
from trading_pipeline.errors import MissingDataError, SchemaError
from trading_pipeline_tests.core.strategies.prefix import (
    assert_does_not_peek,
    differences,
    predictions_for,
)
from trading_pipeline_tests.factories import random_bars, sessions_from

NOTHING = pl.DataFrame()
SESSIONS = sessions_from(count=330)
SYMBOLS = [f"S{number}" for number in range(6)]
BARS = random_bars(SYMBOLS, SESSIONS, move=0.02)
PREDICTIONS = predictions_for(BARS)
FROM_BARS = [name for name, strategy in STRATEGIES.items() if strategy.look_back]


def peeks(features: pl.DataFrame, predictions: pl.DataFrame, bars: pl.DataFrame | None = None):
    """Tomorrow's return, as today's score."""
    assert bars is not None
    ahead = (pl.col("close").shift(-1) / pl.col("close") - 1).over("symbol").fill_null(0.0)
    return bars.sort("session").select("symbol", "session", score=ahead).sort("session", "symbol")


def scales(features: pl.DataFrame, predictions: pl.DataFrame, bars: pl.DataFrame | None = None):
    """Today's close as a share of the mean of the whole history: a subtler look ahead."""
    assert bars is not None
    share = pl.col("close") / pl.col("close").mean().over("symbol")
    return bars.select("symbol", "session", score=share).sort("session", "symbol")


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_peeks(name: str) -> None:
    assert_does_not_peek(STRATEGIES[name], BARS, PREDICTIONS, [SESSIONS[-2], SESSIONS[280]])


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.integers(60, 119), st.sampled_from(["mean_reversion", "momentum"]))
def test_rule_based_scores_never_change_when_sessions_are_added(
    seed: int, cut: int, name: str
) -> None:
    days = SESSIONS[:120]
    bars = random_bars(SYMBOLS[:3], days, seed=seed, move=0.03)
    assert_does_not_peek(STRATEGIES[name], bars, predictions_for(bars), [days[cut]])


@pytest.mark.parametrize("peeking", [peeks, scales])
def test_a_strategy_that_peeks_is_caught(peeking: object) -> None:
    planted = Strategy(score=peeking, look_back=1)
    assert not differences(planted, BARS, PREDICTIONS, [SESSIONS[280]]).is_empty()
    with pytest.raises(AssertionError, match="later sessions"):
        assert_does_not_peek(planted, BARS, PREDICTIONS, [SESSIONS[280]])


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_order_of_rows_never_matters(name: str) -> None:
    shuffled = STRATEGIES[name](
        NOTHING,
        PREDICTIONS.sample(fraction=1, shuffle=True, seed=1),
        BARS.sample(fraction=1, shuffle=True, seed=2),
    )
    assert shuffled.equals(STRATEGIES[name](NOTHING, PREDICTIONS, BARS))


@pytest.mark.parametrize("name", STRATEGIES)
def test_scores_are_finite_sorted_and_one_a_symbol_and_session(name: str) -> None:
    scores = STRATEGIES[name](NOTHING, PREDICTIONS, BARS)
    assert scores.columns == ["symbol", "session", "score"]
    assert scores["score"].is_finite().all()
    assert scores.equals(
        scores.sort("session", "symbol").unique(
            ["session", "symbol"], keep="any", maintain_order=True
        )
    )


@pytest.mark.parametrize("name", FROM_BARS)
def test_a_factor_common_to_all_prices_of_a_symbol_changes_nothing(name: str) -> None:
    """Bars adjusted as of a later session differ by one; 2 and 1/2 have no rounding."""
    factor = pl.when(pl.col("symbol") == "S0").then(0.5).otherwise(2.0)
    prices = pl.col("open", "high", "low", "close") * factor
    scaled = BARS.with_columns(prices, pl.col("volume") / factor)
    assert STRATEGIES[name](NOTHING, PREDICTIONS, scaled).equals(
        STRATEGIES[name](NOTHING, PREDICTIONS, BARS)
    )


@pytest.mark.parametrize("name", ["mean_reversion", "momentum", "relative_momentum"])
def test_the_look_back_is_all_that_a_score_reads(name: str) -> None:
    days = sessions_from(count=760)
    bars = random_bars(SYMBOLS[:4], days, seed=11, move=0.02)
    strategy = STRATEGIES[name]
    whole = strategy(NOTHING, NOTHING, bars)
    for last in (759, 700, 641, 600):
        window = days[last + 1 - strategy.look_back : last + 1]
        part = strategy(NOTHING, NOTHING, bars.filter(pl.col("session").is_in(window)))
        today = pl.col("session") == days[last]
        assert part.filter(today).equals(whole.filter(today)), days[last]


@pytest.mark.parametrize("name", FROM_BARS)
def test_a_strategy_that_reads_bars_says_so_when_it_has_none(name: str) -> None:
    with pytest.raises(MissingDataError, match="adjusted bars"):
        STRATEGIES[name](NOTHING, PREDICTIONS)
    with pytest.raises(SchemaError, match="high"):
        STRATEGIES[name](NOTHING, PREDICTIONS, BARS.drop("high"))


@pytest.mark.parametrize("name", ["mean_reversion", "momentum"])
def test_features_of_a_model_of_ones_own_have_the_promised_shape(name: str) -> None:
    from trading_pipeline.core.schemas import validate  # noqa: PLC0415  # heavy

    featurize = STRATEGIES[name].featurize
    assert featurize is not None
    features = featurize(BARS)
    validate("features", features)
    early = pl.col("session") <= SESSIONS[200]
    assert featurize(BARS.filter(early)).equals(features.filter(early))
    late = features.filter(~early).drop("symbol", "session", "feature_version")
    assert late.null_count().sum_horizontal().item() == 0
    assert all(np.isfinite(late[column].to_numpy()).all() for column in late.columns)


def test_a_session_too_few_gives_no_score_rather_than_a_guess() -> None:
    young = BARS.filter(pl.col("session") < SESSIONS[19])
    assert STRATEGIES["mean_reversion"](NOTHING, NOTHING, young).is_empty()
    assert STRATEGIES["momentum"](NOTHING, NOTHING, young).is_empty()
    assert STRATEGIES["relative_momentum"](NOTHING, NOTHING, young).is_empty()
    assert STRATEGIES["momentum"](NOTHING, NOTHING, BARS.clear()).is_empty()


def test_an_opinion_is_the_sign_of_the_score_and_how_sure_it_is() -> None:
    scores = pl.DataFrame(
        {"symbol": list("ABC"), "session": [date(2013, 1, 2)] * 3, "score": [-0.02, 0.0, 0.9]}
    )
    assert opinions(scores, 0.04).select("signal", "confidence").rows() == [
        (-1.0, 0.5), (0.0, 0.0), (1.0, 1.0),
    ]  # fmt: skip
