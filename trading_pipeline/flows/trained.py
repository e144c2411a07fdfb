"""What a training is asked for, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from trading_pipeline.adapters.model_store import ModelVersion
from trading_pipeline.core.backtest.ranking import Ranking
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.core.models.binning import Binning, bin_rows
from trading_pipeline.core.models.dataset import Dataset, Split
from trading_pipeline.core.models.release import ModelCard
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.models.search import Trial
from trading_pipeline.core.models.walk import Final, Fold, Walk
from trading_pipeline.flows.know import OwnFeatures


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What to train, on which symbols, and as of which session: nothing later is read.

    The features are the lake's, or `own`. `revision` names the code that trains, for the record;
    `binning` may keep what it makes of the rows.
    """

    strategy: str
    symbols: tuple[str, ...]
    as_of: date
    rules: TrainingRules
    convention: Convention
    revision: str | None = None
    own: OwnFeatures | None = None
    binning: Binning = bin_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A model that was fitted, and all that was found about it; `rules` are those it was made by.

    `trials` are the parameters that were tried before, the best first; none without a search.
    """

    training: Training
    rules: TrainingRules
    dataset: Dataset
    walk: Walk
    final: Final
    ranking: Ranking
    trials: Sequence[Trial]

    @property
    def metrics(self) -> dict[str, float]:
        """Out-of-sample figures by name; those of the final model begin with train_ and valid_."""
        inside = self.final.train.metrics("train_") | self.final.valid.metrics("valid_")
        rounds = {"best_iteration": float(self.final.model.best_iteration)}
        return self.evidence | inside | rounds

    @property
    def evidence(self) -> dict[str, float]:
        """What was found out of sample only."""
        return self.walk.test.metrics() | self.ranking.metrics()

    @property
    def splits(self) -> dict[str, Split]:
        """The windows of every fold, oldest first, then those of the final model."""
        folds = {f"fold_{n}": fold.split for n, fold in enumerate(self.walk.folds, 1)}
        return {**folds, "final": self.final.split}

    def sentence(self) -> str:
        """What was found out of sample, with window, universe and intervals, in words."""
        return f"{self.walk.test.sentence()}; {self.ranking.sentence()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A registered model, what was found about it, and the page that shows it."""

    version: ModelVersion
    card: ModelCard
    judged: Judged
    page: str


def fold_metrics(fold: Fold) -> dict[str, float]:
    """The figures of a fold out of sample; those inside it begin with train_ and valid_."""
    inside = fold.train.metrics("train_") | fold.valid.metrics("valid_")
    return fold.test.metrics() | inside | {"best_iteration": float(fold.best_iteration)}
