"""Backward adjustment, on made-up bars."""

from datetime import date, timedelta
from itertools import pairwise
from math import isclose, prod

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.corporate_actions import (
    Convention,
    action_factors,
    adjust,
    on_sessions,
)
from trading_pipeline.errors import DataError, SchemaError
from trading_pipeline_tests.factories import (
    FIRST,
    actions_of,
    bars_of,
    dividend,
    random_bars,
    sessions_from,
    split,
)

FRIDAY = date(2012, 1, 6)
CONVENTIONS: tuple[Convention, ...] = ("crsp", "yahoo")


def _closes(bars: pl.DataFrame, actions: pl.DataFrame, convention: Convention = "crsp") -> list:
    return adjust(bars, actions, convention=convention)["close"].to_list()


def test_a_split_divides_earlier_prices_and_multiplies_earlier_volume() -> None:
    days = sessions_from(count=3)
    bars = bars_of({"A": [400.0, 404.0, 101.0]}).with_columns(vwap=pl.col("close") + 1)
    done = adjust(bars, split("A", days[2], 4.0), convention="crsp")
    for name in ("open", "high", "low", "close"):
        assert done[name].to_list() == [100.0, 101.0, 101.0]
    assert done["vwap"].to_list() == [100.25, 101.25, 102.0]
    assert done["volume"].to_list() == [4000.0, 4000.0, 1000.0]
    assert done["price_factor"].to_list() == [0.25, 0.25, 1.0]
    assert done["volume_factor"].to_list() == [4.0, 4.0, 1.0]


def test_a_reverse_split_multiplies_earlier_prices() -> None:
    days = sessions_from(count=2)
    assert _closes(bars_of({"A": [1.0, 10.0]}), split("A", days[1], 0.1)) == [10.0, 10.0]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_split_whose_ex_date_has_no_bar_still_applies(convention: Convention) -> None:
    """C-ETL-1: a 4:1 split on a Saturday."""
    bars = bars_of({"A": [400.0, 404.0, 101.0, 102.0]}, first=FRIDAY - timedelta(days=1))
    assert date(2012, 1, 7) not in bars["session"]
    adjusted = _closes(bars, split("A", date(2012, 1, 7), 4.0), convention)
    assert adjusted == [100.0, 101.0, 101.0, 102.0]


def test_bars_that_are_adjusted_already_are_refused() -> None:
    """C-ETL-2: adjusting twice would divide twice."""
    days = sessions_from(count=2)
    actions = split("A", days[1], 4.0)
    once = adjust(bars_of({"A": [400.0, 100.0]}), actions, convention="crsp")
    with pytest.raises(SchemaError, match="adjusted already"):
        adjust(once, actions, convention="crsp")


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_dividend_scales_all_prices_alike_and_leaves_volume(convention: Convention) -> None:
    """C-ETL-3: a close less a cash amount ends below the low, or below zero."""
    days = sessions_from(count=30)
    bars = random_bars(["A"], days)
    actions = actions_of(*(dividend("A", day, 20.0) for day in days[5::5]))
    done = adjust(bars, actions, convention=convention)
    assert done.filter(
        (pl.col("low") <= 0)
        | (pl.col("low") > pl.col("close") * (1 + 1e-12))
        | (pl.col("high") < pl.col("close") * (1 - 1e-12))
    ).is_empty()
    assert done["volume"].equals(bars["volume"])


def test_the_conventions_differ_as_their_formulas_do() -> None:
    days = sessions_from(count=2)
    bars, actions = bars_of({"A": [100.0, 90.0]}), dividend("A", days[1], 4.0)
    assert _closes(bars, actions, "crsp")[0] == pytest.approx(100 * 90 / 94, rel=1e-15)
    assert _closes(bars, actions, "yahoo")[0] == pytest.approx(96.0, rel=1e-15)


def test_two_actions_of_one_day_are_one_factor_and_duplicate_no_bar() -> None:
    """C-ETL-4: a join by date fans out."""
    days = sessions_from(count=2)
    bars = bars_of({"A": [100.0, 40.0]})
    twice = actions_of(
        split("A", days[1], 2.0), dividend("A", days[1], 1.0), dividend("A", days[1], 3.0)
    )
    assert _closes(bars, twice) == pytest.approx([100 * 40 / (40 * 2 + 4), 40.0], rel=1e-15)
    splits = actions_of(split("A", days[1], 2.0), split("A", days[1], 3.0))
    done = adjust(bars, splits, convention="crsp")
    assert done.height == 2
    assert done["volume_factor"].to_list() == [6.0, 1.0]


