"""Training from the command line."""

import logging
from pathlib import Path

import pytest

from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.cli.train import train
from trading_pipeline.core.features.labels import LABEL_HORIZON
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.defs.training import training_of
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.settings import Settings
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import sample_lake

RULES = {
    "TRAIN_SESSIONS": "300",
    "VALID_SESSIONS": "60",
    "TEST_SESSIONS": "60",
    "FOLDS": "1",
    "GBM__ROUNDS": "10",
    "PROMOTION__RECENT_SESSIONS": "3",
}


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command configures the platform's logger; later tests find it as it was."""
    logger = logging.getLogger("trading_pipeline")
    for name in ("handlers", "level", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))


def test_a_training_registers_a_challenger_says_what_it_lacks_and_releases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample_lake.fill(tmp_path / "data" / "lake")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name, value in RULES.items():
        monkeypatch.setenv(f"TP_TRAINING__{name}", value)

    assert train(first=sample_lake.SESSIONS[-90]) == 0  # a study: two windows instead of one

    said = capsys.readouterr().out
    store = ModelStore(tmp_path / "data" / "models", models.tracking_uri(tmp_path / "data"))
    assert not store.has_champion("alpha_baseline")
    challenger = store.challenger("alpha_baseline")
    assert challenger
    assert challenger.manifest.trained_through == sample_lake.LAST
    assert "Version 1 is registered as challenger." in said
    assert "Out of sample: mean daily rank IC" in said
    assert "over 120 sessions" in said
    assert list((tmp_path / "data" / "cache" / "bins").glob("*/train.bin"))
    for gate in ("evidence", "parity", "prefix", "feature_schema", "dry_prediction"):
        assert f"{gate}: passed" in said or f"{gate}: FAILED" in said


def test_without_features_there_is_nothing_to_train_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(MissingDataError, match="No features are held"):
        train()


def test_a_study_without_sessions_and_a_search_of_less_than_none_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError, match="has no sessions"):
        train(first=sample_lake.LAST, as_of_date=sample_lake.LAST)
    with pytest.raises(SettingsError, match="-1 trials"):
        train(trials=-1, as_of_date=sample_lake.LAST)


def test_a_study_judges_every_session_from_its_first_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    settings = Settings.load(home=tmp_path)
    since = session_window(sample_lake.LAST, 200)[0]

    rules = training_of(settings, sample_lake.LAST, since=since).rules

    assert rules.folds * rules.test_sessions >= 200 - LABEL_HORIZON
    assert (rules.folds - 1) * rules.test_sessions < 200 - LABEL_HORIZON
