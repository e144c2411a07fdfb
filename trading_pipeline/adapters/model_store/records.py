"""What goes into the registry and what comes back from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a training run leaves in MLflow beside the model and its card.

    `folds` holds the metrics of each fold of the walk-forward evaluation, oldest first: the steps
    of the metrics `fold_<name>`. `curves` are series of the last fit, a step a round: the metrics
    `curve_<name>`. `artifacts` are texts by file name.
    """

    params: Mapping[str, object]
    metrics: Mapping[str, float]
    folds: Sequence[Mapping[str, float]]
    artifacts: Mapping[str, str]
    tags: Mapping[str, str]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model: its strategy, its number, and the run it came from."""

    strategy: str
    version: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """A recorded run as MLflow has it; `version` is None when no model came of it."""

    run_id: str
    status: str
    version: str | None
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Named:
    """The version an alias names, and the SHA-256 of the bytes that lie there now."""

    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A registered version as MLflow lists it; `trained_through` is an ISO date."""

    version: str
    run_id: str
    sha256: str
    trained_through: str
    aliases: tuple[str, ...]


Action = Literal["activate", "deactivate", "rollback", "reload"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Who changes the champion, when, and why."""

    by: str
    at: datetime
    reason: str = ""


class Activation(BaseModel):
    """One change of the champion; `bundle` is the one that trades from then on, None for none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    action: Action
    bundle: str | None
    by: str
    reason: str = ""
