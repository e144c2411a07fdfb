"""Trials of strategies in MLflow: every backtest that was ever made, so that luck can be told."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.model_store.connection import Connection, asking

SHARPE = "sharpe"
_PAGE = 1_000
_BATCH = 100
"""MLflow takes no more parameters at once."""
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A backtest as it is put on record: what was tried, and what it came to.

    `params` tell one trial from another: the same ones tried again are one trial. `artifacts` are
    texts by file name.
    """

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    artifacts: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> str:
        """What is the same for the same trial made again."""
        said = json.dumps(dict(sorted(self.params.items())))
        return hashlib.sha256(said.encode()).hexdigest()[:16]


class TrialStore:
    """The experiment `<strategy>-backtests` of each strategy behind `tracking_uri`."""

    def __init__(self, models_dir: Path, tracking_uri: str) -> None:
        """Name the place; nothing is made or opened before it is needed."""
        self._mlflow = Connection(tracking_uri, models_dir)

    def record(self, strategy: str, trials: Sequence[Trial]) -> list[str]:
        """Put trials on record and return their run ids; AdapterError when MLflow fails."""
        with asking(f"record {len(trials)} backtests of {strategy}"):
            experiment = self._mlflow.experiment(_experiment(strategy))
            return [self._record(experiment, strategy, trial) for trial in trials]

    def sharpes(self, strategy: str) -> dict[str, float]:
        """Return the annualized Sharpe ratio of every trial on record, by key, the last one."""
        found: dict[str, float] = {}
        with asking(f"read the backtests of {strategy}"):
            client, token = self._mlflow.client(), None
            experiment = self._mlflow.experiment(_experiment(strategy))
            while True:
                page = client.search_runs([experiment], max_results=_PAGE, page_token=token)
                for run in page:  # newest first
                    key, ratio = run.data.tags.get("trial"), run.data.metrics.get(SHARPE)
                    if key is not None and ratio is not None:
                        found.setdefault(key, ratio)
                token = page.token
                if not token:
                    return found

    def _record(self, experiment: str, strategy: str, trial: Trial) -> str:
        from mlflow.entities import Metric, Param  # heavy: on first use

        client = self._mlflow.client()
        tags = {"strategy": strategy, "trial": trial.key, "mlflow.source.name": "trading_pipeline"}
        run = client.create_run(experiment, run_name=trial.name, tags=tags)
        at: Any = run.info.start_time
        metrics = [Metric(name, value, at, 0) for name, value in trial.metrics.items()]
        params = [Param(name, value[:_LONGEST]) for name, value in trial.params.items()]
        for start in range(0, max(len(params), 1), _BATCH):
            batch = params[start : start + _BATCH]
            client.log_batch(run.info.run_id, metrics=metrics if not start else (), params=batch)
        for file, text in trial.artifacts.items():
            client.log_text(run.info.run_id, text, file)
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)


def _experiment(strategy: str) -> str:
    return f"{strategy}-backtests"
