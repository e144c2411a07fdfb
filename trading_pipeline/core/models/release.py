"""The release bundle: a model's text and the manifest that says what it is and proves it whole.

Trading reads nothing else. The checksum is verified before any parser sees the text.
"""

import hashlib
from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from trading_pipeline.core.features.labels import Timing
from trading_pipeline.core.models.scaling import FeatureScale, TargetScale
from trading_pipeline.errors import ModelCorruptError


class ModelCard(BaseModel):
    """What is known about a model when its training ends."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    strategy: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the model text, UTF-8."""
    features: tuple[str, ...]
    """Names in the order the model takes them."""
    feature_version: str
    label: Timing
    symbols: tuple[str, ...]
    """The universe it was trained on."""
    trained_from: date
    """The first session it learned from."""
    last_label: date
    """The last session whose label it learned from."""
    trained_through: date
    """The last session of which training saw a price: it may decide on this one and later ones."""
    best_iteration: int = Field(ge=1)
    normalization: FeatureScale = "none"
    """How features are brought to one scale; the numbers are a line of the model text."""
    target: TargetScale = "zscore"
    """What a prediction is in units of: the label among those of its session, as either."""
    metrics: dict[str, FiniteFloat] = {}
    """Out of sample, with window and universe size."""


class Manifest(ModelCard):
    """The card of a model that has a place in the registry."""

    version: str = Field(min_length=1)
    """Number of the registered model version."""
    run_id: str
    """The training run in the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A verified bundle, read once: what a run decides with from its start to its end."""

    manifest: Manifest
    text: str

    @property
    def model_version(self) -> str:
        """`3-1a2b3c4d`: the registry's number and the checksum, so no two models share a name."""
        return bundle_name(self.manifest)


def checksum(text: str) -> str:
    """SHA-256 of a model text, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def bundle_name(manifest: Manifest) -> str:
    """The name of the bundle's folder, unique for its content."""
    return f"{manifest.version}-{manifest.sha256[:8]}"


def verify(manifest: bytes, text: bytes, *, where: str) -> Release:
    """Return the release in these bytes; anything that does not fit raises ModelCorruptError."""
    try:
        found = Manifest.model_validate_json(manifest)
    except ValidationError as error:
        raise ModelCorruptError(
            f"The manifest of {where} cannot be read ({error.error_count()} faults): "
            "promote the version again."
        ) from error
    actual = hashlib.sha256(text).hexdigest()
    if actual != found.sha256:
        raise ModelCorruptError(
            f"The model of {where} has sha256 {actual[:12]}…, its manifest says "
            f"{found.sha256[:12]}…: promote the version again."
        )
    return Release(manifest=found, text=text.decode())