def test_actions_after_the_day_asked_for_are_not_known_and_do_not_apply() -> None:
    days = sessions_from(count=4)
    bars = bars_of({"A": [400.0, 100.0, 100.0, 50.0]})
    actions = actions_of(split("A", days[1], 4.0), split("A", days[3], 2.0))
    done = adjust(bars, actions, convention="crsp", as_of=days[2])
    assert done["close"].to_list() == [100.0, 100.0, 100.0, 50.0]
    on_its_day = adjust(bars, actions, convention="crsp", as_of=days[3])
    assert on_its_day["close"].to_list() == [50.0, 50.0, 50.0, 50.0]


def test_a_dividend_paid_while_no_bar_traded_uses_the_next_close() -> None:
    days = sessions_from(count=3)
    bars = bars_of({"A": [50.0, None, 50.2]})
    assert _closes(bars, dividend("A", days[1], 0.18))[0] == pytest.approx(50 * 50.2 / 50.38)


def test_between_the_same_two_bars_a_dividend_is_in_the_shares_of_its_own_day() -> None:
    days = sessions_from(count=4)
    bars = bars_of({"A": [100.0, None, None, 25.5]})
    old_shares = actions_of(dividend("A", days[1], 0.8), split("A", days[2], 4.0))
    assert _closes(bars, old_shares, "crsp")[0] == pytest.approx(100 * 102 / 102.8 / 4)
    new_shares = actions_of(split("A", days[1], 4.0), dividend("A", days[2], 0.2))
    assert _closes(bars, new_shares, "yahoo")[0] == pytest.approx(25 - 0.2)


def test_each_symbol_has_its_own_actions() -> None:
    days = sessions_from(count=2)
    bars = bars_of({"A": [100.0, 50.0], "B": [100.0, 101.0]})
    done = adjust(bars, split("A", days[1], 2.0), convention="crsp").filter(symbol="B")
    assert done["close"].to_list() == [100.0, 101.0]


def test_rows_come_back_in_the_order_they_went_in() -> None:
    days = sessions_from(count=40)
    bars = random_bars(["A", "B", "C"], days).sample(fraction=1.0, shuffle=True, seed=3)
    done = adjust(bars, split("B", days[20], 2.0), convention="crsp")
    assert done.select("symbol", "session").equals(bars.select("symbol", "session"))
    again = adjust(bars.sort("symbol", "session"), split("B", days[20], 2.0), convention="crsp")
    assert done.sort("symbol", "session").equals(again)


def test_the_input_is_not_changed_and_without_actions_nothing_is() -> None:
    bars = random_bars(["A"], sessions_from(count=5))
    before = bars.clone()
    done = adjust(bars, actions_of(), convention="crsp")
    assert bars.equals(before)
    assert done.select(bars.columns).equals(bars)
    assert done.select(pl.col("price_factor", "volume_factor").eq(1.0).all()).row(0) == (True, True)


def test_no_bars_give_no_bars() -> None:
    days = sessions_from(count=1)
    assert adjust(bars_of({}), split("A", days[0], 2.0), convention="crsp").is_empty()


@pytest.mark.parametrize(
    ("ratio", "dollars"), [(0.0, 0.0), (-2.0, 0.0), (float("nan"), 0.0), (1.0, -1.0), (None, 0.0)]
)
def test_an_action_that_cannot_be_is_refused_by_name(ratio: float | None, dollars: float) -> None:
    row = ("A", FIRST, "split", ratio, dollars, None, None)
    actions = pl.DataFrame([row], schema=actions_of().schema, orient="row")
    with pytest.raises(SchemaError, match="A on 2012-01-03"):
        adjust(bars_of({"A": [1.0, 1.0]}), actions, convention="crsp")


def test_a_dividend_as_large_as_the_price_is_refused() -> None:
    days = sessions_from(count=2)
    with pytest.raises(DataError, match="not smaller than the close"):
        adjust(bars_of({"A": [4.0, 1.0]}), dividend("A", days[1], 4.0), convention="yahoo")


