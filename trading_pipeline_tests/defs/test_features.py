"""The asset of features keeps the copy in Redis fresh, and lives without it."""

from pathlib import Path

import dagster as dg
import pytest

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.defs.features import features
from trading_pipeline.settings import Settings
from trading_pipeline_tests.flows import sample_lake
from trading_pipeline_tests.flows.sample_lake import LAST, SYMBOLS

KIND = FeatureSet("alpha_baseline", VERSION, NAMES)


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Lake:
    return sample_lake.copy(sample_lake.shared(tmp_path_factory), tmp_path / "lake")


def materialize(lake: Lake, home: Path, redis_url: str) -> bool:
    rules = sample_lake.RULES
    settings = Settings.load(home=home, training=rules, redis_url=redis_url)
    return dg.materialize(
        [features],
        partition_key=str(LAST),
        resources={"settings": settings, "lake": lake},
        selection=[features],
    ).success


def test_the_newest_session_is_held_in_redis_as_it_is_in_the_lake(
    lake: Lake, tmp_path: Path, redis_url: str
) -> None:
    assert materialize(lake, tmp_path, redis_url)

    held = FeatureStore(redis_url, patience=10).get(KIND, LAST, SYMBOLS)

    assert held.equals(lake.read("features", LAST, LAST))
    assert held["session"].unique().to_list() == [LAST]


def test_redis_that_is_down_stops_nothing(lake: Lake, tmp_path: Path) -> None:
    before = lake.read("features", LAST, LAST)
    lake.write("features", before.clear(), [LAST], symbols=SYMBOLS)

    assert materialize(lake, tmp_path, "redis://127.0.0.1:1/0")

    assert lake.read("features", LAST, LAST).equals(before)
