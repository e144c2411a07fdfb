"""The search for better parameters of the trees, with every trial on record.

A trial is fitted on the train window of the first fold and judged on its validation window. All
that the walk-forward evaluation is judged on lies later, so no choice is made by what it shows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.binning import Binning, bin_rows
from trading_pipeline.core.models.dataset import Dataset
from trading_pipeline.core.models.evaluation import daily_ic
from trading_pipeline.core.models.params import GbmParams
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.models.walk import Progress, first_split, predicted, recipe_of

if TYPE_CHECKING:
    import optuna

Judge = Callable[[pl.DataFrame], float | None]
"""Takes predictions with labels, and returns the annualized Sharpe ratio of trading on them."""

NO_RANK: Final = -1.0
"""The value of a trial whose predictions rank no session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Parameters that were tried: their mean daily rank IC on the validation window, and Sharpe."""

    params: GbmParams
    rank_ic: float
    sharpe: float | None


def search(
    dataset: Dataset,
    rules: TrainingRules,
    judge: Judge,
    progress: Progress,
    *,
    binning: Binning = bin_rows,
) -> list[Trial]:
    """Try `rules.trials` sets of parameters, the given ones first; the best trial comes first.

    The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011), seeded: equal data,
    rules and seed give equal trials.
    """
    import optuna  # noqa: PLC0415 - heavy: on first use

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    split = first_split(dataset.sessions(), rules)
    train, valid = dataset.within(split.train), dataset.within(split.valid)
    binned = binning(train, valid, recipe_of(rules))
    found: list[Trial] = []

    def objective(trial: "optuna.Trial") -> float:
        progress(f"trial {len(found) + 1} of {rules.trials}", len(found) / rules.trials)
        params = rules.gbm.model_copy(update=_suggested(trial))
        said = predicted(gbm.fit(train, valid, params, binned=binned), valid)
        daily = daily_ic(said)["rank_ic"].drop_nulls().drop_nans().to_numpy()
        value = float(daily.mean()) if len(daily) else NO_RANK
        found.append(Trial(params=params, rank_ic=value, sharpe=judge(said)))
        return value

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=rules.gbm.seed)
    )
    study.enqueue_trial({name: getattr(rules.gbm, name) for name in SPACE})
    study.optimize(objective, n_trials=rules.trials)
    return sorted(found, key=lambda trial: -trial.rank_ic)


SPACE: Final[dict[str, tuple[float, float]]] = {
    "learning_rate": (0.01, 0.3),
    "max_depth": (3, 10),
    "num_leaves": (7, 127),
    "feature_fraction": (0.3, 1.0),
    "bagging_fraction": (0.4, 1.0),
    "min_data_in_leaf": (5, 500),
    "lambda_l1": (1e-3, 500.0),
    "lambda_l2": (1e-3, 1000.0),
}
"""What is searched, and between which bounds; all but the fractions on a logarithmic scale."""


def _suggested(trial: "optuna.Trial") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (low, high) in SPACE.items():
        if isinstance(low, int):
            found[name] = trial.suggest_int(name, low, int(high), log=True)
        else:
            log = not name.endswith("_fraction")
            found[name] = trial.suggest_float(name, low, high, log=log)
    return found
