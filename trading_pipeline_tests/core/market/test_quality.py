"""The quality gate and the checks of a session."""

from collections.abc import Sequence
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_pipeline.adapters.lake import empty
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.market.quality import BAR, Gated, QualityRules, check_sessions, gate
from trading_pipeline.core.market.verdicts import apply
from trading_pipeline.core.schemas import validate
from trading_pipeline.errors import SchemaError
from trading_pipeline_tests.factories import (
    BARS,
    actions_of,
    bars_of,
    dividend,
    random_bars,
    sessions_from,
    split,
)

RULES = QualityRules()
DAYS = sessions_from(count=12)


def _gate(bars: pl.DataFrame, actions: pl.DataFrame | None = None, **rules: float) -> Gated:
    known = actions_of() if actions is None else actions
    return gate(bars, known, QualityRules(**rules), convention="crsp")


def _kept(closes: Sequence[float], **rules: float) -> list[float]:
    """The closes beyond suspicion."""
    gated = _gate(bars_of({"A": closes}), **rules)
    return gated.clean.join(gated.suspects, on=BAR[:2], how="anti")["close"].to_list()


def _suspects(gated: Gated) -> list[date]:
    assert gated.quarantined.is_empty()
    return gated.suspects["session"].to_list()


def _reasons(gated: Gated) -> list[str]:
    return gated.suspects["reason"].to_list()


def test_well_formed_bars_are_all_clean() -> None:
    bars = random_bars(["A", "B"], DAYS)
    gated = _gate(bars)
    assert gated.clean.equals(bars)
    assert gated.quarantined.is_empty()


def test_the_bar_after_a_bad_tick_is_kept() -> None:
    """C-ETL-5: one bad tick used to cost its successor too."""
    gated = _gate(bars_of({"A": [100.0, 200.0, 100.0, 101.0]}))
    assert gated.clean["close"].to_list() == [100.0, 200.0, 100.0, 101.0]
    assert _reasons(gated) == ["suspect_move_1.00"]
    assert gated.suspects.select("close", "verdict", "decided_in").rows() == [
        (200.0, "reverted", DAYS[2])
    ]


@pytest.mark.parametrize(
    ("closes", "verdict"),
    [
        ([100.0, 48.0], None),
        ([100.0, 48.0, 47.0], "confirmed"),
        ([100.0, 48.0, 99.0], "reverted"),
        ([100.0, 48.0, 119.0], "reverted"),
        ([100.0, 48.0, 121.0], "confirmed"),
        ([100.0, 48.0, 82.0], "confirmed"),
        ([100.0, 140.0, 196.0], "confirmed"),
        ([100.0, 140.0, 130.0], "confirmed"),
    ],
)
def test_the_next_bar_settles_a_suspect(closes: list[float], verdict: str | None) -> None:
    settled = _gate(bars_of({"A": closes, "B": [5.0] * 3})).suspects.filter(session=DAYS[1])
    assert settled["verdict"].to_list() == [verdict]
    assert settled["decided_in"].to_list() == [DAYS[2] if verdict else None]


def test_a_new_level_is_accepted_from_its_second_session() -> None:
    assert _kept([100.0, 48.0, 47.0, 48.0, 49.0]) == [100.0, 47.0, 48.0, 49.0]


def test_a_bar_after_weeks_without_any_is_compared_with_none() -> None:
    closes = [100.0, *[None] * 12, 10.0, 10.1]
    assert _suspects(_gate(bars_of({"A": closes}))) == []
    assert len(_suspects(_gate(bars_of({"A": [100.0, *[None] * 7, 10.0, 10.1]})))) == 1


def test_a_price_halved_for_one_session_is_set_aside() -> None:
    assert _kept([118.9, 61.6, 123.5]) == [118.9, 123.5]


def test_the_first_bar_of_a_symbol_is_never_an_outlier() -> None:
    assert _kept([100.0]) == [100.0]
    assert _kept([100.0, 10.0]) == [100.0]


