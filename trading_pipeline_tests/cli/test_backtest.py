"""Backtests and sweeps from the command line and as jobs: pages, and trials on record."""

import json
import logging
from pathlib import Path

import dagster as dg
import pytest

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

STRATEGY = "relative_momentum"


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("trading_pipeline")
    for name in ("handlers", "level", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))


@pytest.fixture
def place(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A project folder with the sample in its lake."""
    sample_lake.copy(sample_lake.shared(tmp_path_factory), tmp_path / "data" / "lake")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    models.tracking_uri(tmp_path / "data")
    return tmp_path


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


def build_job(name: str, settings: Settings) -> dg.JobDefinition:
    from trading_pipeline.definitions import build  # noqa: PLC0415 - heavy

    return build(settings).resolve_job_def(name)


def test_a_backtest_against_paper_needs_paper(place: Path) -> None:
    with pytest.raises(MissingDataError, match="decided no session"):
        backtest(strategy=STRATEGY, first=FIRST, last=LAST, against_paper=True)


def test_bad_input_is_one_sentence(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_every_combination_is_a_trial_with_its_own_settings(place: Path) -> None:
    found = combinations({"portfolio.top_n": ["1", "2"], "strategies.momentum.min_adx": ["20"]})
    assert [one["portfolio.top_n"] for one in found] == ["1", "2"]
    settings = changed(Settings.load(), found[0])
    assert (settings.portfolio.top_n, settings.strategies.momentum.min_adx) == (1, 20.0)
    with pytest.raises(SettingsError, match="1 to 2000 trials"):
        combinations({"portfolio.top_n": [str(n) for n in range(3_000)]})
