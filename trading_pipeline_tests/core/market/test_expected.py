"""Which symbols should have a bar, and that a range of sessions is checked as each one alone."""

from datetime import date

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.expected import LOOK_BACK, absent
from trading_pipeline.core.market.watch import USUAL, WatchRules, watch
from trading_pipeline_tests.factories import BARS, bars_of, sessions_from

DAYS = sessions_from(count=LOOK_BACK + 30)
RULES = WatchRules(stale_sessions=3, max_volume_ratio=2.0)


@st.composite
def feeds(draw: st.DrawFn) -> pl.DataFrame:
    """Bars of few prices and volumes with gaps short and long, copies, and missing values."""
    rows = []
    for symbol in ("A", "B", "C"):
        at = draw(st.integers(0, 40))
        while at < len(DAYS):
            close = draw(st.sampled_from([1.0, 1.0, 2.0, None]))
            volume = draw(st.sampled_from([0.0, 10.0, 10.0, 40.0, None]))
            row = (symbol, DAYS[at], close, close, close, close, volume, None)
            rows += [row] * draw(st.sampled_from([1, 1, 1, 2]))
            at += draw(st.sampled_from([1, 1, 1, 1, 2, LOOK_BACK, LOOK_BACK + 1]))
    return pl.DataFrame(rows, schema=BARS, orient="row").sort(
        "session", "symbol", maintain_order=True
    )


def known_in(bars: pl.DataFrame, session: date) -> pl.DataFrame:
    first = session_window(session, LOOK_BACK + 1)[0]
    return bars.filter(pl.col("session").is_between(first, session))


def naively(bars: pl.DataFrame, session: date) -> list[tuple[str, date, date, int]]:
    """The absent symbols of a session, one by one."""
    newest = known_in(bars, session).group_by("symbol").agg(pl.col("session").max()).sort("symbol")
    return [
        (symbol, session, last, DAYS.index(session) - DAYS.index(last))
        for symbol, last in newest.iter_rows()
        if last != session
    ]


@settings(max_examples=25, deadline=None)
@given(feeds())
def test_the_absent_are_those_with_a_bar_in_the_look_back_and_none_now(bars: pl.DataFrame) -> None:
    found = absent(bars, DAYS)
    assert found.rows() == [row for session in DAYS for row in naively(bars, session)]
    some = DAYS[5::30]
    assert absent(bars, some).rows() == found.filter(pl.col("session").is_in(some)).rows()


@settings(max_examples=15, deadline=None)
@given(feeds())
def test_a_range_is_watched_as_each_of_its_sessions_alone(bars: pl.DataFrame) -> None:
    suspects = bars[::7]
    found = watch(DAYS, bars, suspects, RULES)
    for session in DAYS[::6]:
        own = suspects.filter(session=session)
        assert found[session] == watch([session], known_in(bars, session), own, RULES)[session]


@settings(max_examples=15, deadline=None)
@given(feeds())
def test_stale_and_odd_bars_are_those_that_a_look_at_each_finds(bars: pl.DataFrame) -> None:
    found = watch(DAYS, bars, bars.clear(), RULES)
    single = bars.unique(["symbol", "session"], keep="first", maintain_order=True)
    for session in DAYS[USUAL::5]:
        by_name = {one.name: one.numbers for one in found[session]}
        days = session_window(session, USUAL + 1)
        still = odd = 0
        for _, rows in single.filter(pl.col("session").is_in(days)).group_by("symbol"):
            last = rows.filter(pl.col("session") >= days[-RULES.stale_sessions])
            if last["session"].max() == session:
                still += len(last) == RULES.stale_sessions and last["close"].n_unique() == 1
                usual = rows.filter(pl.col("session") < session, pl.col("volume") > 0)["volume"]
                now = rows.filter(session=session)["volume"].item()
                if len(usual) >= 5 and now:
                    odd += not 0.5 <= now / usual.median() <= 2.0  # type: ignore[operator]
        assert by_name["stale_series"]["stale_series"] == still
        assert by_name["volume_break"]["volume_break"] == odd


def test_a_symbol_that_is_long_gone_is_expected_no_longer() -> None:
    bars = bars_of({"A": [1.0] * len(DAYS), "B": [1.0] * 3})
    away = absent(bars, DAYS)
    assert away["session"].to_list() == DAYS[3 : 3 + LOOK_BACK]
    assert away["sessions_behind"].to_list() == list(range(1, LOOK_BACK + 1))