@pytest.mark.parametrize(
    ("close", "kept"), [(130.0, True), (70.0, True), (130.1, False), (69.9, False)]
)
def test_a_move_of_exactly_the_limit_is_allowed(close: float, kept: bool) -> None:
    assert (close in _kept([100.0, 100.0, close])) is kept


def test_the_limit_is_a_rule() -> None:
    assert _kept([100.0, 106.0], max_move=0.05) == [100.0]
    for limit in (0.0, 1.01):
        with pytest.raises(ValidationError):
            QualityRules(max_move=limit)


def test_a_split_is_no_outlier_and_neither_is_the_session_after_it() -> None:
    gated = _gate(bars_of({"A": [400.0, 404.0, 101.0, 102.0]}), split("A", DAYS[2], 4.0))
    assert _suspects(gated) == []
    assert gated.clean["close"].to_list() == [400.0, 404.0, 101.0, 102.0]


def test_a_split_between_two_bars_that_are_not_neighbors_is_no_outlier() -> None:
    gated = _gate(bars_of({"A": [400.0, None, None, 101.0]}), split("A", DAYS[1], 4.0))
    assert _suspects(gated) == []


def test_a_bad_tick_on_the_day_of_a_split_costs_only_its_own_session() -> None:
    gated = _gate(bars_of({"A": [400.0, 300.0, 101.0]}), split("A", DAYS[1], 4.0))
    assert _reasons(gated) == ["suspect_move_2.00"]
    assert gated.suspects["verdict"].to_list() == ["reverted"]


def test_an_inverted_split_ratio_is_caught_on_its_day() -> None:
    """C-ETL-6: a day with an action used to be exempt from the move rule."""
    gated = _gate(bars_of({"A": [400.0, 404.0, 101.0]}), split("A", DAYS[2], 0.25))
    assert _suspects(gated) == [DAYS[2]]


def test_a_split_applied_by_the_vendor_a_day_early_is_caught() -> None:
    closes = [700.0, 702.6 / 7, 100.5, 101.0]
    gated = _gate(bars_of({"A": closes}), split("A", DAYS[2], 7.0))
    assert _suspects(gated) == [DAYS[1]]
    assert gated.suspects["verdict"].to_list() == ["reverted"]


def test_a_bad_bar_of_one_symbol_leaves_the_others_alone() -> None:
    gated = _gate(bars_of({"A": [100.0, 200.0, 100.0], "B": [10.0, 10.0, 10.0]}))
    assert gated.suspects.select("symbol", "session").rows() == [("A", DAYS[1])]


FAULTS = {
    "missing_value": {"close": None},
    "non_positive_price": {"open": 0.0, "low": 0.0},
    "negative_volume": {"volume": -1.0},
    "high_below_low": {"high": 98.0, "low": 99.0, "open": 98.0, "close": 99.0},
    "open_close_outside_range": {"close": 103.0},
    "not_a_session": {"session": date(2012, 1, 7)},
}


def _with(changes: dict[str, object], row: int = 3) -> pl.DataFrame:
    bars = bars_of({"A": [100.0] * 6}).with_columns(high=pl.lit(102.0), low=pl.lit(97.0))
    rows = bars.to_dicts()
    rows[row] |= changes
    return pl.DataFrame(rows, schema=BARS)


@pytest.mark.parametrize(("reason", "changes"), FAULTS.items())
def test_each_fault_of_a_bar_has_its_name(reason: str, changes: dict[str, object]) -> None:
    """C-ETL-7: malformed bars used to pass, or to take the next good bar with them."""
    gated = _gate(_with(changes))
    assert reason in gated.quarantined["reason"].item().split("; ")
    assert gated.clean.height == 5


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_a_value_that_is_no_number_is_missing(column: str, value: float | None) -> None:
    assert _gate(_with({column: value})).quarantined["reason"].to_list() == ["missing_value"]


def test_a_missing_vwap_is_fine_and_a_negative_one_is_not() -> None:
    assert _gate(_with({"vwap": None})).quarantined.is_empty()
    assert _gate(_with({"vwap": -1.0})).quarantined["reason"].item() == "non_positive_price"


