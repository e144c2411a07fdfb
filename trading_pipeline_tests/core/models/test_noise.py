"""On prices without any pattern nothing is found, and nothing that is found may trade."""

from math import isnan

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.features.alpha158 import LOOK_BACK, alpha158
from trading_pipeline.core.features.labels import LABEL_HORIZON, label
from trading_pipeline.core.models import gates
from trading_pipeline.core.models.dataset import Dataset, build
from trading_pipeline.core.models.gates import PromotionRules
from trading_pipeline.core.models.gbm import GbmParams
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.models.walk import walk
from trading_pipeline_tests.core.models import panels

RULES = TrainingRules(
    train_sessions=60,
    valid_sessions=20,
    test_sessions=60,
    folds=1,
    gbm=GbmParams(rounds=5, early_stopping=5, min_data_in_leaf=5),
)
SYMBOLS = [f"S{number}" for number in range(8)]


def random_walks(seed: int, rules: TrainingRules) -> Dataset:
    """Alpha158 and labels of symbols whose every move is drawn anew."""
    rng = np.random.default_rng(seed)
    days = panels.sessions(LOOK_BACK + rules.labeled_sessions + LABEL_HORIZON)
    shape = (len(SYMBOLS), len(days))
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.015, shape), axis=1))
    opening = close * np.exp(rng.normal(0, 0.005, shape))
    bars = pl.DataFrame(
        {
            "symbol": [symbol for symbol in SYMBOLS for _ in days],
            "session": days * len(SYMBOLS),
            "open": opening.ravel(),
            "high": (np.maximum(opening, close) * 1.004).ravel(),
            "low": (np.minimum(opening, close) * 0.996).ravel(),
            "close": close.ravel(),
            "volume": rng.lognormal(12, 0.4, shape).ravel(),
            "vwap": ((opening + close) / 2).ravel(),
        }
    )
    features = alpha158(bars).filter(pl.col("session").is_in(days[LOOK_BACK:]))
    return build(features, label(bars))


def found(count: int, rules: TrainingRules) -> tuple[int, int]:
    """How many of so many models pass the gate, and how many intervals of the IC hold 0."""
    passed = covering = 0
    for seed in range(count):
        judged = walk(random_walks(seed, rules), rules, lambda what, share: None)
        passed += gates.evidence(judged.test.metrics(), PromotionRules()).passed
        mean = judged.test.ic
        covering += isnan(mean.low) or mean.low <= 0 <= mean.high
    return passed, covering


def test_of_models_of_random_walks_at_most_one_in_twenty_passes_and_intervals_hold_zero() -> None:
    passed, covering = found(20, RULES)

    assert passed <= 1
    assert covering >= 17


@pytest.mark.soak
def test_of_100_models_of_random_walks_grown_as_by_default_at_most_5_pass() -> None:
    rules = RULES.model_copy(
        update={"gbm": GbmParams(), "train_sessions": 250, "valid_sessions": 60, "folds": 2}
    )

    passed, covering = found(100, rules)

    assert passed <= 5
    assert covering >= 85
