"""From scores to target weights."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_pipeline.core.portfolio.construction import (
    ConstructionRules,
    rank,
    require_weights,
    weigh,
    weigh_dense,
)
from trading_pipeline.core.schemas import validate
from trading_pipeline.errors import SchemaError, SettingsError, TradingError
from trading_pipeline_tests.factories import sessions_from

SESSION = date(2013, 1, 2)
NEXT = date(2013, 1, 3)
DEFAULT = ConstructionRules()


def scores(session: date = SESSION, **of: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {"symbol": list(of), "session": [session] * len(of), "score": list(of.values())},
        schema={"symbol": pl.String, "session": pl.Date, "score": pl.Float64},
    )


def weights(frame: pl.DataFrame, session: date = SESSION) -> dict[str, float]:
    of_session = frame.filter(pl.col("session") == session)
    return dict(of_session.select("symbol", "target_weight").iter_rows())


FIVE = {"AAPL": 0.01, "FB": 0.03, "GOOG": -0.02, "IBM": 0.0, "MSFT": -0.03}


def test_rank_one_is_the_highest_score() -> None:
    signals = rank(scores(**FIVE), strategy="alpha_baseline")
    assert signals["symbol"].to_list() == ["FB", "AAPL", "IBM", "GOOG", "MSFT"]
    assert signals["rank"].to_list() == [1, 2, 3, 4, 5]


def test_signals_and_target_weights_have_the_shape_of_their_tables() -> None:
    signals = validate("signals", rank(scores(**FIVE), strategy="alpha_baseline"))
    validate("target_weights", weigh(signals, DEFAULT))


def test_the_default_portfolio_is_possible_on_the_default_universe() -> None:
    targets = weigh(rank(scores(**FIVE), strategy="alpha_baseline"), DEFAULT)
    assert weights(targets) == {"FB": 0.5, "AAPL": 0.5, "IBM": 0.0, "GOOG": -0.5, "MSFT": -0.5}


def test_equal_scores_rank_by_symbol_however_the_rows_come() -> None:
    frame = scores(MSFT=0.0, AAPL=-0.0, IBM=0.0, GOOG=0.0)
    for rows in (frame, frame.reverse()):
        signals = rank(rows, strategy="s")
        assert signals["symbol"].to_list() == ["AAPL", "GOOG", "IBM", "MSFT"]


def test_a_universe_too_small_is_refused_with_the_numbers() -> None:
    signals = rank(scores(AAPL=1.0, IBM=2.0, MSFT=3.0), strategy="s")
    with pytest.raises(SettingsError, match=r"2 long and 2 short .* need 4 .* has 3"):
        weigh(signals, DEFAULT)
    with pytest.raises(SettingsError, match=r"need 4 symbols, .* has 0"):
        weigh(signals.clear(), DEFAULT)


def test_one_session_too_small_among_others_is_refused() -> None:
    both = pl.concat([scores(**FIVE), scores(NEXT, AAPL=1.0)])
    with pytest.raises(SettingsError, match=r"need 4 symbols, .* has 1"):
        weigh(rank(both, strategy="s"), DEFAULT)


def test_long_only_holds_no_shorts_and_needs_no_room_for_them() -> None:
    rules = ConstructionRules(long_only=True)
    targets = weigh(rank(scores(AAPL=1.0, IBM=2.0), strategy="s"), rules)
    assert weights(targets) == {"IBM": 0.5, "AAPL": 0.5}


@pytest.mark.parametrize(
    ("top", "bottom", "expected"),
    [(1, 0, [1.0, 0, 0]), (0, 2, [0, -0.5, -0.5]), (3, 0, [1 / 3, 1 / 3, 1 / 3])],
)
def test_a_side_may_be_empty(top: int, bottom: int, expected: list[float]) -> None:
    signals = rank(scores(A=3.0, B=2.0, C=1.0), strategy="s")
    targets = weigh(signals, ConstructionRules(top_n=top, bottom_n=bottom))
    assert targets["target_weight"].to_list() == pytest.approx(expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"top_n": -1},
        {"top_n": 0, "bottom_n": 0},
        {"top_n": 0, "long_only": True},
        {"top": 1},
    ],
)
def test_rules_that_hold_nothing_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ConstructionRules.model_validate(fields)


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(bad: float | None) -> None:
    with pytest.raises(SchemaError, match="IBM has no finite score in 2013-01-02"):
        rank(scores(AAPL=1.0, IBM=bad), strategy="s")


def test_two_scores_of_one_symbol_are_refused() -> None:
    twice = pl.concat([scores(AAPL=1.0), scores(AAPL=2.0)])
    with pytest.raises(SchemaError, match="AAPL has several scores"):
        rank(twice, strategy="s")


@pytest.mark.parametrize("wrong", [[0.5, 0.5, 0.0, -0.5, -0.4], [0.5, 0.5, 0.0, -1.0, 0.0]])
def test_weights_other_than_promised_are_refused(wrong: list[float]) -> None:
    targets = weigh(rank(scores(**FIVE), strategy="s"), DEFAULT)
    with pytest.raises(TradingError, match="The weights of 2013-01-02 are"):
        require_weights(targets.with_columns(pl.Series("target_weight", wrong)), DEFAULT)


panels = st.dictionaries(
    st.sampled_from([f"S{number:02}" for number in range(12)]),
    st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0]) | st.floats(-1, 1),
    min_size=4,
    max_size=12,
)


@given(panels, panels, st.integers(0, 2), st.integers(0, 2), st.randoms(use_true_random=False))
def test_the_best_are_long_the_worst_short_and_each_side_sums_to_one(
    one: dict[str, float], other: dict[str, float], top: int, bottom: int, random: object
) -> None:
    rules = ConstructionRules(top_n=top, bottom_n=bottom or 1)
    frame = pl.concat([scores(**one), scores(NEXT, **other)])
    shuffled = frame[random.sample(range(frame.height), frame.height)]
    signals = rank(shuffled, strategy="s")
    targets = weigh(signals.reverse(), rules)
    assert targets.equals(weigh(rank(frame, strategy="s"), rules))
    for session, of in ((SESSION, one), (NEXT, other)):
        held = weights(targets, session)
        longs = [of[symbol] for symbol, weight in held.items() if weight > 0]
        shorts = [of[symbol] for symbol, weight in held.items() if weight < 0]
        rest = [of[symbol] for symbol, weight in held.items() if weight == 0]
        assert held.keys() == of.keys()
        assert (len(longs), len(shorts)) == (rules.top_n, rules.shorts)
        assert sum(weight for weight in held.values() if weight > 0) == pytest.approx(int(top > 0))
        assert min(longs, default=2) >= max([*rest, *shorts], default=-2)
        assert max(shorts, default=-2) <= min([*rest, *longs], default=2)


@given(
    st.lists(
        st.lists(st.none() | st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=6, max_size=6),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_scores_laid_out_as_arrays_are_weighed_alike(
    table: list[list[float | None]], top: int, bottom: int
) -> None:
    """Equal scores and missing ones included; a session with too few decides nothing."""
    assume(top + bottom > 0)
    rules = ConstructionRules(top_n=top, bottom_n=bottom)
    days = sessions_from(count=len(table))
    found = weigh_dense(np.array(table, dtype=float), rules)
    for day, row, weights in zip(days, table, found, strict=True):
        rows = [(f"S{lane}", day, score) for lane, score in enumerate(row) if score is not None]
        if len(rows) < rules.needed:
            assert np.isnan(weights).all()
            continue
        said = pl.DataFrame(rows, schema=["symbol", "session", "score"], orient="row")
        expected = weigh(rank(said, strategy="any"), rules)
        held = dict(expected.select("symbol", "target_weight").iter_rows())
        assert [held.get(f"S{lane}", 0.0) for lane in range(6)] == weights.tolist()
