"""Signals from the command line."""

import json
import logging
from pathlib import Path

import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.cli.signals import report_of, show, signals
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.settings import Settings
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.flows.fitted import CAUSE


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command configures the platform's logger; later tests find it as it was."""
    logger = logging.getLogger("trading_pipeline")
    for name in ("handlers", "level", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    filled = sample_lake.shared(tmp_path_factory)
    (home / "data").mkdir()
    (home / "data" / "lake").symlink_to(filled.root)
    store = ModelStore(home / "data" / "models", models.tracking_uri(home / "data"))
    store.promote(
        "alpha_baseline", fitted.register(store, "alpha_baseline", _fitted(filled)), CAUSE
    )
    return home


def _fitted(lake: Lake) -> fitted.Model:
    return fitted.model(lake)


@pytest.fixture
def home(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(made))
    monkeypatch.chdir(made)
    return made


def test_the_newest_session_is_answered_in_words_and_in_json(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert signals() == 0
    said = capsys.readouterr().out
    assert signals(json=True) == 0
    document = json.loads(capsys.readouterr().out)

    assert f"alpha_baseline in {sample_lake.LAST}, by 1-" in said
    assert "Signal AAPL: " in said
    assert document["num_signals"] == 5
    assert [row["rank"] for row in document["signals"]] == [1, 2, 3, 4, 5]
    assert sum(row["target_weight"] for row in document["signals"]) == pytest.approx(0)
    assert document["generated_at"].endswith("+00:00")


def test_equals_are_named_for_their_places_say_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = report_of(Settings.load(home=home))

    def said(*scores: float) -> str:
        pairs = zip(report.signals, scores, strict=True)
        rows = tuple(row.model_copy(update={"score": score}) for row, score in pairs)
        show(report.model_copy(update={"signals": rows}), as_json=False)
        return capsys.readouterr().out

    first, second = (row.symbol for row in report.signals[:2])
    assert "Equal" not in said(5, 4, 3, 2, 1)
    assert f"Equal: {first}, {second} have one score, +5.00000" in said(5, 5, 3, 2, 1)


def test_symbols_and_counts_are_those_asked_for(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert signals(symbols="ibm,msft,zzzz", top_n=1, bottom_n=1, json=True) == 0

    document = json.loads(capsys.readouterr().out)
    assert {row["symbol"] for row in document["signals"]} == {"IBM", "MSFT"}
    assert (document["top_n"], document["bottom_n"]) == (1, 1)
    assert document["missing"] == ["ZZZZ"]


def test_redis_that_is_down_changes_nothing(
    home: Path,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TP_REDIS_URL", f"redis://127.0.0.1:{closed_port}/0")

    assert signals(json=True) == 0
    assert json.loads(capsys.readouterr().out)["num_signals"] == 5


def test_bad_input_is_refused(home: Path) -> None:
    with pytest.raises(SettingsError, match="top_n"):
        signals(top_n=-1)
    with pytest.raises(SettingsError, match="3"):
        signals(symbols="AAPL,IBM,MSFT")


def test_without_bars_there_is_nothing_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(MissingDataError, match="No bars are held"):
        signals()
