"""Two models side by side: in training, on recent features, and on sessions said in advance."""

from itertools import count
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.models.release import Release
from trading_pipeline.flows.compare import compare, shadow
from trading_pipeline.flows.comparison_report import comparison_report, save_comparison
from trading_pipeline.flows.predict import predict, predict_shadow, shadow_of
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.flows.fitted import CAUSE, THROUGH
from trading_pipeline_tests.flows.sample_lake import LAST, SESSIONS

NUMBERS = count()
AFTER = SESSIONS[-20:]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture
def lake(filled: Lake, tmp_path: Path) -> Lake:
    return sample_lake.copy(filled, tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    uri = models.tracking_uri(models.registry_home(tmp_path_factory))
    return ModelStore(tmp_path / "models", uri)


@pytest.fixture
def strategy() -> str:
    return f"compared_{next(NUMBERS)}"


@pytest.fixture
def champion(filled: Lake, store: ModelStore, strategy: str) -> Release:
    version = fitted.register(store, strategy, fitted.model(filled))
    return store.promote(strategy, version, CAUSE)


@pytest.fixture
def challenger(filled: Lake, store: ModelStore, strategy: str, champion: Release) -> Release:
    """The champion's opposite: its rank IC is the champion's with the other sign."""
    fitted.register(store, strategy, fitted.contrary(fitted.model(filled)), rank_ic=0.01)
    found = store.challenger(strategy)
    assert found
    return found


def test_the_challenger_predicts_beside_the_champion_and_not_in_its_name(
    lake: Lake, store: ModelStore, strategy: str, champion: Release, challenger: Release
) -> None:
    ours = predict(lake, store, strategy=strategy, sessions=AFTER)

    shadows = predict_shadow(lake, store, strategy=strategy, sessions=AFTER)

    assert shadows["model_version"].unique().to_list() == [challenger.model_version]
    assert (shadows["prediction"] + ours["prediction"]).abs().max() < 1e-9
    stored = lake.read("predictions", AFTER[0], LAST)
    assert stored.filter(pl.col("strategy") == strategy).equals(ours)
    assert stored.height == 2 * ours.height


def test_the_challenger_says_nothing_of_sessions_its_training_has_seen_past(
    lake: Lake, store: ModelStore, strategy: str, challenger: Release
) -> None:
    place = SESSIONS.index(THROUGH)

    shadows = predict_shadow(
        lake, store, strategy=strategy, sessions=SESSIONS[place - 1 : place + 1]
    )

    assert shadows["session"].unique().to_list() == [THROUGH]


def test_without_a_challenger_the_sessions_are_held_as_empty(
    lake: Lake, store: ModelStore, strategy: str, champion: Release
) -> None:
    shadows = predict_shadow(lake, store, strategy=strategy, sessions=AFTER)

    assert shadows.is_empty()
    assert lake.held("predictions", AFTER[0], LAST, strategy=shadow_of(strategy)) == set(AFTER)


def test_a_broken_challenger_does_not_stop_the_day(
    lake: Lake,
    store: ModelStore,
    strategy: str,
    challenger: Release,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "models" / strategy / "challenger" / "model.txt").write_text("tree\n")

    assert predict_shadow(lake, store, strategy=strategy, sessions=AFTER).is_empty()
    assert "the challenger cannot predict" in caplog.text


def test_a_promoted_challenger_is_no_challenger(
    store: ModelStore, strategy: str, challenger: Release
) -> None:
    store.promote(strategy, challenger.manifest.version, CAUSE)

    assert store.challenger(strategy) is None


def test_what_both_said_in_advance_is_judged_session_by_session(
    lake: Lake, store: ModelStore, strategy: str, champion: Release, challenger: Release
) -> None:
    predict(lake, store, strategy=strategy, sessions=AFTER)
    predict_shadow(lake, store, strategy=strategy, sessions=AFTER)

    found = shadow(fitted.bench(lake), champion, challenger)

    sessions = found.difference.sessions
    assert 15 <= sessions <= len(AFTER) - 2  # the newest two have no label yet, some no rank IC
    assert found.second.value == pytest.approx(-found.first.value)
    assert found.difference.value == pytest.approx(-2 * found.first.value)
    assert f"over {sessions} sessions" in found.sentence()
    assert found.daily.height == sessions


def test_the_page_of_a_comparison_shows_what_was_said_in_advance(
    lake: Lake,
    store: ModelStore,
    strategy: str,
    champion: Release,
    challenger: Release,
    tmp_path: Path,
) -> None:
    predict(lake, store, strategy=strategy, sessions=AFTER)
    predict_shadow(lake, store, strategy=strategy, sessions=AFTER)
    found = compare(fitted.bench(lake), champion, challenger)

    report = comparison_report(found)
    page = save_comparison(found, tmp_path / "reports").read_text()

    assert report.shadow.sessions == found.shadow.difference.sessions
    assert report.shadow.difference.value == found.shadow.difference.value
    assert (report.first, report.second) == (champion.model_version, challenger.model_version)
    assert page.count("<svg") == 1
    assert "src=" not in page
    assert f"{found.shadow.difference.value:+.4f}".replace("-", "−") in page


def test_a_comparison_shows_both_evaluations_and_how_they_agree(
    lake: Lake, champion: Release, challenger: Release
) -> None:
    found = compare(fitted.bench(lake), champion, challenger)

    assert found.metrics["rank_ic"] == (0.03, 0.01)
    assert found.agreement
    assert found.agreement.numbers["rank_correlation"] == pytest.approx(-1)
    assert found.shadow.difference.sessions == 0
    assert "No session was predicted by both" in found.shadow.sentence()
