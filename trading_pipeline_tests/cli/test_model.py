"""The commands of a model's life, in a folder with a lake and a registry of its own."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.cli import model as command
from trading_pipeline.errors import (
    FeatureMismatchError,
    ModelCorruptError,
    ModelError,
    ModelNotFoundError,
    SettingsError,
)
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import fitted, sample_lake

STRATEGY = "alpha_baseline"
SESSIONS = ("--trained-from", "2011-01-03", "--trained-through", "2012-12-31")
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command configures the platform's logger; later tests find it as it was."""
    logger = logging.getLogger("trading_pipeline")
    for name in ("handlers", "level", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a lake and two registered versions, none of them active."""
    home = tmp_path_factory.mktemp("made")
    lake = sample_lake.fill(home / "data" / "lake")
    store = store_of(home)
    for seed in (42, 7):
        fitted.register(store, STRATEGY, fitted.model(lake, seed))
    return home


def store_of(home: Path) -> ModelStore:
    return ModelStore(home / "data" / "models", models.tracking_uri(home / "data"))


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the models; the registry's artifacts and the lake stay where they were made."""
    home = tmp_path / "home"
    for part in ("models", "mlflow"):
        shutil.copytree(made / "data" / part, home / "data" / part, symlinks=True)
    (home / "data" / "lake").symlink_to(made / "data" / "lake")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("TP_TRAINING__PROMOTION__RECENT_SESSIONS", "5")
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def one(*words: str) -> str:
        asked = {"exit_on_error": False, "print_error": False, "result_action": "return_value"}
        assert command.app(list(words), **asked) == 0
        return capsys.readouterr().out

    return one


def test_a_version_is_activated_with_the_verdict_of_every_gate(run: Run, home: Path) -> None:
    said = run("activate", "1", "--reason", "the first")

    active = store_of(home).release(STRATEGY)
    assert active.manifest.version == "1"
    assert f"Active: {active.model_version} (before: none)" in said
    assert "parity: " in said
    assert store_of(home).activations(STRATEGY)[0].reason == "the first"


def test_a_model_that_may_not_trade_is_an_error_and_changes_nothing(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_TRAINING__PROMOTION__MIN_RANK_IC_T", "5")

    with pytest.raises(ModelError, match=r"evidence: .*rank_ic_t 3, at least 5"):
        run("activate", "1")

    assert not store_of(home).has_champion(STRATEGY)


def test_there_and_back_again(run: Run, home: Path) -> None:
    for version in ("1", "2"):
        run("activate", version)

    run("rollback", "--reason", "worse")
    assert store_of(home).release(STRATEGY).manifest.version == "1"

    run("deactivate")
    assert store_of(home).is_deactivated(STRATEGY)

    run("rollback")
    assert store_of(home).release(STRATEGY).manifest.version == "1"


def test_a_reload_of_what_runs_says_so(run: Run) -> None:
    run("activate", "1")

    assert "as before" in run("reload")


def test_the_history_shows_the_active_version_first_and_what_was_active_next(run: Run) -> None:
    run("activate", "1", "--reason", "the first")
    run("activate", "2")
    run("rollback", "--reason", "worse")

    listed = json.loads(run("history", "--json"))["versions"]

    assert [(one["model_version"], one["status"]) for one in listed] == [
        ("1", "active"),
        ("2", "was active"),
    ]
    assert listed[0]["reason"] == "worse"
    assert listed[1]["deactivated_at"]
    assert listed[1]["activated_at"]
    assert "Version 1: status=active" in run("history")


def test_two_versions_are_compared(run: Run, home: Path) -> None:
    run("activate", "1")

    said = run("compare")

    assert "Measure rank_ic: 1-" in said
    assert "Recent: Mean daily rank correlation" in said
    assert "In advance: No session" in said
    assert said == run("compare", "1", "2")
    report = json.loads(run("compare", "--json"))
    assert report["metrics"]["rank_ic"] == {"first": 0.03, "second": 0.03}
    assert report["shadow"]["difference"] == {"value": None, "low": None, "high": None}
    assert (home / "data" / "reports" / "models" / STRATEGY / "1-against-2.html").is_file()


def test_without_a_challenger_two_versions_have_to_be_named(run: Run) -> None:
    run("activate", "2")

    with pytest.raises(ModelNotFoundError, match="name two versions"):
        run("compare")


def test_a_file_is_registered_and_what_is_said_of_it_is_no_evidence(
    run: Run, home: Path, made: Path
) -> None:
    text = fitted.model(Lake(made / "data" / "lake"), 3).text
    (home / "model.txt").write_text(text)

    said = run("register", "model.txt", *SESSIONS, "--metric", "rank_ic=0.9")

    assert "Version 3 of alpha_baseline is registered as challenger." in said
    with pytest.raises(ModelError, match="rank_ic was not measured"):
        run("activate", "3")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, ModelNotFoundError),
        (b"\xff\xfe", ModelCorruptError),
        (b"tree\nnothing\nend of trees\n", ModelCorruptError),
    ],
)
def test_a_file_that_is_no_model_is_refused_and_the_process_lives(
    run: Run, home: Path, content: bytes | None, error: type[Exception]
) -> None:
    if content is not None:
        (home / "model.txt").write_bytes(content)

    with pytest.raises(error):
        run("register", "model.txt", *SESSIONS)


def test_a_model_of_other_features_is_refused(run: Run, home: Path) -> None:
    (home / "model.txt").write_text(models.model().text)

    with pytest.raises(FeatureMismatchError, match="takes 8 features"):
        run("register", "model.txt", *SESSIONS)


def test_a_metric_that_is_no_number_is_refused(run: Run) -> None:
    with pytest.raises(SettingsError, match="name=value is expected"):
        run("register", "model.txt", *SESSIONS, "--metric", "rank_ic=high")
