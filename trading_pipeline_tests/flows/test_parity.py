"""A backtest against the paper account of the same sessions: equal, or explained."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.backtest import Study
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.parity import Parity, compare
from trading_pipeline_tests import whole_day

SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
LAST = next_session(whole_day.MONTH[-1])


@pytest.fixture(scope="module")
def lake(month: Path) -> Lake:
    return Lake(month / "data" / "lake")


@pytest.fixture(scope="module")
def ledger(month: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{month / 'data' / 'ledger.db'}")
    yield opened
    opened.close()


def study(first: date = whole_day.FIRST, last: date = LAST, **rules: object) -> Study:
    return Study(
        cast=Cast(name="alpha_baseline", symbols=SYMBOLS, convention="crsp"),
        first=first,
        last=last,
        allocation=AllocationRules(),
        rules=BacktestRules(**rules),
    )


def no_model(name: str, session: date, within: int | None) -> Release:
    raise AssertionError(f"{name} was asked for {session}: the paper days predicted it already")


def compared(lake: Lake, ledger: Ledger, asked: Study) -> Parity:
    last_decided = asked.last if asked.last < LAST else whole_day.MONTH[-1]
    within = Study(
        cast=asked.cast,
        first=asked.first,
        last=last_decided,
        allocation=asked.allocation,
        rules=asked.rules,
    )
    return compare(lake, ledger, within, no_model)


def test_a_backtest_equals_the_paper_days_of_the_same_sessions(lake: Lake, ledger: Ledger) -> None:
    """Same orders, states and codes, same fills, same NAV to the last digit, every session."""
    found = compared(lake, ledger, study())
    assert found.differences == ()
    assert found.sessions == len(whole_day.MONTH) - 1
    assert found.orders > 40
    assert found.fills > 40
    assert "equals" in found.sentence


def test_a_part_of_the_month_equals_too_from_the_book_it_began_with(
    lake: Lake, ledger: Ledger
) -> None:
    found = compared(lake, ledger, study(first=whole_day.MONTH[7], last=whole_day.MONTH[14]))
    assert found.differences == ()
    assert found.sessions == 8
    assert {fill.session for fill in found.replayed.result.fills} > set(whole_day.MONTH[8:15])


def test_every_difference_is_explained_by_its_cause(lake: Lake, ledger: Ledger) -> None:
    dearer = compared(lake, ledger, study(costs=CostModel(slippage_bps=Decimal(9))))
    first = {each.what: each.why for each in dearer.differences if each.session == whole_day.FIRST}
    assert first
    assert all("slippage, spread or impact are others" in why for why in first.values())
    assert "differences in" in dearer.sentence
    value = next(each for each in dearer.differences if each.what == "NAV")
    assert "the gap moved from 0" in value.why
    later = {each.why for each in dearer.differences if each.what != "NAV"} - set(first.values())
    assert all("others" in why or why.startswith("the books differ since") for why in later)


def test_an_order_that_is_blocked_on_one_side_is_told_with_the_check_and_its_reason(
    lake: Lake, ledger: Ledger
) -> None:
    limits = RiskLimits(max_order_value=Decimal(1_000))
    found = compared(lake, ledger, study(limits=limits))
    whys = [each.why for each in found.differences if each.session == whole_day.FIRST]
    assert whys
    assert all(why.startswith("blocked in the backtest by ") for why in whys)
    assert all(len(why.partition(": ")[2]) > 10 for why in whys)


def test_an_order_that_fills_in_part_is_told_with_what_the_volume_let_fill(
    lake: Lake, ledger: Ledger
) -> None:
    costs = CostModel(max_participation=Decimal("0.000001"))
    found = compared(lake, ledger, study(costs=costs))
    whys = [each.why for each in found.differences if each.session == whole_day.FIRST]
    assert whys
    assert all("in the backtest: The volume of" in why for why in whys)


def test_data_restated_since_is_told(lake: Lake, ledger: Ledger, tmp_path: Path) -> None:
    import shutil  # noqa: PLC0415

    shutil.copytree(lake.root, tmp_path / "lake")
    ours, day = Lake(tmp_path / "lake"), whole_day.MONTH[3]
    bars = ours.read("clean_bars", day, day)
    moved = pl.when(pl.col("symbol") == "IBM").then(pl.col("close") + 5).otherwise("close")
    ours.write("clean_bars", bars.with_columns(close=moved), [day])
    found = compared(ours, ledger, study())
    whys = " ".join(each.why for each in found.differences if each.session == day)
    assert "IBM" in " ".join(each.what for each in found.differences)
    assert "data were restated" in whys


def test_what_was_never_traded_on_paper_cannot_be_compared(lake: Lake, ledger: Ledger) -> None:
    asked = study(first=date(2012, 9, 4), last=date(2012, 9, 10))
    with pytest.raises(MissingDataError, match="decided no session"):
        compare(lake, ledger, asked, no_model)
