"""How a model is trained and judged: the settings of group `training`."""

from math import ceil
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.features.labels import LABEL_HORIZON, Timing
from trading_pipeline.core.models.gates import PromotionRules
from trading_pipeline.core.models.params import GbmParams
from trading_pipeline.core.models.scaling import NormalizationRules


class TrainingRules(BaseModel):
    """Window lengths are in sessions; the newest end at the last session whose label is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    train_sessions: int = Field(default=756, ge=60, le=10_000)
    """Sessions a model learns from (three years)."""
    valid_sessions: int = Field(default=126, ge=20, le=2_520)
    """Sessions after them on which training stops early."""
    test_sessions: int = Field(default=63, ge=5, le=2_520)
    """Sessions after those on which a fold is judged; the next fold starts as much later."""
    folds: int = Field(default=3, ge=1, le=100)
    """Folds of the walk-forward evaluation."""
    embargo_sessions: int = Field(default=LABEL_HORIZON, ge=LABEL_HORIZON, le=252)
    """Sessions left out between windows: at least what a label reaches into the future."""
    trials: int = Field(default=0, ge=0, le=1_000)
    """Sets of parameters to try before training, by Optuna; 0: those given here are taken."""
    cost_bps: float = Field(default=5.0, ge=0, le=1_000)
    """Basis points that trading a dollar costs, in the Sharpe ratio of an evaluation."""
    label: Timing = "open_to_open"
    """What is predicted: the return between the next two opens, or the next two closes."""
    normalization: NormalizationRules = NormalizationRules()
    cache_mib: int = Field(default=4_096, ge=0, le=10_000_000)
    """Mebibytes on disk for rows in bins, for the next training of the same ones; 0: none kept."""
    gbm: GbmParams = GbmParams()
    promotion: PromotionRules = PromotionRules()

    def covering(self, sessions: int) -> Self:
        """The same rules with as many folds as judge so many sessions before the newest label."""
        folds = max(1, ceil((sessions - LABEL_HORIZON) / self.test_sessions))
        return self.model_copy(update={"folds": folds})

    def parameters(self) -> dict[str, Any]:
        """Everything a model depends on, by one name each, for records and reports."""
        nested = {"gbm", "promotion", "normalization", "cache_mib"}
        scaling = self.normalization.model_dump()
        named = {f"normalization_{name}": value for name, value in scaling.items()}
        return self.model_dump(exclude=nested) | self.gbm.model_dump() | named

    @property
    def labeled_sessions(self) -> int:
        """Sessions with a label that a training needs."""
        windows = self.train_sessions + self.valid_sessions + self.folds * self.test_sessions
        return windows + 2 * self.embargo_sessions

    @property
    def sessions(self) -> int:
        """Sessions up to the present that a training needs: the newest have no label yet."""
        return self.labeled_sessions + LABEL_HORIZON
