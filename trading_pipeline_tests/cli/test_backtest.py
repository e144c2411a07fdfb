"""Backtests and sweeps from the command line and as jobs: pages, and trials on record."""

import json
import logging
from pathlib import Path

import dagster as dg
import pytest

from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.model_store.trials import TrialStore
from trading_pipeline.cli import run
from trading_pipeline.cli.backtest import backtest
from trading_pipeline.cli.sweep import sweep
from trading_pipeline.defs.sweep import changed, combinations
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.settings import Settings
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import sample_lake
from trading_pipeline_tests.flows.test_backtest import FIRST, LAST
from trading_pipeline_tests.whole_day import SMALL_TRAINING

STRATEGY = "relative_momentum"


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("trading_pipeline")
    for name in ("handlers", "level", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder without data."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def place(
    bare: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project folder with the sample in its lake, and the record of trials of all tests."""
    sample_lake.copy(sample_lake.shared(tmp_path_factory), bare / "data" / "lake")
    record = models.tracking_uri(models.registry_home(tmp_path_factory))
    monkeypatch.setenv("TP_MLFLOW_TRACKING_URI", record)
    return bare


def test_a_backtest_a_sweep_and_the_job_are_trials_of_one_record(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest(strategy=STRATEGY, first=FIRST, last=LAST, json=True) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["figures"]["trials"] == 1
    page = place / "data/reports/backtests" / f"{STRATEGY}_{FIRST}_{LAST}" / "backtest.html"
    assert alone["summary"].partition(",")[0] in page.read_text()

    vary = ["portfolio.top_n=1,2", "portfolio.bottom_n=1,2"]
    assert sweep(vary=vary, first=FIRST, last=LAST, strategy=STRATEGY) == 0
    said = capsys.readouterr().out
    assert "4 trials of relative_momentum" in said
    assert "after 4 trials on record" in said, "that of the backtest is one of the four"
    assert said.count("Trial ") == 4

    settings = Settings.load()
    store = TrialStore(settings.data_dir / "models", settings.tracking_location)
    assert len(store.sharpes(STRATEGY)) == 4

    job = build_job("run_backtest", settings)
    done = job.execute_in_process(
        run_config={"ops": {"backtest": {"config": {
            "strategy": STRATEGY, "first": str(FIRST), "last": str(LAST),
        }}}},
    )  # fmt: skip
    metadata = done.asset_materializations_for_node("backtest")[0].metadata
    assert metadata["trials"].value == 4
    assert Path(str(metadata["page"].value)) == page
    assert metadata["sharpe"].value == pytest.approx(alone["figures"]["sharpe"])

    asked = {
        "strategy": STRATEGY, "first": str(FIRST), "last": str(LAST),
        "vary": {"strategies.relative_momentum.since": ["200", "240"]},
    }  # fmt: skip
    swept = build_job("parameter_sweep", settings).execute_in_process(
        run_config={"ops": {"try_all": {"config": asked}}}
    )
    (said,) = [e for e in swept.events_for_node("try_all") if e.is_successful_output]
    assert said.step_output_data.metadata["trials_on_record"].value == 6
    assert swept.dagster_run.job_name == "parameter_sweep"
    assert len(store.sharpes(STRATEGY)) == 6


@pytest.mark.soak
def test_a_model_of_a_strategys_own_is_trained_as_the_backtest_walks_forward(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered under its own name, kept for the next backtest, and never the one that trades."""
    for name, value in {**SMALL_TRAINING, "TP_BACKTEST__RETRAIN_EVERY": "20"}.items():
        monkeypatch.setenv(name, value)
    asked = {"strategy": "momentum_gbm", "first": FIRST, "last": LAST, "json": True}
    assert backtest(**asked) == 0
    first = json.loads(capsys.readouterr().out)
    assert backtest(**asked) == 0
    again = json.loads(capsys.readouterr().out)
    settings = Settings.load()
    store = ModelStore(settings.data_dir / "models", settings.tracking_location)
    assert [each.version for each in store.versions("momentum_gbm")] == ["2", "1"]
    assert not store.has_champion("momentum_gbm")
    assert first["models"]["momentum_gbm"].count(", ") == 1
    assert again["nav"] == first["nav"]
    assert first["counts"]["fills"] > 0


def build_job(name: str, settings: Settings) -> dg.JobDefinition:
    from trading_pipeline.definitions import build  # noqa: PLC0415 - heavy

    return build(settings).resolve_job_def(name)


def test_a_backtest_against_paper_needs_paper(place: Path) -> None:
    with pytest.raises(MissingDataError, match="decided no session"):
        backtest(strategy=STRATEGY, first=FIRST, last=LAST, against_paper=True)


def test_bad_input_is_one_sentence(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backtest", "--strategy", "nix"]) == 3
    assert "nix is no strategy: expected one of alpha_baseline" in capsys.readouterr().err
    assert run(["backtest", "--from", "2013-02-01", "--to", "2013-01-02"]) == 3
    assert run(["backtest", "--to", "2031-01-02"]) == 3
    span = ["--from", str(FIRST), "--to", str(LAST)]
    for vary, sentence in {
        "top_n": "NAME=VALUE,VALUE is expected",
        "risk.max_turnover=1": "cannot be varied",
        "portfolio.top=1": "is no setting",
        "portfolio.top_n=-1": "portfolio.top_n cannot be -1",
    }.items():
        assert run(["sweep", *span, "--vary", vary]) == 3
        assert sentence in capsys.readouterr().err
    learned = ["--strategy", "momentum_gbm", "--vary", "strategies.momentum.adx_sessions=10"]
    assert run(["sweep", *span, *learned]) == 3
    assert "it asks the model momentum_gbm" in capsys.readouterr().err


def test_every_combination_is_a_trial_with_its_own_settings(bare: Path) -> None:
    one_of_each = {
        "portfolio.top_n": ["1", "2"],
        "strategies.momentum.min_adx": ["20"],
        "strategies.mean_reversion.exits.stop": ["0.1"],
        "strategies.ensemble.method": ["majority_vote"],
        "allocation.max_weight": ["0.4"],
        "sizing.capital": ["5000"],
        "costs.slippage_bps": ["7"],
        "backtest.frictions.impact": ["0.5"],
    }
    found = combinations(one_of_each)
    assert [one["portfolio.top_n"] for one in found] == ["1", "2"]
    settings = changed(Settings.load(), found[0])
    rules = settings.strategies
    assert (settings.portfolio.top_n, rules.momentum.min_adx) == (1, 20.0)
    assert (rules.mean_reversion.exits.stop, rules.ensemble.method) == (0.1, "majority_vote")
    assert (settings.allocation.max_weight, settings.sizing.capital) == (0.4, 5000)
    assert (settings.costs.slippage_bps, settings.backtest.frictions.impact) == (7, 0.5)
    with pytest.raises(SettingsError, match="1 to 2000 trials"):
        combinations({"portfolio.top_n": [str(n) for n in range(3_000)]})
