"""Training runs and registered model versions in MLflow, by its lean path.

Runs, texts and versions are written through the client; no model flavor, no pickle, no autologging.
Whatever MLflow raises becomes an AdapterError: a training that is not on record did not happen.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from trading_pipeline.adapters.model_store.connection import Connection, asking
from trading_pipeline.adapters.model_store.records import (
    ModelVersion,
    Named,
    Registered,
    RunRecord,
    TrainingRun,
)
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.release import Manifest, ModelCard, Release, verify
from trading_pipeline.errors import (
    FeatureMismatchError,
    ModelCorruptError,
    ModelNotFoundError,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

CHAMPION, CHALLENGER = "champion", "challenger"
MODEL_FILE, CARD_FILE = "model.txt", "card.json"


class Registry:
    """One experiment and one registered model a strategy, both under the strategy's name."""

    def __init__(self, connection: Connection) -> None:
        """Take the way to MLflow; nothing is opened before it is needed."""
        self._mlflow = connection

    def log_and_register(
        self, text: str, card: ModelCard, record: RunRecord, *, challenges: bool
    ) -> ModelVersion:
        """Record a run with its texts and register the model, as challenger if it `challenges`."""
        strategy = card.strategy
        texts = {MODEL_FILE: text, CARD_FILE: card.model_dump_json(indent=2)}
        with asking(f"record the training of {strategy}"):
            client = self._mlflow.client()
            run = client.create_run(
                self._mlflow.experiment(strategy),
                run_name=f"{strategy} {card.trained_through}",
                tags=dict(record.tags),
            )
            with _failing(client, run.info.run_id):
                _log(client, run, record)
                for file, content in (dict(record.artifacts) | texts).items():
                    client.log_text(run.info.run_id, content, file)
                version = _register(client, run, card)
                if challenges:
                    client.set_registered_model_alias(strategy, CHALLENGER, version)
            client.set_terminated(run.info.run_id)
        return ModelVersion(strategy, version, run.info.run_id)

    def fetch(self, strategy: str, version: str) -> Release:
        """Return a registered version, verified against the checksum it was registered with."""
        with tempfile.TemporaryDirectory() as place:
            with asking(f"read version {version} of {strategy}"):
                client = self._mlflow.client()
                found = client.get_model_version(strategy, version)
                for file in (MODEL_FILE, CARD_FILE):
                    client.download_artifacts(str(found.run_id), file, place)
            card = (Path(place) / CARD_FILE).read_bytes()
            text = (Path(place) / MODEL_FILE).read_bytes()
        where = f"version {version} of {strategy}"
        release = _released(card, text, version=version, run_id=str(found.run_id), where=where)
        if found.tags.get("sha256") != release.manifest.sha256:
            raise ModelCorruptError(f"The model of {where} is not the one that was registered.")
        _require_own_features(release, where)
        return release

    def set_champion(self, strategy: str, version: str) -> None:
        """Move the alias `champion`."""
        with asking(f"make version {version} of {strategy} the champion"):
            self._mlflow.client().set_registered_model_alias(strategy, CHAMPION, version)

    def remove_champion(self, strategy: str) -> None:
        """Take the alias `champion` away, if there is one."""
        with asking(f"take the champion of {strategy} away"):
            self._mlflow.client().delete_registered_model_alias(strategy, CHAMPION)

    def champion(self, strategy: str) -> Named | None:
        """What the alias `champion` names now, by the bytes that lie there; None without one."""
        with asking(f"look for the champion of {strategy}"):
            client = self._mlflow.client()
            models = client.search_registered_models(f"name = '{strategy}'")
            version = models[0].aliases.get(CHAMPION) if models else None
            if version is None:
                return None
            found = client.get_model_version(strategy, str(version))
            with tempfile.TemporaryDirectory() as place:
                path = client.download_artifacts(str(found.run_id), MODEL_FILE, place)
                text = Path(path).read_bytes()
        return Named(str(version), hashlib.sha256(text).hexdigest())

    def versions(self, strategy: str) -> list[Registered]:
        """Every registered version of a strategy, newest first."""
        with asking(f"list the versions of {strategy}"):
            client = self._mlflow.client()
            models = client.search_registered_models(f"name = '{strategy}'")
            found = client.search_model_versions(f"name = '{strategy}'")
        aliases = models[0].aliases if models else {}
        listed = [_registered(one, aliases) for one in found]
        return sorted(listed, key=lambda one: -int(one.version))

    def runs(self, strategy: str) -> list[TrainingRun]:
        """Every recorded training of a strategy, newest first."""
        with asking(f"list the trainings of {strategy}"):
            client = self._mlflow.client()
            found = client.search_runs([self._mlflow.experiment(strategy)])
            models = client.search_model_versions(f"name = '{strategy}'")
        versions = {str(model.run_id): str(model.version) for model in models}
        return [_training_run(run, versions.get(run.info.run_id)) for run in found]

    def best(self, strategy: str, metric: str) -> TrainingRun:
        """The registered training with the highest `metric`."""
        runs = [run for run in self.runs(strategy) if run.version and metric in run.metrics]
        if not runs:
            raise ModelNotFoundError(f"No registered model of {strategy} has a metric {metric}.")
        return max(runs, key=lambda run: run.metrics[metric])