@pytest.mark.parametrize("column", ["symbol", "session", "close", "volume"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(SchemaError, match=column):
        adjust(bars_of({"A": [1.0]}).drop(column), actions_of(), convention="crsp")
    with pytest.raises(SchemaError, match="split_ratio"):
        adjust(bars_of({"A": [1.0]}), actions_of().drop("split_ratio"), convention="crsp")


def test_an_action_belongs_to_the_first_session_on_or_after_its_ex_date() -> None:
    placed = on_sessions(actions_of(split("A", date(2012, 1, 7), 2.0), split("A", FRIDAY, 2.0)))
    assert placed["session"].to_list() == [date(2012, 1, 9), FRIDAY]
    assert placed.columns[:3] == ["symbol", "session", "ex_date"]
    assert on_sessions(actions_of()).schema["session"] == pl.Date


DAYS = sessions_from(count=12)
CLOSES = st.lists(st.one_of(st.none(), st.floats(20, 200)), min_size=2, max_size=12)
EX_DATES = st.dates(DAYS[0] - timedelta(days=1), DAYS[-1] + timedelta(days=2))
ACTIONS = st.lists(
    st.one_of(
        st.builds(split, st.just("A"), EX_DATES, st.sampled_from([2.0, 3.0, 0.5, 1.5])),
        st.builds(dividend, st.just("A"), EX_DATES, st.floats(0.01, 0.05)),
    ),
    max_size=6,
).map(lambda frames: actions_of(*frames))


@given(CLOSES, ACTIONS, st.sampled_from(CONVENTIONS))
def test_adjusting_is_the_product_of_later_factors(
    closes: list[float | None], actions: pl.DataFrame, convention: Convention
) -> None:
    bars = bars_of({"A": closes})
    known = dict(bars.select("session", "close").iter_rows())
    done = adjust(bars, actions, convention=convention)
    for session, factor in done.select("session", "price_factor").iter_rows():
        own = [
            _factor(known, actions, ex_date, convention)
            for ex_date in actions["ex_date"].unique()
            if ex_date > session
        ]
        assert isclose(factor, prod(own), rel_tol=1e-12)


def _factor(
    known: dict[date, float], actions: pl.DataFrame, ex_date: date, convention: Convention
) -> float:
    """The formulas read literally: one day's factor from the closes around it."""
    rows = actions.filter(pl.col("ex_date") == ex_date)
    ratio, paid = prod(rows["split_ratio"]), sum(rows["dividend"])
    after = min((day for day in known if day >= ex_date), default=None)
    before = max((day for day in known if day < ex_date), default=None)
    if convention == "crsp" and after is not None:
        close = known[after] * _ratio(actions, ex_date, after + timedelta(days=1))
        return close / (close * ratio + paid)
    if convention == "yahoo" and before is not None:
        close = known[before] / _ratio(actions, before, ex_date)
        return (1 - paid / close) / ratio
    return 1 / ratio


def _ratio(actions: pl.DataFrame, after: date, before: date) -> float:
    """New shares per old by the splits strictly between two days."""
    rows = actions.filter((pl.col("ex_date") > after) & (pl.col("ex_date") < before))
    return prod(rows["split_ratio"])


@given(CLOSES, ACTIONS, st.sampled_from(CONVENTIONS))
def test_returns_between_days_without_actions_are_unchanged(
    closes: list[float | None], actions: pl.DataFrame, convention: Convention
) -> None:
    bars = bars_of({"A": closes})
    done = adjust(bars, actions, convention=convention)
    rows = list(zip(bars["session"], bars["close"], done["close"], strict=True))
    ex_dates = set(actions["ex_date"])
    for (day, raw, adjusted), (later, next_raw, next_adjusted) in pairwise(rows):
        if not any(day < ex_date <= later for ex_date in ex_dates):
            assert isclose(next_adjusted / adjusted, next_raw / raw, rel_tol=1e-12)


@given(st.lists(st.floats(20, 200), min_size=2, max_size=12), ACTIONS)
def test_a_crsp_return_is_what_the_holder_of_one_share_earned(
    closes: list[float], actions: pl.DataFrame
) -> None:
    bars = bars_of({"A": closes})
    on_days = actions.filter(pl.col("ex_date").is_in(bars["session"].implode()))
    adjusted = _closes(bars, on_days)
    for day in range(1, len(closes)):
        rows = on_days.filter(pl.col("ex_date") == bars["session"][day])
        worth = closes[day] * prod(rows["split_ratio"]) + sum(rows["dividend"])
        assert isclose(adjusted[day] / adjusted[day - 1], worth / closes[day - 1], rel_tol=1e-12)


def test_factors_name_the_bar_that_first_trades_without_the_right() -> None:
    bars = bars_of({"A": [400.0, 404.0, 101.0]}, first=FRIDAY - timedelta(days=1))
    late = split("A", date(2012, 3, 1), 2.0)
    actions = actions_of(split("A", date(2012, 1, 7), 4.0), late)
    factors = action_factors(bars, actions, convention="crsp")
    assert factors["session"].to_list() == [date(2012, 1, 9), None]
    assert factors["price_factor"].to_list() == [0.25, 0.5]
    assert factors["volume_factor"].to_list() == [4.0, 2.0]
