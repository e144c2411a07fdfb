"""A lake with the newest 600 sessions of the built-in sample, made once and copied."""

import shutil
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.core.features.alpha158 import LOOK_BACK
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.core.models.gbm import GbmParams
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.featurize import featurize
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.trained import Training

LAST = date(2013, 2, 28)
SESSIONS = session_window(LAST, 600)
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
KNOWN_AT = datetime(2013, 3, 2, tzinfo=UTC)
RULES = TrainingRules(
    train_sessions=300,
    valid_sessions=60,
    test_sessions=30,
    folds=2,
    gbm=GbmParams(rounds=30, early_stopping=10),
)


def training(as_of: date = LAST) -> Training:
    return Training(
        strategy="alpha_baseline",
        symbols=SYMBOLS,
        as_of=as_of,
        rules=RULES,
        convention="crsp",
        revision="0123abc",
    )


def shared(factory: pytest.TempPathFactory) -> Lake:
    """The one lake of all tests of a process: to be read only; whoever writes takes a copy."""
    return _made(factory.getbasetemp() / "sample_lake")


@cache
def _made(root: Path) -> Lake:
    return fill(root)


def fill(root: Path) -> Lake:
    """Ingest, clean and featurize the sample."""
    lake, vendor = Lake(root), SampleData()
    for ingest in (ingest_bars, ingest_actions):
        ingest(lake, vendor, symbols=SYMBOLS, sessions=SESSIONS, now=KNOWN_AT)
    clean(
        lake,
        symbols=SYMBOLS,
        sessions=SESSIONS,
        rules=GateRules(quality=QualityRules(), freshness=FreshnessRules(), convention="crsp"),
    )
    featured = SESSIONS[LOOK_BACK:]
    featurize(lake, sessions=featured, symbols=SYMBOLS, convention="crsp")
    return lake


def copy(filled: Lake, root: Path) -> Lake:
    """A lake of a test's own."""
    shutil.copytree(filled.root, root)
    return Lake(root)
