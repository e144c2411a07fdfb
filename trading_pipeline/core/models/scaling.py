"""Features brought to one scale by what the training window says of them.

A robust z-score: the median of the window becomes 0, the median distance from it 0.67, and what
lies further out than `clip` is held there. The numbers are found on the rows a model learns from,
nothing later, and become a part of the model's text. A row then has the same values alone and among
others, which statistics over the symbols of a session could not give.
"""

from collections.abc import Sequence
from typing import Final, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from trading_pipeline.errors import ModelCorruptError

FeatureScale = Literal["none", "robust_zscore"]
TargetScale = Literal["zscore", "rank"]

MAD_TO_STD: Final = 1.4826
"""What makes the median absolute deviation of a normal variable its standard deviation."""


class NormalizationRules(BaseModel):
    """What features and labels are made comparable by, before the trees see them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    features: FeatureScale = "none"
    """How features are scaled; `robust_zscore`: by median and deviation of the training window."""
    clip: float = Field(default=3.0, gt=0, le=100)
    """Standard deviations from the median at which a scaled feature is held."""
    target: TargetScale = "zscore"
    """What a label becomes among those of its session: a z-score, or its rank in units of one."""


AS_THEY_ARE: Final = NormalizationRules()
"""Features are left alone."""


class Scaling(BaseModel):
    """What is subtracted from each feature, and what divides the rest; in the model's order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    center: tuple[FiniteFloat, ...]
    scale: tuple[FiniteFloat, ...]
    clip: float = Field(gt=0)

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        if len(self.center) != len(self.scale) or min(self.scale, default=1.0) <= 0:
            raise ValueError("as many scales above 0 as centers are expected")
        return self


def fit_scaling(
    rows: pl.DataFrame, features: Sequence[str], rules: NormalizationRules
) -> Scaling | None:
    """Return what the rows of a training window say, None where features stay as they are.

    Only finite values count. A feature whose median deviation is 0 is divided by its standard
    deviation, one that never changes by 1.
    """
    if rules.features == "none":
        return None
    found = [_location(rows[name]) for name in features]
    return Scaling(
        center=tuple(center for center, _ in found),
        scale=tuple(scale for _, scale in found),
        clip=rules.clip,
    )


def scaled(rows: pl.DataFrame, features: Sequence[str], scaling: Scaling | None) -> pl.DataFrame:
    """Return the features of the rows as Float32, scaled if so asked; nulls and NaN stay.

    The one function that training and every prediction call: equal rows give equal bits.
    """
    whole = rows.select(pl.col(*features).cast(pl.Float32))
    if scaling is None:
        return whole
    clip = pl.lit(scaling.clip, pl.Float32)
    parts = zip(features, scaling.center, scaling.scale, strict=True)
    return whole.select(
        ((pl.col(name) - pl.lit(center, pl.Float32)) / pl.lit(scale, pl.Float32)).clip(-clip, clip)
        for name, center, scale in parts
    )


def write_into(text: str, scaling: Scaling | None) -> str:
    """Return LightGBM's text with the scaling as a line of its own, which LightGBM skips."""
    if scaling is None:
        return text
    whole, mark, rest = text.rpartition(_LAST_LINE)
    return f"{whole}{_MARK}{scaling.model_dump_json()}{mark}{rest}"


def read_from(text: str, features: int) -> Scaling | None:
    """Return the scaling that a model's text bears, None without one.

    ModelCorruptError when it cannot be read or is not one of so many features.
    """
    line = text.rpartition(_MARK)[2].partition("\n")[0] if _MARK in text else None
    if line is None:
        return None
    try:
        found = Scaling.model_validate_json(line)
    except ValidationError as error:
        raise ModelCorruptError(
            f"The scaling of the model cannot be read ({error.error_count()} faults)."
        ) from error
    if len(found.center) != features:
        raise ModelCorruptError(
            f"The model scales {len(found.center)} features and takes {features}."
        )
    return found


_MARK: Final = "\nscaling:"
_LAST_LINE: Final = "\npandas_categorical:"


def _location(column: pl.Series) -> tuple[float, float]:
    """Median and scale of the finite values, as Float32 holds them."""
    values = column.cast(pl.Float32)
    known = values.filter(values.is_finite())
    center = _number(known.median())
    rest = known - center
    for spread in (MAD_TO_STD * _number(rest.abs().median()), _number(known.std())):
        if spread > _TINY:
            return center, spread
    return center, 1.0


_TINY: Final = 1e-12


def _number(found: object) -> float:
    return float(found) if isinstance(found, (int, float)) else 0.0
