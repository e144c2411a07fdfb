"""Models: how long a change of the one that trades takes, and features from Redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.flows import lifecycle
from trading_pipeline.flows.recall import recall
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.adapters.test_feature_store import KIND, SESSION, SYMBOLS, features
from trading_pipeline_tests.benchmarks.harness import Figure, median
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.servers import Valkey

STRATEGY = "alpha_baseline"


def figures() -> list[Figure]:
    """Changes of the model that trades, on the sample; cached features against the lake."""
    with TemporaryDirectory() as place:
        lake = sample_lake.fill(Path(place) / "lake")
        return [*_changes(lake, Path(place)), *_features(lake)]


def _changes(lake: Lake, home: Path) -> list[Figure]:
    store, bench = ModelStore(home / "models", models.tracking_uri(home)), fitted.bench(lake)
    for seed in (42, 7):
        fitted.register(store, STRATEGY, fitted.model(lake, seed))
    versions = cycle("12")

    def activate() -> None:
        version = next(versions)
        lifecycle.activate(bench, store, strategy=STRATEGY, version=version, cause=fitted.CAUSE)

    def reload() -> None:
        store.rollback(STRATEGY, fitted.CAUSE)  # the registry still names the other one
        assert lifecycle.reload(bench, store, strategy=STRATEGY, cause=fitted.CAUSE).changed

    activated = median(activate)
    rolled_back = median(lambda: lifecycle.rollback(store, strategy=STRATEGY, cause=fitted.CAUSE))
    return [
        Figure(name="model activation", seconds=activated, limit=1.0, note="every gate"),
        Figure(name="model rollback", seconds=rolled_back, limit=1.0),
        Figure(name="model reload", seconds=median(reload), limit=1.0, note="after a rollback"),
        Figure(
            name="registry poll",
            seconds=median(lambda: lifecycle.look(store, STRATEGY, None)),
            limit=0.3,
            note="every 300 s: 0.1% of a core at most",
        ),
    ]


def _features(lake: Lake) -> list[Figure]:
    kind, session = FeatureSet(STRATEGY, VERSION, NAMES), sample_lake.LAST
    with _redis() as store:
        store.put(KIND, SESSION, features(SYMBOLS))
        from_lake = median(
            lambda: recall(lake, None, kind, session=session, symbols=sample_lake.SYMBOLS)
        )
        hit = median(
            lambda: recall(lake, store, kind, session=session, symbols=sample_lake.SYMBOLS)
        )
        many = median(lambda: store.get(KIND, SESSION, SYMBOLS))
    down = FeatureStore("redis://127.0.0.1:1/0")
    return [
        Figure(
            name="features from Redis",
            seconds=hit,
            limit=0.005,
            ratio=from_lake / hit,
            ratio_to="the lake",
            note="5 symbols, all held",
        ),
        Figure(name="features from Redis, 500", seconds=many, limit=0.010, note="one round trip"),
        Figure(
            name="features, Redis down",
            seconds=median(lambda: down.get(kind, session, SYMBOLS)),
            limit=0.010,
        ),
    ]


@contextmanager
def _redis() -> Iterator[FeatureStore]:
    server = Valkey().start()
    try:
        yield FeatureStore(server.url, patience=5)
    finally:
        server.stop()
