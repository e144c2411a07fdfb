"""Models: how long a change of the one that trades takes, and features from Redis."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.flows import lifecycle
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.recall import recall
from trading_pipeline.flows.signals import Sources, signals
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.adapters.test_feature_store import KIND, SESSION, SYMBOLS, features
from trading_pipeline_tests.benchmarks.harness import Figure, median
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.servers import Valkey

STRATEGY = "alpha_baseline"
RULES = AllocationRules()


TRAINING = """
import json, resource, sys, time
import numpy as np, polars as pl
import lightgbm as lgb
from trading_pipeline.core.features.alpha158 import NAMES
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.dataset import Dataset, to_arrow
from datetime import date

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

empty = peak()
days, symbols = session_window(date(2019, 12, 31), 2_520), 500
count, rng = len(days) * symbols, np.random.default_rng(1)
columns = {name: rng.standard_normal(count, dtype=np.float32) for name in NAMES}
matrix = sum(values.nbytes for values in columns.values())
label = rng.standard_normal(count)
rows = pl.DataFrame({
    "symbol": pl.Series([f"S{n:03}" for n in range(symbols)]).gather(np.arange(count) % symbols),
    "session": pl.Series(days, dtype=pl.Date).gather(np.arange(count) // symbols),
    **columns, "label": label, "target": label,
})
del columns
whole = Dataset(rows=rows, features=NAMES, feature_version="test")
train, valid = whole.within(days[:2_300]), whole.within(days[2_302:])
params = gbm.GbmParams(rounds=10, early_stopping=10)

def timed(work):
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    return made, time.perf_counter() - wall, time.process_time() - cpu

ours, wall, cpu = timed(lambda: gbm.fit(train, valid, params))
used = peak()
native = params.native(len(train.rows))

def bare():
    matrix = lgb.Dataset(to_arrow(train), label=train.target(), params=native)
    judged = lgb.Dataset(to_arrow(valid), label=valid.target(), params=native, reference=matrix)
    watch = [lgb.early_stopping(10, verbose=False)]
    return lgb.train(native, matrix, 10, [matrix, judged], ["train", "valid"], callbacks=watch)

_, bare_wall, bare_cpu = timed(bare)
binned, binning, _ = timed(lambda: gbm.bin_rows(train, valid, params))
again, reused, _ = timed(lambda: gbm.fit(train, valid, params, binned=binned))
assert again.best_iteration == ours.best_iteration
print(json.dumps({
    "wall": wall, "cpu": cpu, "bare_wall": bare_wall, "bare_cpu": bare_cpu,
    "binning": binning, "reused": reused, "matrix": matrix, "peak": used - empty,
}))
"""
GIB = 2**30


def figures() -> list[Figure]:
    """Changes of the model that trades, on the sample; signals on demand; a large training."""
    with TemporaryDirectory() as place:
        lake = sample_lake.fill(Path(place) / "lake")
        home = Path(place)
        return [*_changes(lake, home), *_features(lake), *_signals(lake, home), *_training()]


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
            limit=0.001,
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


def _signals(lake: Lake, home: Path) -> list[Figure]:
    """Signals on demand, by the model that `_changes` left active."""
    cast = Cast(name=STRATEGY, symbols=sample_lake.SYMBOLS, convention="crsp")
    sources = Sources(lake=lake, models=ModelStore(home / "models", models.tracking_uri(home)))

    def ask(given: Sources) -> float:
        return median(lambda: signals(given, cast, session=sample_lake.LAST, rules=RULES))

    with _redis() as cache:
        cached = ask(replace(sources, cache=cache))
    return [
        Figure(name="signals of 5 symbols, from the lake", seconds=ask(sources), limit=0.010),
        Figure(name="signals of 5 symbols, from Redis", seconds=cached, limit=0.010),
    ]


def _training() -> list[Figure]:
    done = subprocess.run(
        [sys.executable, "-c", TRAINING], check=True, capture_output=True, text=True
    )
    its = json.loads(done.stdout)
    fits = its["peak"] < 2 * its["matrix"]
    return [
        Figure(
            name="training on 500 × 2,520 × 158, 10 rounds",
            seconds=its["wall"],
            limit=1.1 * its["bare_wall"],
            ratio=its["wall"] / its["bare_wall"],
            ratio_to="LightGBM called bare",
            note=f"CPU {its['cpu'] / its['bare_cpu']:.2f}×; with bins made: {its['reused']:.1f} s",
        ),
        Figure(
            name="rows in bins, made once for any number of trials",
            seconds=its["binning"],
            limit=None if fits else 0.0,
            note=f"peak memory {its['peak'] / GIB:.2f} GiB beside the interpreter's: "
            f"{its['peak'] / its['matrix']:.2f} matrices, limit 2",
        ),
    ]


@contextmanager
def _redis() -> Iterator[FeatureStore]:
    server = Valkey().start()
    try:
        yield FeatureStore(server.url, patience=5)
    finally:
        server.stop()
