"""The universe as the lake holds it, and what it does to signals, targets and positions."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.file_data.members import read_members
from trading_pipeline.adapters.lake import Lake, empty
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.market.calendar import session_close, sessions_between
from trading_pipeline.core.market.universe import MEMBERS, UniverseRules
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.day import Desk, place_orders, take_fills
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.score import score, weigh_targets
from trading_pipeline.flows.select import select
from trading_pipeline_tests.factories import random_bars, raw
from trading_pipeline_tests.fakes import SESSION, FrameVendor, make_mandate

SYMBOLS = ("AAA", "BBB", "CCC")
DAYS = sessions_between(SESSION, date(2012, 6, 12))
BARS = random_bars(SYMBOLS, DAYS)
BASELINE = "alpha_baseline"
CAST = Cast(name=BASELINE, symbols=SYMBOLS, convention="crsp")
RULES = AllocationRules(names=ConstructionRules(top_n=1, bottom_n=0))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Sessions with three clean bars, and predictions that like CCC best."""
    lake = Lake(tmp_path / "lake")
    lake.write("clean_bars", BARS, DAYS, symbols=SYMBOLS)
    lake.write("raw_bars", raw(BARS), DAYS, symbols=SYMBOLS)
    predictions = BARS.select(
        "symbol",
        "session",
        strategy=pl.lit(BASELINE),
        prediction=pl.col("symbol").replace_strict({"AAA": 0.0, "BBB": 1.0, "CCC": 2.0}),
        model_version=pl.lit("1"),
    )
    lake.write("predictions", predictions, DAYS, strategy=BASELINE)
    lake.write("features", empty("features"), DAYS)
    return lake


def chosen(lake: Lake, day: date) -> list[str]:
    score(lake, CAST, [day])
    targets = weigh_targets(lake, CAST, [day], RULES).targets
    return targets.filter(pl.col("target_weight") != 0)["symbol"].to_list()


def test_who_is_out_of_the_universe_has_no_signal(lake: Lake) -> None:
    assert chosen(lake, SESSION) == ["CCC"]
    select(lake, symbols=SYMBOLS, sessions=[SESSION], rules=UniverseRules(blocklist="CCC"))
    assert chosen(lake, SESSION) == ["BBB"]
    held = lake.read("universe", SESSION, SESSION)
    assert held["reason"].to_list() == [None, None, "blocked"]
    assert held["version"].n_unique() == 1


def test_the_position_of_a_member_that_leaves_is_closed(
    lake: Lake, ledger: Ledger, broker: SimulatedBroker
) -> None:
    last = DAYS[1]
    rows = [("CCC", SESSION, last), ("AAA", SESSION, None), ("BBB", SESSION, None)]
    members = pl.DataFrame(rows, schema=MEMBERS, orient="row")
    select(lake, symbols=SYMBOLS, sessions=DAYS, rules=UniverseRules(), members=members)
    desk = Desk(lake=lake, vendor=FrameVendor(BARS), ledger=ledger, broker=broker)
    held: list[dict[str, Decimal]] = []
    for day, after in pairwise(DAYS[:5]):
        chosen(lake, day)
        now = session_close(day)
        place_orders(desk, replace(make_mandate(), session=day, strategy=BASELINE), now=now)
        take_fills(desk, day, now=session_close(after))
        positions = book_of(ledger).positions.values()
        held.append({p.symbol: p.quantity for p in positions if p.quantity})
    assert [set(each) for each in held] == [{"CCC"}, {"CCC"}, {"BBB"}, {"BBB"}]


def test_sessions_without_clean_bars_are_refused(lake: Lake) -> None:
    with pytest.raises(MissingDataError, match="clean_bars"):
        select(lake, symbols=["ZZZ"], sessions=[SESSION], rules=UniverseRules())


def test_members_are_read_from_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text("symbol,first,last\naapl,2012-01-03,\nIBM,2011-01-03,2012-06-29\n")
    assert read_members(path).rows() == [
        ("AAPL", date(2012, 1, 3), None),
        ("IBM", date(2011, 1, 3), date(2012, 6, 29)),
    ]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name,first,last\n", "expected symbol, first, last"),
        ("symbol,first,last\n", "no members"),
        ("symbol,first,last\nIBM,2012-13-01,\n", "line 2"),
        ("symbol,first,last\nIBM,2012-01-03,\n,2012-01-03,\n", "line 3: no symbol"),
        ("symbol,first,last\nIBM,2012-01-03,2011-01-03\n", "not before"),
    ],
)
def test_a_list_of_members_that_cannot_be_used_is_named(
    tmp_path: Path, text: str, match: str
) -> None:
    path = tmp_path / "members.csv"
    path.write_text(text)
    with pytest.raises(SettingsError, match=match):
        read_members(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_members(tmp_path / "none.csv")
