from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trading_pipeline.core.features.alpha158 import LOOK_BACK, NAMES, alpha158
from trading_pipeline.core.features.as_of import features_as_of
from trading_pipeline.core.market.corporate_actions import Convention, adjust, on_sessions
from trading_pipeline_tests.factories import (
    actions_of,
    dividend,
    random_bars,
    sessions_from,
    split,
)

SESSIONS = sessions_from(count=150)
SYMBOLS = ("AAA", "BBB", "CCC")
BARS = random_bars(SYMBOLS, SESSIONS)
ASKED = SESSIONS[70:]
CONVENTIONS = st.sampled_from(["crsp", "yahoo"])


def known_in(
    session: date, bars: pl.DataFrame, actions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """The look-back of a session, its actions, and the symbols that have bars before it."""
    start = SESSIONS[SESSIONS.index(session) - LOOK_BACK]
    within = pl.col("session").is_between(start, session)
    older = bars.filter(pl.col("session") < start)["symbol"].unique().to_list()
    return bars.filter(within), actions.filter(within), older


def alone(
    session: date, bars: pl.DataFrame, actions: pl.DataFrame, convention: Convention
) -> pl.DataFrame:
    its_bars, its_actions, older = known_in(session, bars, actions)
    return features_as_of(
        its_bars, its_actions, sessions=[session], convention=convention, listed_before=older
    )


def asked_at_once(
    bars: pl.DataFrame, actions: pl.DataFrame, convention: Convention
) -> pl.DataFrame:
    return features_as_of(bars, actions, sessions=ASKED, convention=convention)


def without(bars: pl.DataFrame, symbol: str, first: date, last: date) -> pl.DataFrame:
    gap = (pl.col("symbol") == symbol) & pl.col("session").is_between(first, last)
    return bars.filter(~gap)


@st.composite
def actions(draw: st.DrawFn) -> pl.DataFrame:
    """Up to eight splits and dividends, several of which may share a symbol and a day."""
    chosen: list[pl.DataFrame] = []
    for _ in range(draw(st.integers(0, 8))):
        symbol, day = draw(st.sampled_from(SYMBOLS)), draw(st.sampled_from(SESSIONS))
        if draw(st.booleans()):
            chosen.append(split(symbol, day, draw(st.sampled_from([2.0, 0.1, 1.5, 7.0]))))
        else:
            chosen.append(dividend(symbol, day, draw(st.floats(0.01, 3.0))))
    return on_sessions(actions_of(*chosen))


@settings(max_examples=8)
@given(actions(), CONVENTIONS, st.integers(0, 149), st.integers(0, 40), st.integers(0, 100))
def test_a_range_of_sessions_gives_what_they_give_one_by_one_to_the_last_bit(
    actions: pl.DataFrame, convention: Convention, gap: int, length: int, listed: int
) -> None:
    bars = without(BARS, "BBB", SESSIONS[gap], SESSIONS[min(gap + length, 149)])
    bars = without(bars, "CCC", SESSIONS[0], SESSIONS[listed])
    together = asked_at_once(bars, actions, convention)
    sample = [ASKED[0], *ASKED[3::9], ASKED[-1]]
    for session in sample:
        expected = alone(session, bars, actions, convention)
        found = together.filter(pl.col("session") == session)
        assert_frame_equal(found, expected, check_exact=True)


def test_they_are_the_features_of_bars_adjusted_as_of_the_session() -> None:
    held = on_sessions(
        actions_of(
            split("AAA", SESSIONS[80], 2.0),
            dividend("AAA", SESSIONS[100], 1.3),
            dividend("BBB", SESSIONS[130], 0.7),
        )
    )
    together = asked_at_once(BARS, held, "crsp")
    for session in (ASKED[0], SESSIONS[80], SESSIONS[99], SESSIONS[100], ASKED[-1]):
        bars, its, _ = known_in(session, BARS, held)
        adjusted = adjust(bars, its, convention="crsp", as_of=session)
        expected = alpha158(adjusted).filter(pl.col("session") == session)
        found = together.filter(pl.col("session") == session)
        assert_frame_equal(found, expected, check_exact=True)


def test_adjusting_once_as_of_the_last_session_would_not_give_the_same_bits() -> None:
    later = on_sessions(actions_of(split("AAA", SESSIONS[140], 7.0)))
    once = alpha158(adjust(BARS, later, convention="crsp")).filter(pl.col("session").is_in(ASKED))
    found = asked_at_once(BARS, later, "crsp")
    assert not once.equals(found)


def test_a_split_leaves_no_trace_in_the_features() -> None:
    day = SESSIONS[110]
    after = (pl.col("symbol") == "AAA") & (pl.col("session") >= day)
    prices = pl.col("open", "high", "low", "close", "vwap")
    raw = BARS.with_columns(
        pl.when(after).then(prices / 4).otherwise(prices).name.keep(),
        pl.when(after).then(pl.col("volume") * 4).otherwise("volume").alias("volume"),
    )
    known = asked_at_once(raw, on_sessions(actions_of(split("AAA", day, 4.0))), "crsp")
    whole = asked_at_once(BARS, on_sessions(actions_of()), "crsp")
    # CORR takes the log of volume + 1, which is not free of scale.
    scale_free = [name for name in NAMES if not name.startswith("CORR")]
    assert_frame_equal(
        known.select(scale_free), whole.select(scale_free), abs_tol=1e-6, rel_tol=1e-5
    )
    ignored = asked_at_once(raw, on_sessions(actions_of()), "crsp")
    assert ignored["ROC20"].max() > 3


@pytest.mark.parametrize("convention", ["crsp", "yahoo"])
def test_later_bars_and_actions_do_not_touch_a_session(convention: Convention) -> None:
    later = on_sessions(
        actions_of(split("AAA", SESSIONS[121], 3.0), dividend("BBB", SESSIONS[140], 2.0))
    )
    found = asked_at_once(BARS, later, convention).filter(pl.col("session") <= SESSIONS[120])
    past = BARS.filter(pl.col("session") <= SESSIONS[120])
    expected = asked_at_once(past, later.clear(), convention)
    assert_frame_equal(found, expected, check_exact=True)


def test_a_symbol_without_a_bar_in_a_session_has_no_features_of_it() -> None:
    bars = without(BARS, "BBB", SESSIONS[100], SESSIONS[104])
    found = asked_at_once(bars, on_sessions(actions_of()), "crsp")
    keys = ["symbol", "session"]
    expected = bars.filter(pl.col("session").is_in(ASKED)).select(keys).sort("session", "symbol")
    assert_frame_equal(found.select(keys), expected)


def test_a_gap_at_the_start_of_the_look_back_is_not_taken_for_a_listing() -> None:
    session = SESSIONS[100]
    bars = without(BARS, "AAA", SESSIONS[35], SESSIONS[50])  # the look-back starts at 40
    its_bars, its_actions, older = known_in(session, bars, on_sessions(actions_of()))
    assert "AAA" in older
    listed = features_as_of(its_bars, its_actions, sessions=[session], convention="crsp")
    gap = features_as_of(
        its_bars, its_actions, sessions=[session], convention="crsp", listed_before=["AAA"]
    )
    whole = alpha158(bars).filter(pl.col("session") == session)
    assert_frame_equal(gap, whole, check_exact=True)
    assert listed["CNTP60"][0] > gap["CNTP60"][0]


def test_nothing_asked_gives_no_rows() -> None:
    none = on_sessions(actions_of())
    found = features_as_of(BARS, none, sessions=[], convention="crsp")
    assert found.is_empty()
    assert found.columns == ["symbol", "session", "feature_version", *NAMES]
    assert features_as_of(BARS.clear(), none, sessions=ASKED, convention="crsp").is_empty()
