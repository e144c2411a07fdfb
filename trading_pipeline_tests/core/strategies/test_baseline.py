"""The baseline strategy: scores are predictions in units that compare across sessions."""

from datetime import date
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.strategies import STRATEGIES
from trading_pipeline.core.strategies.baseline import SCALE, score

SESSION = date(2013, 1, 2)
NEXT = date(2013, 1, 3)
NO_FEATURES = pl.DataFrame()


def predictions(session: date = SESSION, **of: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": list(of),
            "session": [session] * len(of),
            "strategy": ["alpha_baseline"] * len(of),
            "prediction": list(of.values()),
            "model_version": ["1"] * len(of),
        },
        schema_overrides={"prediction": pl.Float64},
    )


def scored(frame: pl.DataFrame, session: date = SESSION) -> dict[str, float]:
    scores = score(NO_FEATURES, frame).filter(pl.col("session") == session)
    return dict(scores.select("symbol", "score").iter_rows())


def test_the_baseline_is_a_strategy() -> None:
    assert STRATEGIES["alpha_baseline"].score is score


def test_a_score_is_deviations_from_the_mean_times_two_percent() -> None:
    # mean 2, sample deviation 1
    assert scored(predictions(A=1.0, B=2.0, C=3.0)) == pytest.approx(
        {"A": -0.02, "B": 0.0, "C": 0.02}
    )


def test_predictions_that_do_not_differ_are_only_centered() -> None:
    assert scored(predictions(A=207.0, B=207.0)) == {"A": 0.0, "B": 0.0}


def test_a_single_symbol_is_centered_too_and_no_raw_prediction_gets_through() -> None:
    assert scored(predictions(A=207.0)) == {"A": 0.0}


def test_each_session_is_its_own_cross_section() -> None:
    both = pl.concat([predictions(A=1.0, B=3.0), predictions(NEXT, A=500.0, B=100.0)])
    assert scored(both) == scored(predictions(A=1.0, B=3.0))
    assert scored(both, NEXT)["A"] > 0 > scored(both, NEXT)["B"]


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_symbol_without_a_finite_prediction_has_no_score_and_moves_no_other(
    missing: float | None,
) -> None:
    assert scored(predictions(A=1.0, B=2.0, C=3.0, D=missing)) == (
        scored(predictions(A=1.0, B=2.0, C=3.0))
    )


def test_no_predictions_give_no_scores() -> None:
    nothing = score(NO_FEATURES, predictions().cast({"symbol": pl.String, "session": pl.Date}))
    assert nothing.columns == ["symbol", "session", "score"]
    assert nothing.is_empty()


panels = st.dictionaries(
    st.sampled_from([f"S{number:02}" for number in range(12)]),
    st.floats(-1e3, 1e3).map(lambda value: round(value, 6)),
    min_size=2,
)


@given(panels, st.randoms(use_true_random=False))
def test_scores_keep_the_order_of_the_predictions_whatever_the_order_of_rows(
    of: dict[str, float], random: object
) -> None:
    frame = predictions(**of)
    shuffled = frame[random.sample(range(frame.height), frame.height)]
    scores = scored(frame)
    assert list(scores) == sorted(of)
    assert scored(shuffled) == scores
    by_prediction = sorted(of, key=lambda symbol: of[symbol])
    for one, other in pairwise(by_prediction):
        assert (scores[one] < scores[other]) == (of[one] < of[other])
    assert sum(scores.values()) == pytest.approx(0, abs=1e-9)
    if len(set(of.values())) > 1:
        deviation = (sum(s**2 for s in scores.values()) / (len(scores) - 1)) ** 0.5
        assert deviation == pytest.approx(SCALE, rel=1e-6)
