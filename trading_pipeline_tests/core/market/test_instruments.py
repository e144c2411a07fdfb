"""Symbols that change hands and instruments that change symbols."""

from datetime import date

import polars as pl
import pytest

from trading_pipeline.core.features.as_of import features_as_of
from trading_pipeline.core.market.action_kinds import KINDS
from trading_pipeline.core.market.announcements import compare
from trading_pipeline.core.market.corporate_actions import adjust, on_sessions
from trading_pipeline.core.market.instruments import by_instrument, by_symbol, lives
from trading_pipeline.core.market.quality import QualityRules, gate
from trading_pipeline_tests.factories import (
    action,
    actions_of,
    bars_of,
    dividend,
    random_bars,
    sessions_from,
    split,
)

DAYS = sessions_from(count=6)


def renamed(old: str, new: str, day: date) -> pl.DataFrame:
    return action(old, day, "symbol_change", new=(new, None))


def delisted(symbol: str, day: date, paid: float = 0.0) -> pl.DataFrame:
    return action(symbol, day, "delisting", dollars=paid, new=("", None))


def test_a_renamed_instrument_keeps_its_id_and_a_reused_symbol_gets_a_new_one() -> None:
    actions = actions_of(renamed("FB", "META", DAYS[2]), delisted("WM", DAYS[1]))
    rows = lives(actions).rows()
    assert rows == [
        ("FB", "FB", date(1, 1, 1), DAYS[1]),
        ("FB", f"FB@{DAYS[2]}", DAYS[2], None),
        ("META", "META", date(1, 1, 1), DAYS[1]),
        ("META", "FB", DAYS[2], None),
        ("WM", "WM", date(1, 1, 1), DAYS[0]),
        ("WM", f"WM@{DAYS[1]}", DAYS[1], None),
    ]


def test_instruments_and_back_gives_the_same_rows() -> None:
    frame = random_bars(("FB", "META", "IBM"), DAYS)
    found = lives(actions_of(renamed("FB", "META", DAYS[2]), renamed("META", "MVRS", DAYS[4])))
    there = by_instrument(frame, found)
    assert there["symbol"].n_unique() > frame["symbol"].n_unique()
    assert by_symbol(there, found).equals(frame)


def test_without_renames_nothing_changes() -> None:
    frame = random_bars(("A",), DAYS)
    assert by_instrument(frame, lives(split("A", DAYS[1], 2.0))) is frame


def test_a_split_after_a_rename_adjusts_the_bars_before_it() -> None:
    before = bars_of({"FB": [100.0, 101.0, None, None]})
    after = bars_of({"META": [None, None, 102.0, 52.0]})
    actions = actions_of(renamed("FB", "META", DAYS[2]), split("META", DAYS[3], 2.0))
    done = adjust(pl.concat([before, after]), actions, convention="yahoo")
    assert done.sort("session")["close"].to_list() == [50.0, 50.5, 51.0, 52.0]


def test_an_action_of_a_new_company_leaves_the_old_ones_bars_alone() -> None:
    bars = bars_of({"WM": [0.2, None, 40.0, 20.0]})
    actions = actions_of(delisted("WM", DAYS[1], paid=0.2), split("WM", DAYS[3], 2.0))
    assert adjust(bars, actions, convention="yahoo")["close"].to_list() == [0.2, 20.0, 20.0]


def test_a_new_company_under_an_old_symbol_is_no_suspect_move() -> None:
    bars = bars_of({"WM": [10.0, 10.1, 40.0, 40.5]})
    rules = QualityRules()
    assert len(gate(bars, actions_of(), rules, convention="crsp").suspects) == 1
    told = delisted("WM", DAYS[2])
    assert gate(bars, told, rules, convention="crsp").suspects.is_empty()


def test_features_reach_back_across_a_rename() -> None:
    days = sessions_from(count=70)
    bars = random_bars(("FB",), days)
    turn = days[65]
    later = pl.when(pl.col("session") >= turn).then(pl.lit("META")).otherwise("symbol")
    ask = {"sessions": days[66:], "convention": "crsp"}
    expected = features_as_of(bars, on_sessions(actions_of()), **ask)
    told = on_sessions(renamed("FB", "META", turn))
    found = features_as_of(bars.with_columns(symbol=later), told, **ask)
    assert found["symbol"].unique().to_list() == ["META"]
    assert found.drop("symbol").equals(expected.drop("symbol"))


@pytest.mark.parametrize(
    ("found", "closes", "adjusted"),
    [
        (action("A", DAYS[1], "split", ratio=2.0), [100.0, 50.0], [50.0, 50.0]),
        (action("A", DAYS[1], "reverse_split", ratio=0.1), [10.0, 100.0], [100.0, 100.0]),
        (action("A", DAYS[1], "stock_dividend", ratio=1.25), [100.0, 80.0], [80.0, 80.0]),
        (action("A", DAYS[1], "dividend", dollars=1.0), [100.0, 99.0], [99.0, 99.0]),
        (action("A", DAYS[1], "special_dividend", dollars=20.0), [100.0, 80.0], [80.0, 80.0]),
        (
            action("A", DAYS[1], "spin_off", dollars=25.0, new=("B", 0.5)),
            [100.0, 75.0],
            [75.0, 75.0],
        ),
        (renamed("A", "C", DAYS[1]), [100.0, 100.0], [100.0, 100.0]),
        (delisted("A", DAYS[1], paid=3.0), [3.0, 60.0], [3.0, 60.0]),
    ],
    ids=lambda value: value["kind"][0] if isinstance(value, pl.DataFrame) else "",
)
@pytest.mark.parametrize("convention", ["crsp", "yahoo"])
def test_each_kind_adjusts_what_it_should(found, closes, adjusted, convention) -> None:
    done = adjust(bars_of({"A": closes}), found, convention=convention)
    assert done["close"].to_list() == pytest.approx(adjusted)
    shares = found["split_ratio"][0]
    assert done["volume"].to_list() == pytest.approx([1_000.0 * shares, 1_000.0])


def test_every_kind_is_checked_against_the_price_or_said_to_be_unverified() -> None:
    days = sessions_from(count=2)
    rows = [action("A", days[1], kind, new=("B", None)) for kind in KINDS]
    large = action("A", days[1], "special_dividend", dollars=20.0)
    told = on_sessions(actions_of(*rows).filter(pl.col("kind") != "special_dividend"))
    bars = bars_of({"A": [100.0, 80.0]})
    assert set(compare(bars, told)["verdict"]) == {"unverified"}
    assert compare(bars, on_sessions(large))["verdict"].to_list() == ["agrees"]


def test_a_dividend_on_the_day_before_a_rename_stays_with_its_instrument() -> None:
    bars = pl.concat([bars_of({"FB": [100.0, 99.0, None]}), bars_of({"META": [None, None, 99.0]})])
    actions = actions_of(dividend("FB", DAYS[1], 1.0), renamed("FB", "META", DAYS[2]))
    done = adjust(bars, actions, convention="yahoo").sort("session")
    assert done["close"].to_list() == pytest.approx([99.0, 99.0, 99.0])
