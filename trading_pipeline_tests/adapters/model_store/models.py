"""Small trained models with their cards, to be recorded and released."""

from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import pytest

from trading_pipeline.adapters.model_store import Cause, RunRecord
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.gbm import GbmParams, Model
from trading_pipeline.core.models.release import Manifest, ModelCard, Release, checksum
from trading_pipeline_tests.core.models import panels

RECORD = RunRecord(
    params={"train_sessions": 60, "label": "open_to_open"},
    metrics={"rank_ic": 0.02, "valid_ic": 0.05},
    folds=[{"rank_ic": 0.01}, {"rank_ic": 0.03}],
    artifacts={"importance.json": "{}", "ic.svg": "<svg/>"},
    tags={"feature_version": "test-1"},
)


CAUSE = Cause(by="test", at=datetime(2013, 3, 2, tzinfo=UTC), reason="a test")


def registry_home(factory: pytest.TempPathFactory) -> Path:
    """One registry for all tests of a process: its tables take more than a second to make."""
    home = factory.getbasetemp() / "registry"
    home.mkdir(exist_ok=True)
    return home


def tracking_uri(home: Path) -> str:
    return f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"


@cache
def model(seed: int = 1) -> Model:
    """A model of 60 sessions; another seed, another model."""
    whole = panels.dataset(84, seed=seed)
    days = whole.sessions()
    params = GbmParams(rounds=5, min_data_in_leaf=5)
    return gbm.fit(whole.within(days[:60]), whole.within(days[62:]), params)


def card(made: Model, *, strategy: str, through: date = date(2012, 12, 31)) -> ModelCard:
    return ModelCard(
        strategy=strategy,
        sha256=checksum(made.text),
        features=made.features,
        feature_version=made.feature_version,
        label="open_to_open",
        symbols=panels.SYMBOLS,
        trained_from=date(2012, 1, 3),
        last_label=date(2012, 12, 27),
        trained_through=through,
        best_iteration=made.best_iteration,
        metrics={"rank_ic": 0.02},
    )


def release(
    seed: int = 1,
    *,
    strategy: str = "baseline",
    version: str = "1",
    through: date = date(2012, 12, 31),
) -> Release:
    made = model(seed)
    known = card(made, strategy=strategy, through=through)
    manifest = Manifest(**known.model_dump(), version=version, run_id=f"run{version}")
    return Release(manifest=manifest, text=made.text)
