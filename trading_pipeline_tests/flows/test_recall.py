"""Features on demand are those of the lake: with the feature store, without it, while it fails."""

import socket
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.flows.recall import recall, refresh
from trading_pipeline_tests.flows import sample_lake
from trading_pipeline_tests.flows.sample_lake import LAST, SYMBOLS

KIND = FeatureSet("alpha_baseline", VERSION, NAMES)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture
def store(redis_url: str) -> FeatureStore:
    return FeatureStore(redis_url, patience=10)


@pytest.fixture
def nowhere() -> FeatureStore:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return FeatureStore(f"redis://127.0.0.1:{server.getsockname()[1]}/0")


def features(lake: Lake, *symbols: str) -> pl.DataFrame:
    return lake.read("features", LAST, LAST, symbols=symbols)


def test_with_and_without_a_store_the_same_is_recalled(
    filled: Lake, store: FeatureStore, nowhere: FeatureStore
) -> None:
    expected = features(filled, *SYMBOLS)

    for place in (None, nowhere, store, store):
        assert recall(filled, place, KIND, session=LAST, symbols=SYMBOLS).equals(expected)


def test_what_was_recalled_once_is_held_and_the_lake_is_not_read_again(
    filled: Lake, store: FeatureStore, tmp_path: Path
) -> None:
    recall(filled, store, KIND, session=LAST, symbols=SYMBOLS)

    without_files = Lake(tmp_path / "no-lake")

    found = recall(without_files, store, KIND, session=LAST, symbols=SYMBOLS)
    assert found.equals(features(filled, *SYMBOLS))


def test_what_is_held_in_part_is_completed_from_the_lake_in_one_order(
    filled: Lake, store: FeatureStore
) -> None:
    refresh(store, KIND, features(filled, "IBM", "AAPL"))

    found = recall(filled, store, KIND, session=LAST, symbols=["MSFT", "IBM", "AAPL"])

    assert found.equals(features(filled, "AAPL", "IBM", "MSFT"))
    assert store.get(KIND, LAST, ["MSFT"]).height == 1


def test_features_that_are_written_again_replace_what_is_held(
    filled: Lake, store: FeatureStore
) -> None:
    recall(filled, store, KIND, session=LAST, symbols=SYMBOLS)
    again = features(filled, *SYMBOLS).with_columns(KMID=pl.col("KMID") + 1)

    refresh(store, KIND, again)

    assert recall(filled, store, KIND, session=LAST, symbols=SYMBOLS).equals(again)


def test_features_of_another_set_are_not_held(filled: Lake, store: FeatureStore) -> None:
    other = FeatureSet(KIND.strategy, "alpha158-0", NAMES)

    found = recall(filled, store, other, session=LAST, symbols=SYMBOLS)

    assert found.equals(features(filled, *SYMBOLS))
    assert store.get(other, LAST, SYMBOLS).is_empty()


def test_a_symbol_without_features_has_no_row(filled: Lake, store: FeatureStore) -> None:
    for _ in range(2):
        found = recall(filled, store, KIND, session=LAST, symbols=["AAPL", "XYZ"])
        assert found["symbol"].to_list() == ["AAPL"]
