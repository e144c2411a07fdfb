"""Announced actions against what the price did."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.announcements import CHECKS, compare, credible
from trading_pipeline.core.market.restatements import known_actions
from trading_pipeline.core.schemas import validate
from trading_pipeline_tests.factories import (
    actions_of,
    bars_of,
    dividend,
    raw_actions,
    sessions_from,
    split,
)

DAYS = sessions_from(count=12)


def verdicts(closes: list[float | None], *announced: pl.DataFrame) -> list[str]:
    found = compare(bars_of({"A": closes, "B": [5.0] * 12}), raw_actions(actions_of(*announced)))
    return validate("action_checks", found)["verdict"].to_list()


@pytest.mark.parametrize(
    ("closes", "ratio", "verdict"),
    [
        ([700.0, 702.6, 100.5], 7.0, "agrees"),
        ([700.0, 702.6, 705.0], 7.0, "contradicted"),
        ([700.0, 100.3, 101.0], 7.0, "late"),
        ([10.0, 10.1, 101.0], 0.1, "agrees"),
        ([10.0, 10.1, 10.2], 0.1, "contradicted"),
        ([100.0, 100.0, 54.0], 2.0, "agrees"),
        ([100.0, 100.0, 46.0], 2.0, "agrees"),
        ([100.0, 100.0, 95.0], 1.05, "unverified"),
        ([100.0, 100.0, None], 2.0, "unverified"),
        ([None, None, 50.0], 2.0, "unverified"),
    ],
)
def test_a_split_is_compared_with_the_move_of_its_session(
    closes: list[float | None], ratio: float, verdict: str
) -> None:
    assert verdicts(closes, split("A", DAYS[2], ratio)) == [verdict]


def test_a_split_applied_a_day_early_and_announced_again_counts_once() -> None:
    closes = [700.0, 702.6, 704.0, 101.0]
    twice = (split("A", DAYS[2], 7.0), split("A", DAYS[3], 7.0))
    assert verdicts(closes, *twice) == ["contradicted", "agrees"]


@pytest.mark.parametrize(
    ("dollars", "close", "verdict"),
    [(0.5, 99.0, "unverified"), (40.0, 61.0, "agrees"), (40.0, 99.0, "contradicted")],
)
def test_a_large_dividend_is_compared_too(dollars: float, close: float, verdict: str) -> None:
    assert verdicts([100.0, 100.0, close], dividend("A", DAYS[2], dollars)) == [verdict]


def test_a_dividend_that_is_not_smaller_than_the_price_is_contradicted() -> None:
    assert verdicts([1.0, 1.0, 1.0], dividend("A", DAYS[2], 7.0)) == ["contradicted"]


def test_a_split_and_a_dividend_of_one_day_are_one_move() -> None:
    both = (split("A", DAYS[2], 2.0), dividend("A", DAYS[2], 30.0))
    assert verdicts([100.0, 100.0, 35.0], *both) == ["agrees", "agrees"]


def test_another_symbols_move_is_no_evidence() -> None:
    assert verdicts([700.0, 100.0, 100.0], split("B", DAYS[2], 7.0)) == ["contradicted"]


def test_an_earlier_move_that_another_action_explains_is_no_evidence() -> None:
    announced = (split("A", DAYS[1], 7.0), split("A", DAYS[2], 7.0))
    assert verdicts([700.0, 100.0, 100.0], *announced) == ["agrees", "contradicted"]


def test_only_credible_actions_are_adjusted_by() -> None:
    announced = raw_actions(actions_of(split("A", DAYS[1], 7.0), split("A", DAYS[2], 7.0)))
    checks = compare(bars_of({"A": [700.0, 705.0, 100.0]}), announced)
    assert credible(announced, checks)["ex_date"].to_list() == [DAYS[2]]
    assert credible(announced, checks.clear()).equals(announced)


def test_an_action_taken_back_is_not_known_any_more() -> None:
    kept = raw_actions(actions_of(split("A", DAYS[1], 7.0), dividend("A", DAYS[1], 0.1)))
    neutral = raw_actions(actions_of(split("B", DAYS[1], 1.0), dividend("B", DAYS[2], 0.0)))
    assert known_actions(pl.concat([kept, neutral]))["symbol"].to_list() == ["A", "A"]


@given(
    st.lists(st.sampled_from([100.0, 50.0, 200.0, 14.0, None]), min_size=12, max_size=12),
    st.lists(
        st.builds(split, st.just("A"), st.sampled_from(DAYS), st.sampled_from([2.0, 7.0, 0.5])),
        max_size=4,
        unique_by=lambda frame: frame["ex_date"].item(),
    ),
    st.integers(0, 11),
)
def test_no_later_bar_or_action_changes_a_verdict(
    closes: list[float | None], announced: list[pl.DataFrame], day: int
) -> None:
    bars, actions = bars_of({"A": closes}), raw_actions(actions_of(*announced))
    known = pl.col("session") <= DAYS[day]
    early = compare(bars.filter(known), actions.filter(known))
    assert early.equals(compare(bars, actions).filter(known))
    assert tuple(early.columns) == CHECKS
