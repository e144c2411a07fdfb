"""What became of suspect bars."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.lake import empty
from trading_pipeline.core.market.quality import BAR, Gated, QualityRules, gate
from trading_pipeline.core.market.verdicts import apply, by_rule, in_force, suspended
from trading_pipeline.core.schemas import validate
from trading_pipeline_tests.factories import actions_of, bars_of, raw, sessions_from

NOW = datetime(2012, 2, 1, tzinfo=UTC)
DAYS = sessions_from(count=12)
NONE = empty("bar_verdicts")


def said(*words: tuple[Any, ...]) -> pl.DataFrame:
    """Verdicts of A, each (session, verdict, decided_by, hours after NOW)."""
    rows = [
        ("A", session, verdict, session, by, "why", NOW + timedelta(hours=hours))
        for session, verdict, by, hours in words
    ]
    return pl.DataFrame(rows, schema=NONE.schema, orient="row")


def gated(closes: list[float]) -> Gated:
    bars = bars_of({"A": closes, "B": [5.0] * len(closes)})
    return gate(bars, actions_of(), QualityRules(), convention="crsp")


def of(frame: pl.DataFrame) -> list[date]:
    return frame.filter(symbol="A")["session"].to_list()


def reasons(frame: pl.DataFrame) -> list[str]:
    return frame["reason"].to_list()


def test_a_suspect_stays_in_the_history_and_its_symbol_is_suspended() -> None:
    after = apply(gated([100.0, 48.0]), NONE)
    assert of(after.clean) == DAYS[:2]
    assert reasons(after.quarantined) == ["suspect_move_0.52"]
    assert suspended(after.quarantined) == ["A"]


@pytest.mark.parametrize("verdict", ["reverted", "rejected"])
def test_an_error_leaves_the_history(verdict: str) -> None:
    after = apply(gated([100.0, 48.0, 99.0]), said((DAYS[1], verdict, "ann", 0)))
    assert of(after.clean) == [DAYS[0], DAYS[2]]
    assert reasons(after.quarantined) == [f"suspect_move_0.52; {verdict}"]
    assert suspended(after.quarantined) == []


def test_a_confirmed_bar_stays_as_it_was() -> None:
    before = apply(gated([100.0, 48.0, 47.0]), NONE)
    after = apply(gated([100.0, 48.0, 47.0]), said((DAYS[1], "confirmed", "rule", 0)))
    assert after.clean.equals(before.clean)
    assert after.quarantined.equals(before.quarantined)


def test_a_released_bar_is_traded() -> None:
    after = apply(gated([100.0, 48.0]), said((DAYS[1], "released", "ann", 0)))
    assert of(after.clean) == DAYS[:2]
    assert after.quarantined.is_empty()


def test_a_person_may_reject_a_bar_that_no_rule_suspects() -> None:
    after = apply(gated([100.0, 101.0]), said((DAYS[1], "rejected", "ann", 0)))
    assert of(after.clean) == DAYS[:1]
    assert reasons(after.quarantined) == ["rejected"]


def test_a_person_goes_before_the_rule_and_the_last_word_counts() -> None:
    words = [
        (DAYS[1], "released", "ann", 1),
        (DAYS[1], "reverted", "rule", 5),
        (DAYS[1], "rejected", "bob", 2),
    ]
    assert in_force(said(*words))["verdict"].to_list() == ["rejected"]
    assert in_force(said(*words), NOW + timedelta(hours=1))["verdict"].to_list() == ["released"]
    assert in_force(said(*words[1:2]))["verdict"].to_list() == ["reverted"]
    assert in_force(said(*words), NOW).is_empty()


def test_a_verdict_by_rule_is_known_when_both_bars_are() -> None:
    bars = bars_of({"A": [100.0, 48.0, 99.0]})
    late = NOW + timedelta(days=3)
    for day, expected in ((0, NOW), (1, late), (2, late)):
        when = pl.when(pl.col("session") == DAYS[day]).then(late).otherwise(NOW)
        known = raw(bars).with_columns(known_at=when.cast(pl.Datetime("us", "UTC")))
        rows = validate("bar_verdicts", by_rule(gated([100.0, 48.0, 99.0]).suspects, known))
        assert rows.select("verdict", "decided_in", "decided_by", "known_at").rows() == [
            ("reverted", DAYS[2], "rule", expected)
        ]


@given(
    st.lists(st.sampled_from([100.0, 48.0, 200.0, 10.0]), min_size=1, max_size=8),
    st.lists(
        st.tuples(
            st.sampled_from(DAYS[:8]),
            st.sampled_from(["confirmed", "reverted", "released", "rejected"]),
            st.sampled_from(["rule", "ann"]),
            st.integers(0, 9),
        ),
        max_size=5,
    ),
)
def test_no_bar_is_lost_or_doubled_whatever_is_said(
    closes: list[float], words: list[tuple[Any, ...]]
) -> None:
    before = gated(closes)
    after = apply(before, in_force(said(*words)))
    aside = after.quarantined.join(after.clean, on=BAR, how="anti", nulls_equal=True)
    together = pl.concat([after.clean, aside.drop("reason")]).sort("session", "symbol")
    assert together.equals(before.clean)
    assert set(suspended(after.quarantined)) <= {"A"}


def test_a_close_halved_for_one_day_reverts_and_the_day_after_is_kept() -> None:
    """118.90, 61.60, 123.50: three closes of a real feed."""
    bars = bars_of({"A": [118.2, 118.9, 61.6, 123.5]})
    gated = gate(bars, actions_of(), QualityRules(), convention="yahoo")
    assert gated.suspects.select("close", "verdict").rows() == [(61.6, "reverted")]
    assert 123.5 in gated.clean["close"]


def test_a_true_fall_that_recovers_in_part_is_not_thrown_away() -> None:
    """0.35, 0.21 and 0.30 on twenty times the volume: MILL of a real feed, 2015-07-14."""
    gated = gate(
        bars_of({"A": [0.34, 0.35, 0.21, 0.30, 0.29]}),
        actions_of(),
        QualityRules(),
        convention="yahoo",
    )
    assert gated.suspects.select("close", "verdict").rows() == [(0.21, "confirmed")]


def test_another_security_under_a_symbol_is_suspect_on_its_first_day() -> None:
    bars = bars_of({"A": [40.0, 40.4, 9.1, 9.2]})
    gated = gate(bars, actions_of(), QualityRules(), convention="yahoo")
    assert gated.suspects.select("close", "verdict").rows() == [(9.1, "confirmed")]