def test_several_reasons_stand_side_by_side() -> None:
    gated = _gate(_with({"close": None, "volume": -5.0, "session": date(2012, 1, 8)}))
    assert gated.quarantined["reason"].item() == "missing_value; negative_volume; not_a_session"


def test_a_close_off_the_range_by_rounding_alone_is_fine() -> None:
    assert _gate(_with({"close": 102.000001})).quarantined.is_empty()


def test_of_equal_copies_one_is_kept() -> None:
    bars = bars_of({"A": [100.0, 101.0]})
    gated = _gate(pl.concat([bars, bars.tail(1), bars.tail(1)]))
    assert gated.clean.equals(bars)
    assert gated.quarantined["reason"].to_list() == ["duplicate", "duplicate"]


def test_of_copies_that_differ_none_is_kept() -> None:
    bars = bars_of({"A": [100.0, 101.0, 102.0]})
    other = bars.slice(1, 1).with_columns(pl.col("open", "high", "low", "close") + 1)
    gated = _gate(pl.concat([bars, other]))
    assert gated.clean["close"].to_list() == [100.0, 102.0]
    assert gated.quarantined["reason"].to_list() == ["duplicate", "duplicate"]


def test_columns_of_a_delivery_are_left_behind_and_the_tables_shapes_hold() -> None:
    bars = _with({"close": None}).with_columns(vendor=pl.lit("x"))
    gated = _gate(bars)
    assert tuple(gated.clean.columns) == BAR
    validate("clean_bars", gated.clean)
    validate("quarantined_bars", gated.quarantined)
    empty = _gate(bars.clear())
    validate("clean_bars", empty.clean)
    validate("quarantined_bars", empty.quarantined)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SchemaError, match="vwap"):
        _gate(bars_of({"A": [1.0]}).drop("vwap"))


MULTIPLES = st.sampled_from([1.0, 1.01, 0.99, 0.5, 2.0, 4.0, 0.25, 1.3, 0.7])
SPOILT = st.sampled_from([None, float("nan"), 0.0, -1.0])
SERIES = st.lists(st.one_of(MULTIPLES, MULTIPLES, SPOILT), min_size=1, max_size=10)
SPLITS = st.builds(
    split, st.sampled_from("AB"), st.sampled_from(DAYS), st.sampled_from([2.0, 4.0, 0.5])
)
DIVIDENDS = st.builds(dividend, st.sampled_from("AB"), st.sampled_from(DAYS), st.floats(0.1, 50))
ACTIONS = st.lists(SPLITS | DIVIDENDS, max_size=4).map(lambda found: actions_of(*found))


def _series(symbol: str, multiples: Sequence[float | None]) -> pl.DataFrame:
    """A path of closes by multiples; a spoilt one spoils its own session only."""
    price, rows = 100.0, []
    for session, multiple in zip(DAYS, multiples, strict=False):
        sound = multiple is not None and multiple > 0
        price = price * multiple if sound else price
        close = price if sound else multiple
        rows.append((symbol, session, price, price, price, close, 1.0, None))
    return pl.DataFrame(rows, schema=BARS, orient="row")


BAR_SETS = st.tuples(SERIES, SERIES, st.booleans()).map(
    lambda drawn: pl.concat(
        [_series("A", drawn[0]), _series("B", drawn[1]), *([_series("A", drawn[0])[:2]] * drawn[2])]
    )
)


@given(BAR_SETS, ACTIONS, st.sampled_from(["crsp", "yahoo"]))
def test_clean_and_quarantined_together_are_what_went_in(
    bars: pl.DataFrame, actions: pl.DataFrame, convention
) -> None:
    gated = gate(bars, actions, RULES, convention=convention)
    together = pl.concat([gated.clean, gated.quarantined.drop("reason")])
    assert together.sort(BAR).equals(bars.sort(BAR))
    assert gated.quarantined["reason"].str.len_chars().gt(0).all()
    assert gated.suspects.join(gated.clean, on=BAR, how="anti", nulls_equal=True).is_empty()


