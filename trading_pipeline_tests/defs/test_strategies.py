"""Whole days traded by other strategies than the model's, and a year of days against a backtest."""

import json
from datetime import date
from pathlib import Path

import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.flows.backtest import Study
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.parity import compare
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.flows.test_parity import SYMBOLS, no_model

SECOND = whole_day.MONTH[1]


def test_an_ensemble_trades_the_day_and_says_whose_models_it_asked(home: Path) -> None:
    report = whole_day.report_of(home, SECOND, TP_STRATEGY="ensemble")
    assert report["status"] in {"success", "partial"}
    assert report["model"] is None
    lake, ledger = Lake(home / "data/lake"), Ledger(f"sqlite:///{home / 'data/ledger.db'}")
    signals = lake.read("signals", SECOND, SECOND)
    assert set(signals["strategy"]) == {"ensemble"}
    assert signals["score"].is_between(-1, 1).all()
    assert set(lake.read("predictions", SECOND, SECOND)["strategy"]) >= {"alpha_baseline"}
    decision = ledger.decision("ensemble", SECOND)
    assert decision is not None
    assert decision.model_version.startswith("alpha_baseline 1-")
    ledger.close()


@pytest.mark.soak
@pytest.mark.parametrize("name", ["mean_reversion", "momentum", "relative_momentum"])
def test_a_strategy_trades_by_its_rules_and_by_a_model_of_its_own(home: Path, name: str) -> None:
    by_rules = whole_day.report_of(home, SECOND, TP_STRATEGY=name)
    by_model = whole_day.report_of(home, whole_day.MONTH[2], TP_STRATEGY=f"{name}_gbm")
    assert by_rules["model"] is None
    assert by_model["model"]["version"].startswith("1-")
    manifest = next((home / "data/models" / f"{name}_gbm").rglob("manifest.json"))
    card = json.loads(manifest.read_text())
    assert card["strategy"] == f"{name}_gbm"
    assert card["feature_version"] == f"{name.replace('_', '-')}-1"
    assert {row["strategy"] for row in (by_rules["parameters"], by_model["parameters"])} == {
        name,
        f"{name}_gbm",
    }
    said = Lake(home / "data/lake").read("signals", SECOND, whole_day.MONTH[2])
    assert {name, f"{name}_gbm"} <= set(said["strategy"])
    later = whole_day.report_of(home, whole_day.MONTH[3], TP_STRATEGY=f"{name}_gbm")
    assert {name, f"{name}_gbm"} <= later["strategies"].keys(), "each has a part of the P&L"


@pytest.mark.soak
def test_a_backtest_equals_250_paper_days(tmp_path: Path) -> None:
    """Same orders, fills and NAV to the last digit in every session of a year."""
    home = whole_day.make_home(tmp_path / "home")
    days = sessions_between(date(2012, 2, 1), date(2013, 2, 27))[:250]
    for start in range(0, len(days), 25):
        words = [("--json", "--as-of-date", str(day)) for day in days[start : start + 25]]
        codes = {code for code, _, _ in whole_day.paper_runs(home, words)}
        assert codes <= {0, 2}, "2 is a day on which an order was blocked"
    ledger = Ledger(f"sqlite:///{home / 'data/ledger.db'}")
    study = Study(
        cast=Cast(name="alpha_baseline", symbols=SYMBOLS, convention="crsp"),
        first=days[0],
        last=days[-1],
        allocation=AllocationRules(),
        rules=BacktestRules(),
    )
    found = compare(Lake(home / "data/lake"), ledger, study, no_model)
    ledger.close()
    assert found.differences == ()
    assert found.sessions >= 248
    assert found.orders > 200
