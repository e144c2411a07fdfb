"""Models: recorded and registered in MLflow, released as a bundle that trading reads.

Importing this package imports neither mlflow nor lightgbm, and reading a release never does.
"""

from datetime import date
from pathlib import Path

from trading_pipeline.adapters.model_store.bundles import Bundles
from trading_pipeline.adapters.model_store.connection import Connection
from trading_pipeline.adapters.model_store.records import (
    Action,
    Activation,
    Cause,
    ModelVersion,
    Named,
    Registered,
    RunRecord,
    TrainingRun,
)
from trading_pipeline.adapters.model_store.registry import Registry
from trading_pipeline.core.models.release import Manifest, ModelCard, Release

__all__ = [
    "Activation",
    "Cause",
    "ModelStore",
    "ModelVersion",
    "Named",
    "Registered",
    "RunRecord",
    "TrainingRun",
]


class ModelStore:
    """The registry behind `tracking_uri`, and the bundles in `models_dir`.

    MLflow says what there is and what was measured; the bundle says what trades.
    """

    def __init__(self, models_dir: Path, tracking_uri: str) -> None:
        """Name both places; nothing is made or opened before it is needed."""
        self._bundles = Bundles(models_dir)
        self._registry = Registry(Connection(tracking_uri, models_dir))

    def log_and_register(self, text: str, card: ModelCard, record: RunRecord) -> ModelVersion:
        """Record a training run and register its model.

        It becomes the strategy's challenger, unless the champion or the challenger has seen later
        prices: then it was trained for a replay or a study. Raises AdapterError when MLflow fails;
        the run is then marked as failed and no version comes of it.
        """
        challenges = card.trained_through >= self._bundles.newest_seen(card.strategy)
        version = self._registry.log_and_register(text, card, record, challenges=challenges)
        if challenges:
            number, run_id = version.version, version.run_id
            manifest = Manifest(**card.model_dump(), version=number, run_id=run_id)
            with self._bundles.writing(card.strategy):
                self._bundles.challenge(Release(manifest=manifest, text=text))
        return version

    def fetch(self, strategy: str, version: str) -> Release:
        """Return a registered version, verified before it is parsed; nothing is written.

        Raises ModelNotFoundError for an unknown version, ModelCorruptError and FeatureMismatchError
        when the registry's bytes are not those that were registered.
        """
        return self._registry.fetch(strategy, version)

    def promote(self, strategy: str, version: str, cause: Cause) -> Release:
        """Make a registered version the champion; raises as `fetch`, the champion then stays."""
        release = self.fetch(strategy, version)
        self.install(release, cause)
        return release

    def install(self, release: Release, cause: Cause, *, action: Action = "activate") -> None:
        """Make a fetched version the champion: bundle, then `current`, then MLflow's alias.

        What trades changes in the one step of `current`; AdapterError when only the alias failed.
        """
        strategy = release.manifest.strategy
        with self._bundles.writing(strategy):
            self._bundles.activate(release, cause, action)
            self._registry.set_champion(strategy, release.manifest.version)

    def rollback(self, strategy: str, cause: Cause) -> Release:
        """Make the bundle that traded before the champion again; MLflow is not asked.

        Raises ModelNotFoundError when there was none. `name_champion` then moves the alias.
        """
        with self._bundles.writing(strategy):
            release = self._bundles.previous(strategy)
            self._bundles.activate(release, cause, "rollback")
        return release

    def deactivate(self, strategy: str, cause: Cause) -> None:
        """Let no model of the strategy trade, in one step; MLflow is not asked."""
        with self._bundles.writing(strategy):
            self._bundles.deactivate(strategy, cause)

    def name_champion(self, strategy: str) -> None:
        """Make MLflow's alias say what the bundles say; AdapterError when MLflow fails."""
        name = self._bundles.champion_name(strategy)
        if name is None:
            self._registry.remove_champion(strategy)
        else:
            self._registry.set_champion(strategy, name.partition("-")[0])

    def keep(self, strategy: str, version: str) -> Release:
        """Bundle a registered version for sessions older than the champion, which stays."""
        with self._bundles.writing(strategy):
            release = self._registry.fetch(strategy, version)
            self._bundles.write(release)
        return release

    def has_champion(self, strategy: str) -> bool:
        """Whether a version of the strategy is promoted."""
        return self._bundles.champion_name(strategy) is not None

    def is_deactivated(self, strategy: str) -> bool:
        """Whether somebody said that no model of the strategy may trade."""
        return self._bundles.is_deactivated(strategy)

    def challenger(self, strategy: str) -> Release | None:
        """The verified challenger, None when there is none or when it is the champion."""
        return self._bundles.challenger(strategy)

    def activations(self, strategy: str) -> list[Activation]:
        """Every change of the champion, oldest first."""
        return self._bundles.activations(strategy)

    def release(self, strategy: str, *, session: date | None = None) -> Release:
        """Return the verified release that may decide on `session`; the champion without one.

        That is the champion, or where its training has seen prices later than `session`, the
        newest bundle whose training has not: a replay never uses what was not yet known. Raises
        ModelNotFoundError when there is none, ModelCorruptError when the bytes are not those that
        were promoted.
        """
        return self._bundles.release(strategy, session=session)

    def newest(self, strategy: str, *, since: date, session: date) -> Release:
        """Return the newest verified release, champion or not, that may decide on `session`.

        Raises ModelNotFoundError when the training of none has seen `since`.
        """
        return self._bundles.newest(strategy, since=since, session=session)

    def releases(self, strategy: str) -> list[Manifest]:
        """The manifests of all bundles of a strategy, those that cannot be read left out."""
        return self._bundles.manifests(strategy)

    def named_champion(self, strategy: str) -> Named | None:
        """What MLflow's alias `champion` names now, by the bytes that lie there."""
        return self._registry.champion(strategy)

    def versions(self, strategy: str) -> list[Registered]:
        """Every registered version of a strategy, newest first."""
        return self._registry.versions(strategy)

    def runs(self, strategy: str) -> list[TrainingRun]:
        """Every recorded training of a strategy, newest first."""
        return self._registry.runs(strategy)

    def best(self, strategy: str, metric: str = "valid_ic") -> TrainingRun:
        """The registered training with the highest `metric`; ModelNotFoundError without any."""
        return self._registry.best(strategy, metric)
