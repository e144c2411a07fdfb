"""The life of a model: activated when it passes every gate, reloaded, rolled back, deactivated."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from trading_pipeline.adapters.model_store import Cause, ModelStore, Named
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.models.release import Release
from trading_pipeline.errors import (
    AdapterError,
    ModelCorruptError,
    ModelNotFoundError,
    TradingPipelineError,
)
from trading_pipeline.flows.judge import Bench, promotion_gates, reload_gates, require_passed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """The model that trades now, the one before it, and what the gates found."""

    release: Release
    previous: str | None
    outcomes: Sequence[CheckOutcome]

    @property
    def changed(self) -> bool:
        """Whether another model trades than before."""
        return self.previous != self.release.model_version


def activate(
    bench: Bench, store: ModelStore, *, strategy: str, version: str, cause: Cause
) -> Activated:
    """Make a registered version the champion when it passes every gate.

    Raises ModelError that names each gate which was not passed and what it found; errors of
    `ModelStore.fetch` as they are. The champion then stays.
    """
    model, running = store.fetch(strategy, version), running_model(store, strategy)
    outcomes = promotion_gates(bench, model, running)
    require_passed(outcomes, f"Version {version} of {strategy}")
    store.install(model, cause)
    return _told("model activated", model, running, outcomes)


def reload(bench: Bench, store: ModelStore, *, strategy: str, cause: Cause) -> Activated:
    """Make the version that the registry's alias `champion` names the one that trades.

    Its bytes are verified before they are parsed; then its features, a dry prediction on recent
    sessions and a comparison with the running model decide. Whatever fails is logged as an error
    and raised, and the running model stays. Nothing changes when it is the running one already.
    """
    try:
        return _reload(bench, store, strategy, cause)
    except TradingPipelineError as error:
        _log.error(
            "model reload failed: the old model stays",
            extra={"strategy": strategy, "error": str(error)},
        )
        raise


def rollback(store: ModelStore, *, strategy: str, cause: Cause) -> Activated:
    """Make the model that traded before the champion again: no gate, no registry, one step.

    Raises ModelNotFoundError when none was active before.
    """
    running = running_model(store, strategy)
    release = store.rollback(strategy, cause)
    _tell_registry(store, strategy)
    return _told("model rolled back", release, running, ())


def deactivate(store: ModelStore, *, strategy: str, cause: Cause) -> None:
    """Let no model of the strategy trade until one is activated: its runs end with an error."""
    store.deactivate(strategy, cause)
    _tell_registry(store, strategy)
    _log.warning("model deactivated", extra={"strategy": strategy, "reason": cause.reason})


def running_model(store: ModelStore, strategy: str) -> Release | None:
    """The champion, None when there is none that could be read."""
    try:
        return store.release(strategy)
    except (ModelNotFoundError, ModelCorruptError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a look at the registry found: where it stands now, and whether to reload, and why."""

    cursor: str | None
    reload: bool
    sentence: str


def look(store: ModelStore, strategy: str, seen: str | None) -> Notice:
    """Say whether the registry names another champion than the one that trades.

    The cursor is its version and the SHA-256 of its bytes, so that a version overwritten under its
    number is noticed. A cursor `seen` before asks for nothing again: a model that could not be
    loaded then is not tried for ever.
    """
    named = store.named_champion(strategy)
    if named is None or store.is_deactivated(strategy):
        return Notice(cursor=seen, reload=False, sentence=f"No champion of {strategy} is named.")
    cursor = f"{named.version}:{named.sha256}"
    if cursor == seen:
        return Notice(cursor=cursor, reload=False, sentence=f"Version {cursor} was seen before.")
    running = running_model(store, strategy)
    if running and _is(running, named):
        return Notice(cursor=cursor, reload=False, sentence=f"Version {named.version} runs.")
    return Notice(cursor=cursor, reload=True, sentence=f"Version {named.version} is to be loaded.")


def _is(release: Release, named: Named) -> bool:
    card = release.manifest
    return (card.version, card.sha256) == (named.version, named.sha256)


def _reload(bench: Bench, store: ModelStore, strategy: str, cause: Cause) -> Activated:
    named = store.named_champion(strategy)
    if named is None or store.is_deactivated(strategy):
        raise ModelNotFoundError(
            f"No champion of {strategy} is named, or it was deactivated: activate a version."
        )
    running = running_model(store, strategy)
    if running and _is(running, named):
        return Activated(release=running, previous=running.model_version, outcomes=())
    model = store.fetch(strategy, named.version)
    outcomes = reload_gates(bench, model, running)
    require_passed(outcomes, f"Version {named.version} of {strategy}")
    store.install(model, cause, action="reload")
    return _told("model reloaded", model, running, outcomes)


def _told(
    what: str, release: Release, running: Release | None, outcomes: Sequence[CheckOutcome]
) -> Activated:
    previous = running.model_version if running else None
    _log.info(
        what,
        extra={
            "strategy": release.manifest.strategy,
            "model_version": release.model_version,
            "previous": previous,
        },
    )
    return Activated(release=release, previous=previous, outcomes=outcomes)


def _tell_registry(store: ModelStore, strategy: str) -> None:
    """Move MLflow's alias; what trades has changed already and does not wait for it."""
    try:
        store.name_champion(strategy)
    except (AdapterError, ModelNotFoundError) as error:
        _log.warning(
            "the alias champion was not moved", extra={"strategy": strategy, "error": str(error)}
        )