@contextmanager
def _failing(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """Mark the run as failed when what is inside fails."""
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            client.set_terminated(run_id, status="FAILED")


def _log(client: "MlflowClient", run: "Run", record: RunRecord) -> None:
    from mlflow.entities import Metric, Param  # heavy: on first use

    at: Any = run.info.start_time
    metrics = [Metric(name, value, at, 0) for name, value in record.metrics.items()]
    metrics += [
        Metric(f"fold_{name}", value, at, step)
        for step, fold in enumerate(record.folds)
        for name, value in fold.items()
    ]
    metrics += [
        Metric(f"curve_{name}", value, at, step)
        for name, curve in record.curves.items()
        for step, value in enumerate(curve, 1)
    ]
    params = [Param(name, str(value)) for name, value in record.params.items()]
    client.log_batch(run.info.run_id, params=params)
    for start in range(0, len(metrics), _METRICS_A_BATCH):
        batch = metrics[start : start + _METRICS_A_BATCH]
        client.log_batch(run.info.run_id, metrics=batch)


def _register(client: "MlflowClient", run: "Run", card: ModelCard) -> str:
    from mlflow.exceptions import MlflowException  # heavy: on first use

    try:
        client.create_registered_model(card.strategy)
    except MlflowException as error:
        if error.error_code != _EXISTS:
            raise
    found = client.create_model_version(
        card.strategy,
        source=f"{run.info.artifact_uri}/{MODEL_FILE}",
        run_id=run.info.run_id,
        tags={
            "sha256": card.sha256,
            "feature_version": card.feature_version,
            "trained_through": str(card.trained_through),
        },
        await_creation_for=0,
    )
    return str(found.version)


def _released(card: bytes, text: bytes, *, version: str, run_id: str, where: str) -> Release:
    try:
        known = ModelCard.model_validate_json(card)
    except ValidationError as error:
        raise ModelCorruptError(f"The card of {where} cannot be read.") from error
    manifest = Manifest(**known.model_dump(), version=version, run_id=run_id)
    return verify(manifest.model_dump_json().encode(), text, where=where)


def _require_own_features(release: Release, where: str) -> None:
    """The text, read only now that it is verified, takes the features its card names."""
    card = release.manifest
    loaded = gbm.load(release.text, feature_version=card.feature_version)
    if (loaded.scaling is None) != (card.normalization == "none"):
        raise ModelCorruptError(
            f"The card of {where} says that features are scaled by {card.normalization}, its text "
            "says otherwise."
        )
    found = loaded.features
    if found != card.features:
        raise FeatureMismatchError(
            f"The model of {where} takes {len(found)} features beginning with {found[0]}, its card "
            f"names {len(card.features)} beginning with {next(iter(card.features), 'none')}."
        )


def _registered(found: "MlflowVersion", aliases: Mapping[str, str]) -> Registered:
    version = str(found.version)
    return Registered(
        version=version,
        run_id=str(found.run_id),
        sha256=found.tags.get("sha256", ""),
        trained_through=found.tags.get("trained_through", ""),
        aliases=tuple(sorted(name for name, named in aliases.items() if str(named) == version)),
    )


def _training_run(run: "Run", version: str | None) -> TrainingRun:
    return TrainingRun(
        run_id=run.info.run_id,
        status=str(run.info.status),
        version=version,
        metrics=run.data.metrics,
        params=run.data.params,
        tags=run.data.tags,
    )


_EXISTS = "RESOURCE_ALREADY_EXISTS"
_METRICS_A_BATCH = 1_000
