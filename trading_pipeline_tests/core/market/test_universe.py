"""The universe of a session: members, floors, the blocklist, and why a symbol is out."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.universe import (
    MEMBERS,
    REASONS,
    UniverseRules,
    require_room,
    universe,
    version,
)
from trading_pipeline.errors import SettingsError
from trading_pipeline_tests.factories import bars_of, random_bars, sessions_from

DAYS = sessions_from(count=6)
BARS = bars_of({"AAPL": [10.0] * 6, "IBM": [2.0] * 6, "MSFT": [30.0] * 6}, first=DAYS[0])
NOBODY = pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date})


def members_of(*rows: tuple[str, date, date | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=MEMBERS, orient="row")


def reasons(
    day: date,
    rules: UniverseRules | None = None,
    members: pl.DataFrame | None = None,
    suspects: pl.DataFrame = NOBODY,
    bars: pl.DataFrame = BARS,
) -> dict[str, str | None]:
    found = universe(
        ["MSFT", "AAPL", "IBM"],
        [day],
        bars,
        suspects=suspects,
        members=members,
        rules=rules or UniverseRules(),
    )
    return dict(found.select("symbol", "reason").iter_rows())


def test_without_rules_every_symbol_with_a_sound_bar_may_trade() -> None:
    assert reasons(DAYS[2]) == {"AAPL": None, "IBM": None, "MSFT": None}
    assert reasons(DAYS[2], bars=BARS.filter(pl.col("symbol") != "IBM"))["IBM"] == "no_bar"
    suspects = BARS.filter(symbol="AAPL", session=DAYS[2]).select("symbol", "session")
    assert reasons(DAYS[2], suspects=suspects)["AAPL"] == "suspect"
    assert reasons(DAYS[3], suspects=suspects)["AAPL"] is None


def test_a_member_belongs_from_its_first_through_its_last_session() -> None:
    members = members_of(
        ("AAPL", DAYS[1], DAYS[3]), ("MSFT", DAYS[0], None), ("AAPL", DAYS[5], None)
    )
    held = [reasons(day, members=members)["AAPL"] is None for day in DAYS]
    assert held == [False, True, True, True, False, True]
    assert reasons(DAYS[2], members=members)["IBM"] == "not_a_member"


def test_floors_and_the_blocklist_say_why() -> None:
    rules = UniverseRules(min_price=5, blocklist=" msft, ZZZZ")
    assert rules.blocklist == "MSFT,ZZZZ"
    assert reasons(DAYS[2], rules) == {"AAPL": None, "IBM": "below_price", "MSFT": "blocked"}


def test_liquidity_is_the_median_over_the_sessions_up_to_the_judged_one() -> None:
    volume = pl.when(pl.col("session") >= DAYS[3]).then(1_000.0).otherwise(10.0)
    bars = BARS.with_columns(volume=volume)
    rules = UniverseRules(min_dollar_volume=5_000, liquidity_sessions=3)
    said = [reasons(day, rules, bars=bars)["AAPL"] for day in DAYS]
    assert said == ["below_liquidity"] * 4 + [None] * 2


def test_a_version_names_the_rules_and_the_members() -> None:
    some = members_of(("AAPL", DAYS[0], None))
    names = {
        version(UniverseRules(), None),
        version(UniverseRules(), some),
        version(UniverseRules(min_price=5), None),
    }
    assert len(names) == 3
    assert version(UniverseRules(), some) == version(UniverseRules(), some.clone())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.integers(1, 4), st.floats(0, 300), st.floats(0, 1e9))
def test_what_comes_later_changes_no_verdict(
    cut: int, window: int, price: float, volume: float
) -> None:
    bars = random_bars(("AAPL", "IBM", "MSFT"), DAYS)
    rules = UniverseRules(min_price=price, min_dollar_volume=volume, liquidity_sessions=window)
    past = bars.filter(pl.col("session") <= DAYS[cut])
    assert reasons(DAYS[cut], rules, bars=bars) == reasons(DAYS[cut], rules, bars=past)
    whole = universe(
        ["AAPL", "IBM", "MSFT"], DAYS, bars, suspects=NOBODY, members=None, rules=rules
    )
    assert whole.height == 18
    assert set(whole["reason"].drop_nulls()) <= set(REASONS)
    one = whole.filter(session=DAYS[cut]).select("symbol", "reason")
    assert dict(one.iter_rows()) == reasons(DAYS[cut], rules, bars=bars)


def test_a_universe_as_large_as_the_portfolio_is_large_enough() -> None:
    require_room(["A", "B", "C", "D"], 2, 2)


def test_a_universe_too_small_is_refused_with_the_numbers() -> None:
    with pytest.raises(SettingsError, match=r"2 long and 2 short positions need 4 .* has 3"):
        require_room(["A", "B", "C"], 2, 2)
