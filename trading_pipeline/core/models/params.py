"""How the trees are grown: the settings of group `training.gbm`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

METRIC = "l1"
"""What early stopping watches on the validation window: the mean absolute error of the target."""

SEVERAL_THREADS_FROM = 50_000
"""Rows from which several threads are worth it. With fewer they wait for each other after every
node of a tree: on a busy machine twenty times as long as one thread takes for all of it."""


class GbmParams(BaseModel):
    """How the trees are grown; `native()` is the same in LightGBM's words."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rounds: int = Field(default=100, ge=1, le=10_000)
    """Boosting rounds at most."""
    early_stopping: int = Field(default=20, ge=1)
    """Rounds without a better validation error after which training stops."""
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    """Shrinkage of every tree."""
    max_depth: int = Field(default=6, ge=1, le=64)
    """Depth of a tree at most."""
    num_leaves: int = Field(default=31, ge=2, le=131_072)
    """Leaves of a tree at most."""
    feature_fraction: float = Field(default=0.8, gt=0, le=1)
    """Share of the features each tree may use."""
    bagging_fraction: float = Field(default=0.8, gt=0, le=1)
    """Share of the rows a bag holds."""
    bagging_freq: int = Field(default=5, ge=0)
    """Rounds after which a new bag is drawn; 0: no bagging."""
    min_data_in_leaf: int = Field(default=20, ge=1)
    """Rows a leaf must hold."""
    lambda_l1: float = Field(default=0.1, ge=0)
    """L1 penalty of leaf values."""
    lambda_l2: float = Field(default=0.1, ge=0)
    """L2 penalty of leaf values."""
    seed: int = Field(default=42, ge=0)
    """All randomness comes from it."""
    threads: int = Field(default=0, ge=0, le=256)
    """Threads of training; 0: as many as there are cores, one for few rows. No figure of the
    model depends on it."""

    def native(self, rows: int) -> dict[str, Any]:
        """Return LightGBM's parameters for so many rows; two trainings with them are equal."""
        return self.model_dump(exclude={"rounds", "early_stopping", "threads"}) | {
            "objective": "regression",
            "metric": METRIC,
            "boosting": "gbdt",
            "num_threads": self.threads or (1 if rows < SEVERAL_THREADS_FROM else 0),
            "deterministic": True,
            "force_row_wise": True,
            "bin_construct_sample_cnt": 100_000,  # twice as many take 0.2 GiB more
            "verbosity": -1,
        }
