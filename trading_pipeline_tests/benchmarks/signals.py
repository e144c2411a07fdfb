"""Signals on demand and the features they are made from: from the lake, from Redis, without it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.features.alpha158 import LOOK_BACK, NAMES, VERSION, of_session
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.params import GbmParams
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.recall import recall
from trading_pipeline.flows.signals import Sources, signals
from trading_pipeline.flows.train import read_dataset
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.benchmarks import features
from trading_pipeline_tests.benchmarks.harness import Figure, median
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.servers import Valkey

STRATEGY = "alpha_baseline"
KIND = FeatureSet(STRATEGY, VERSION, NAMES)
RULES = AllocationRules()
RUNS = 50
TREES = 100
FEW = 5
LIMIT = 0.010


@dataclass(frozen=True, slots=True)
class Stored:
    """Features of one session in a lake, of so many symbols."""

    lake: Lake
    session: date
    symbols: tuple[str, ...]

    @property
    def count(self) -> str:
        """The symbols, for the name of a figure."""
        return f"{len(self.symbols)} symbols"


def figures() -> list[Figure]:
    """Five symbols and five hundred, whose features are held, and a Redis that is not there."""
    with TemporaryDirectory() as place, _redis() as cache:
        home = Path(place)
        five = Stored(sample_lake.fill(home / "five"), sample_lake.LAST, sample_lake.SYMBOLS)
        many = _wide(home / "many")
        store = ModelStore(home / "models", models.tracking_uri(home))
        store.promote(STRATEGY, fitted.register(store, STRATEGY, _model(five.lake)), fitted.CAUSE)
        return [
            _hit(cache, five, 0.001),
            _hit(cache, many, LIMIT),
            _down(many),
            *(figure for asked in (five, many) for figure in _signals(store, cache, asked)),
        ]


def _hit(cache: FeatureStore, asked: Stored, limit: float) -> Figure:
    from_lake, hit = _recalled(asked, None), _recalled(asked, cache)
    return Figure(
        name=f"features of {asked.count}, from Redis",
        seconds=hit,
        limit=limit,
        ratio=from_lake / hit,
        ratio_to="the lake",
        note="all held, one round trip",
    )


def _down(asked: Stored) -> Figure:
    down = FeatureStore("redis://127.0.0.1:1/0")
    without, lost = _recalled(asked, None), _recalled(asked, down)
    return Figure(
        name=f"features of {asked.count}, Redis down",
        seconds=max(lost - without, 0.0),
        limit=LIMIT,
        note="slower than without a cache, by this much",
    )


def _signals(store: ModelStore, cache: FeatureStore, asked: Stored) -> list[Figure]:
    """By the champion, a model of TREES trees, to target weights."""
    cast = Cast(name=STRATEGY, symbols=asked.symbols, convention="crsp")
    from_lake = Sources(lake=asked.lake, models=store)

    def ask(given: Sources) -> float:
        return _often(lambda: signals(given, cast, session=asked.session, rules=RULES))

    slow, quick = ask(from_lake), ask(replace(from_lake, cache=cache))
    limit = LIMIT if len(asked.symbols) == FEW else None
    return [
        Figure(name=f"signals of {asked.count}, from the lake", seconds=slow, limit=limit),
        Figure(name=f"signals of {asked.count}, from Redis", seconds=quick, limit=limit),
    ]


def _recalled(asked: Stored, cache: FeatureStore | None) -> float:
    return _often(
        lambda: recall(asked.lake, cache, KIND, session=asked.session, symbols=asked.symbols)
    )


def _often(work: Callable[[], object]) -> float:
    return median(work, RUNS)


def _wide(root: Path) -> Stored:
    """A lake that holds one session's features of five hundred symbols, and nothing else."""
    lake, last = Lake(root), features.LAST
    found = of_session(features.panel(features.SYMBOLS, LOOK_BACK + 1), last)
    lake.write("features", found.sort("session", "symbol"), [last])
    return Stored(lake, last, tuple(found["symbol"]))


def _model(lake: Lake) -> gbm.Model:
    rows = read_dataset(lake, sample_lake.training(fitted.THROUGH))
    params = GbmParams(rounds=TREES, early_stopping=TREES)
    made = gbm.fit(rows, rows, params)  # judged by what it learned: it does not stop early
    assert made.best_iteration == TREES
    return made


@contextmanager
def _redis() -> Iterator[FeatureStore]:
    server = Valkey().start()
    try:
        yield FeatureStore(server.url, patience=5)
    finally:
        server.stop()
