"""Predictions: one release a run, its own features only, nothing half-written."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.model_store.bundles import Bundles
from trading_pipeline.core.features.alpha158 import VERSION
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.dataset import newest_split
from trading_pipeline.core.models.release import Release
from trading_pipeline.errors import (
    FeatureMismatchError,
    MissingDataError,
    ModelCorruptError,
    ModelNotFoundError,
    SettingsError,
)
from trading_pipeline.flows.predict import predict
from trading_pipeline.flows.train import read_dataset
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.flows.sample_lake import LAST, SESSIONS, training

TRAINED_THROUGH = SESSIONS[-21]
STRATEGY = "alpha_baseline"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture
def lake(filled: Lake, tmp_path: Path) -> Lake:
    return sample_lake.copy(filled, tmp_path / "lake")


@pytest.fixture(scope="module")
def release(filled: Lake) -> Release:
    dataset = read_dataset(filled, training(TRAINED_THROUGH))
    split = newest_split(dataset.sessions(), train=300, valid=60, embargo=2)
    params = sample_lake.RULES.gbm
    model = gbm.fit(dataset.within(split.train), dataset.within(split.valid), params)
    return fitted.release(model, split, through=TRAINED_THROUGH)


@pytest.fixture
def store(tmp_path: Path, release: Release) -> ModelStore:
    promote(tmp_path, release)
    return ModelStore(tmp_path / "models", "sqlite:///unused.db")


def promote(home: Path, release: Release) -> None:
    bundles = Bundles(home / "models")
    with bundles.writing(STRATEGY):
        bundles.activate(release, models.CAUSE)


def held(lake: Lake) -> set[date]:
    return lake.held("predictions", SESSIONS[0], LAST)


def test_every_stored_feature_row_gets_one_prediction(lake: Lake, store: ModelStore) -> None:
    sessions = SESSIONS[-5:]

    predictions = predict(lake, store, strategy=STRATEGY, sessions=sessions)

    keys = ["symbol", "session"]
    expected = lake.read("features", sessions[0], LAST, columns=keys)
    assert predictions.select(keys).equals(expected)
    assert predictions["prediction"].null_count() == 0
    assert lake.read("predictions", sessions[0], LAST).equals(predictions)


def test_a_session_is_predicted_alike_alone_in_a_range_and_again(
    lake: Lake, store: ModelStore
) -> None:
    together = predict(lake, store, strategy=STRATEGY, sessions=SESSIONS[-5:])

    for session in SESSIONS[-5:]:
        alone = predict(lake, store, strategy=STRATEGY, sessions=[session])
        assert alone.equals(together.filter(pl.col("session") == session))


def test_only_the_sessions_asked_for_are_written(lake: Lake, store: ModelStore) -> None:
    asked = [SESSIONS[-9], SESSIONS[-3]]

    predictions = predict(lake, store, strategy=STRATEGY, sessions=asked)

    assert predictions["session"].unique().sort().to_list() == asked
    assert held(lake) == set(asked)


def test_every_row_bears_the_version_that_made_it(
    lake: Lake, store: ModelStore, release: Release
) -> None:
    predictions = predict(lake, store, strategy=STRATEGY, sessions=SESSIONS[-5:])

    assert predictions["model_version"].unique().to_list() == [release.model_version]
    assert release.model_version == f"1-{release.manifest.sha256[:8]}"


def test_features_of_another_version_stop_the_run_with_nothing_written(
    lake: Lake, store: ModelStore
) -> None:
    other = lake.read("features", LAST, LAST).with_columns(feature_version=pl.lit("alpha158-0"))
    lake.write("features", other, [LAST])

    with pytest.raises(FeatureMismatchError, match=f"features {VERSION}, these are alpha158-0"):
        predict(lake, store, strategy=STRATEGY, sessions=[LAST])

    assert held(lake) == set()


def test_features_in_another_order_stop_the_run_with_nothing_written(
    lake: Lake, store: ModelStore
) -> None:
    features = lake.read("features", LAST, LAST)
    names = features.columns
    lake.write("features", features.select(*names[:3], *names[:2:-1]), [LAST])

    with pytest.raises(FeatureMismatchError, match="another order"):
        predict(lake, store, strategy=STRATEGY, sessions=[LAST])

    assert held(lake) == set()


def test_a_session_without_features_stops_the_run_with_nothing_written(
    lake: Lake, store: ModelStore
) -> None:
    with pytest.raises(MissingDataError, match="1 sessions have no features, the first 2013-03-01"):
        predict(lake, store, strategy=STRATEGY, sessions=[LAST, date(2013, 3, 1)])

    assert held(lake) == set()


def test_a_session_whose_features_are_held_as_empty_has_no_predictions(
    lake: Lake, store: ModelStore
) -> None:
    lake.write("features", lake.read("features", LAST, LAST).clear(), [LAST])

    predictions = predict(lake, store, strategy=STRATEGY, sessions=[LAST])

    assert predictions.is_empty()
    assert held(lake) == {LAST}


def test_a_session_the_model_was_trained_on_is_not_predicted(lake: Lake, store: ModelStore) -> None:
    with pytest.raises(ModelNotFoundError, match="has seen prices later than"):
        predict(lake, store, strategy=STRATEGY, sessions=[SESSIONS[-22], LAST])

    assert held(lake) == set()


def test_the_session_training_ended_with_is_the_first_that_may_be_predicted(
    lake: Lake, store: ModelStore
) -> None:
    assert len(predict(lake, store, strategy=STRATEGY, sessions=[TRAINED_THROUGH])) == 5


def test_a_corrupt_release_stops_the_run_with_nothing_written(
    lake: Lake, store: ModelStore, tmp_path: Path
) -> None:
    (tmp_path / "models" / STRATEGY / "current" / "model.txt").write_text("tree\n")

    with pytest.raises(ModelCorruptError):
        predict(lake, store, strategy=STRATEGY, sessions=[LAST])

    assert held(lake) == set()


def test_no_session_is_a_matter_of_settings(lake: Lake, store: ModelStore) -> None:
    with pytest.raises(SettingsError, match="at least one"):
        predict(lake, store, strategy=STRATEGY, sessions=[])


def test_predicting_never_imports_mlflow(lake: Lake, store: ModelStore, tmp_path: Path) -> None:
    program = (
        "import sys; from datetime import date; from pathlib import Path;"
        "from trading_pipeline.adapters.lake import Lake;"
        "from trading_pipeline.adapters.model_store import ModelStore;"
        "from trading_pipeline.flows.predict import predict;"
        f"home = Path({str(tmp_path)!r});"
        "store = ModelStore(home / 'models', 'sqlite:///unused.db');"
        f"predict(Lake(home / 'lake'), store, strategy='{STRATEGY}', sessions=[date(2013, 2, 28)]);"
        "print('mlflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program]

    found = subprocess.run(command, check=False, capture_output=True, text=True)

    assert found.stdout == "False\n", found.stderr