@pytest.mark.parametrize("amount", [25.0, 26.0])
def test_a_dividend_of_the_whole_price_or_more_explains_no_move(amount: float) -> None:
    bars = bars_of({"A": [100.0, 100.0, 25.0, 25.0]}, first=DAYS[0])
    actions = actions_of(split("A", DAYS[2], 4.0), dividend("A", DAYS[3], amount))
    found = gate(bars, actions, RULES, convention="yahoo")
    assert found.suspects.is_empty()
    assert found.clean.height == 4


@given(BAR_SETS, ACTIONS, st.sampled_from(["crsp", "yahoo"]), st.integers(0, 11))
def test_a_verdict_never_changes_when_later_sessions_arrive(
    bars: pl.DataFrame, actions: pl.DataFrame, convention, day: int
) -> None:
    known = pl.col("session") <= DAYS[day]
    announced = actions.filter(pl.col("ex_date") <= DAYS[day])
    early = gate(bars.filter(known), announced, RULES, convention=convention)
    late = gate(bars, actions, RULES, convention=convention)
    assert early.clean.equals(late.clean.filter(known))
    assert early.quarantined.equals(late.quarantined.filter(known))
    found = [*BAR, "reason", "move"]
    assert early.suspects.select(found).equals(late.suspects.filter(known).select(found))
    # What the next bar said is never said otherwise.
    settled = early.suspects.drop_nulls("verdict")
    assert settled.join(late.suspects, on=settled.columns, how="anti", nulls_equal=True).is_empty()


def _checks(session: date, gated: Gated, expected: list[str]) -> list[CheckOutcome]:
    """The checks of a session in which these symbols should have a bar."""
    came = {*gated.clean.filter(session=session)["symbol"]}
    came |= {*gated.quarantined.filter(session=session)["symbol"]}
    names = [name for name in expected if name not in came]
    away = pl.DataFrame(
        {"symbol": names, "session": [session] * len(names)},
        schema={"symbol": pl.String, "session": pl.Date},
    )
    return check_sessions([session], gated, away, RULES)[session]


def test_the_checks_of_a_sound_session_pass() -> None:
    gated = _gate(random_bars(["A", "B"], DAYS))
    coverage, quarantine = _checks(DAYS[3], gated, ["A", "B"])
    assert (coverage.name, quarantine.name) == ("coverage", "quarantine")
    assert coverage.passed
    assert quarantine.passed
    assert coverage.blocking
    assert quarantine.blocking
    assert coverage.numbers == {"coverage": 1.0, "clean": 2.0, "expected": 2.0}


def test_a_failed_coverage_check_names_the_symbols() -> None:
    gated = _gate(random_bars(["A", "B"], DAYS))
    coverage, _ = _checks(DAYS[3], gated, ["A", "B", "C", "D"])
    assert not coverage.passed
    assert "2012-01-06: 2 of 4 expected symbols" in coverage.sentence
    assert "without: C (no bar), D (no bar);" in coverage.sentence
    assert "at least 80% is expected" in coverage.sentence


def test_a_failed_quarantine_check_names_the_bars_and_why() -> None:
    bars = bars_of({"A": [100.0, 200.0], "B": [100.0, 10.0], "C": [5.0, 5.0]})
    gated = apply(_gate(bars), empty("bar_verdicts"))
    coverage, quarantine = _checks(DAYS[1], gated, ["A", "B", "C"])
    assert not quarantine.passed
    assert "A (suspect_move_1.00), B (suspect_move_0.90)" in quarantine.sentence
    assert "2 of 3 bars are quarantined (67%)" in quarantine.sentence
    assert quarantine.numbers["quarantined_share"] == pytest.approx(2 / 3)
    assert coverage.passed, "a suspect bar is there"
    assert quarantine.stops_the_day


def test_a_session_without_any_bar_or_any_expectation_is_not_covered() -> None:
    gated = _gate(random_bars(["A"], DAYS[:2]))
    assert not _checks(DAYS[5], gated, ["A"])[0].passed
    assert not _checks(DAYS[5], gated, [])[0].passed
