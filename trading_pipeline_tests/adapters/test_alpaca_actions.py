"""Every kind of corporate action that Alpaca has, as alpaca-py's own models spell it."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alpaca.data.models.corporate_actions import CorporateActionsSet

from trading_pipeline.adapters.alpaca_data import AlpacaData, DataAccess
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.errors import AdapterError
from trading_pipeline.flows.ingest import ingest_actions
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin
from trading_pipeline_tests.factories import bars_of, sessions_from

DAYS = sessions_from(count=12)
EX = DAYS[5]
NAMES = ("AAA", "BBB", "CCC")
BARS = bars_of({"AAA": [100.0] * 5 + [90.0] * 7, "BBB": [5.0] * 12, "NEW": [20.0] * 12})
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

CUSIPS = dict.fromkeys(
    (
        *("cusip", "old_cusip", "new_cusip", "source_cusip", "alternate_cusip"),
        *("acquirer_cusip", "acquiree_cusip"),
    ),
    "037833100",
)
MERGED = {"acquiree_symbol": "AAA", "acquirer_symbol": "NEW"}
RATES = {"acquiree_rate": 4, "acquirer_rate": 3}
UNIT = {"old_symbol": "AAA", "old_rate": 1, "new_symbol": "NEW", "new_rate": 1}
CASES: dict[str, tuple[str, dict[str, Any], list[tuple[Any, ...]]]] = {
    "a split": (
        "forward_splits",
        {"symbol": "AAA", "new_rate": 3, "old_rate": 2},
        [("split", 1.5, 0.0, None, None)],
    ),
    "a reverse split": (
        "reverse_splits",
        {"symbol": "AAA", "new_rate": 1, "old_rate": 8},
        [("reverse_split", 0.125, 0.0, None, None)],
    ),
    "a stock dividend": (
        "stock_dividends",
        {"symbol": "AAA", "rate": 0.05},
        [("stock_dividend", 1.05, 0.0, None, None)],
    ),
    "a dividend": (
        "cash_dividends",
        {"symbol": "AAA", "rate": 0.5, "special": False, "foreign": False},
        [("dividend", 1.0, 0.5, None, None)],
    ),
    "a special dividend": (
        "cash_dividends",
        {"symbol": "AAA", "rate": 3, "special": True, "foreign": False},
        [("special_dividend", 1.0, 3.0, None, None)],
    ),
    "a spin-off": (
        "spin_offs",
        {"source_symbol": "AAA", "source_rate": 2, "new_symbol": "NEW", "new_rate": 1},
        [("spin_off", 1.0, 10.0, "NEW", 0.5)],
    ),
    "rights": (
        "rights_distributions",
        {"source_symbol": "AAA", "new_symbol": "AAARW", "rate": 0.1, "payable_date": str(EX)},
        [("spin_off", 1.0, 0.0, "AAARW", 0.1)],
    ),
    "a unit split": (
        "unit_splits",
        {**UNIT, "alternate_symbol": "BBB", "alternate_rate": 0.5},
        [("delisting", 1.0, 0.0, "NEW", 1.0), ("spin_off", 1.0, 2.5, "BBB", 0.5)],
    ),
    "a new symbol": (
        "name_changes",
        {"old_symbol": "AAA", "new_symbol": "ZZZ"},
        [("symbol_change", 1.0, 0.0, "ZZZ", None)],
    ),
    "a new name alone": ("name_changes", {"old_symbol": "AAA", "new_symbol": "AAA"}, []),
    "a merger for cash": (
        "cash_mergers",
        {"acquiree_symbol": "AAA", "rate": 54.2},
        [("delisting", 1.0, 54.2, "", None)],
    ),
    "a merger for shares": (
        "stock_mergers",
        {**MERGED, **RATES},
        [("delisting", 1.0, 0.0, "NEW", 0.75)],
    ),
    "a merger for both": (
        "stock_and_cash_mergers",
        {**MERGED, **RATES, "cash_rate": 12.5},
        [("delisting", 1.0, 12.5, "NEW", 0.75)],
    ),
    "a redemption": (
        "redemptions",
        {"symbol": "AAA", "rate": 10.25},
        [("delisting", 1.0, 10.25, "", None)],
    ),
    "a worthless share": (
        "worthless_removals",
        {"symbol": "AAA"},
        [("delisting", 1.0, 0.0, "", None)],
    ),
}


@pytest.fixture
def vendor(alpaca: AlpacaTwin, tmp_path: Path) -> AlpacaData:
    alpaca.market.add_bars(BARS)
    return AlpacaData(
        DataAccess(url=alpaca.url),
        (KEY, SECRET),
        spool=tmp_path / "spool",
        clock=lambda: NOW,
        sleep=lambda _: None,
    )


def told(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A record with every field that alpaca-py's model of the kind asks for, checked by it."""
    days = dict.fromkeys(("ex_date", "effective_date", "process_date"), str(EX))
    whole = {"id": str(UUID(int=len(kind))), **CUSIPS, **days, **fields}
    (model,) = CorporateActionsSet({kind: [whole]}).data[kind]
    names = type(model).model_fields
    return {name: value for name, value in whole.items() if name in names}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_corporate_action_has_our_name(
    alpaca: AlpacaTwin, vendor: AlpacaData, case: str
) -> None:
    kind, fields, expected = CASES[case]
    alpaca.market.actions[kind].append(told(kind, fields))
    found = vendor.corporate_actions(NAMES, DAYS[0], DAYS[-1])
    assert found.drop("symbol", "ex_date").rows() == expected
    assert set(found.select("symbol", "ex_date").rows()) <= {("AAA", EX)}


def test_all_of_them_are_kept_in_the_lake_as_they_are(
    alpaca: AlpacaTwin, vendor: AlpacaData, tmp_path: Path
) -> None:
    kinds = {kind for kind, _, _ in CASES.values()}
    assert kinds == {*alpaca.market.actions}, "the twin knows no kind that is not tried"
    kind, fields, _ = CASES["a spin-off"]
    alpaca.market.actions[kind].append(told(kind, fields))
    lake = Lake(tmp_path / "lake")
    kept = ingest_actions(lake, vendor, symbols=NAMES, sessions=DAYS, now=NOW)
    adjusted = adjust(BARS.filter(symbol="AAA"), kept.rows, convention="yahoo")
    assert adjusted["close"].to_list() == pytest.approx([90.0] * 12)


def test_a_kind_that_nobody_knows_is_left_out_with_a_warning(
    alpaca: AlpacaTwin, vendor: AlpacaData, caplog: pytest.LogCaptureFixture
) -> None:
    alpaca.market.actions["name_changes"].append(told(*CASES["a new symbol"][:2]))
    alpaca.market.actions["moon_landings"] = [{"symbol": "AAA", "ex_date": str(EX), "id": "m"}]
    found = vendor.corporate_actions(NAMES, DAYS[0], DAYS[-1])
    assert found["kind"].to_list() == ["symbol_change"]
    (warning,) = [line for line in caplog.records if line.message == "corporate action left out"]
    assert (vars(warning)["kind"], vars(warning)["id"]) == ("moon_landings", "m")


def test_an_action_that_cannot_be_read_stops_the_fetch(
    alpaca: AlpacaTwin, vendor: AlpacaData
) -> None:
    broken = {"symbol": "AAA", "ex_date": str(EX), "new_rate": 2, "old_rate": 0, "id": "x1"}
    alpaca.market.actions["forward_splits"].append(broken)
    with pytest.raises(AdapterError, match="forward_splits x1 cannot be read"):
        vendor.corporate_actions(NAMES, date(2012, 1, 1), DAYS[-1])
