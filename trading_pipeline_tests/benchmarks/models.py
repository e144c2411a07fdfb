"""Models: how long a change of the one that trades takes."""

from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.flows import lifecycle
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.benchmarks.harness import Figure, median
from trading_pipeline_tests.flows import fitted, sample_lake

STRATEGY = "alpha_baseline"


def figures() -> list[Figure]:
    """Changes of the model that trades, on the sample."""
    with TemporaryDirectory() as place:
        lake = sample_lake.fill(Path(place) / "lake")
        home = Path(place)
        return _changes(lake, home)


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
