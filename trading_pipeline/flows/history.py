"""Every version of a strategy's model: what it is, since when it trades, or until when it did."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from trading_pipeline.adapters.model_store import Activation, ModelStore, Registered
from trading_pipeline.flows.lifecycle import running_model

Status = Literal["active", "was active", "challenger", "registered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A registered version; the times are those of its last activation and of what ended it."""

    version: str
    status: Status
    sha256: str
    trained_through: str
    activated_at: datetime | None
    deactivated_at: datetime | None
    by: str
    reason: str


def history(store: ModelStore, strategy: str) -> list[Version]:
    """The active version first, then those that were active, the latest first, then the rest.

    Raises AdapterError when the registry does not answer.
    """
    running = running_model(store, strategy)
    active = running.model_version if running else None
    turns = store.activations(strategy)
    found = [_version(one, turns, active) for one in store.versions(strategy)]
    return sorted(found, key=_rank)


def _version(one: Registered, turns: list[Activation], active: str | None) -> Version:
    bundle = f"{one.version}-{one.sha256[:8]}"
    places = [place for place, turn in enumerate(turns) if turn.bundle == bundle]
    turn = turns[places[-1]] if places else None
    later = [after for after in turns[places[-1] + 1 :] if after.bundle != bundle] if places else []
    status: Status = "challenger" if "challenger" in one.aliases else "registered"
    if bundle == active:
        status = "active"
    elif turn:
        status = "was active"
    return Version(
        version=one.version,
        status=status,
        sha256=one.sha256,
        trained_through=one.trained_through,
        activated_at=turn.at if turn else None,
        deactivated_at=later[0].at if later else None,
        by=turn.by if turn else "",
        reason=turn.reason if turn else "",
    )


def _rank(one: Version) -> tuple[bool, float, int]:
    since = one.activated_at.timestamp() if one.activated_at else 0.0
    return (one.status != "active", -since, -int(one.version))
