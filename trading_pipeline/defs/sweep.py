"""The job of a sweep: many trials of a strategy, with progress, each on record in MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Any, Final

import dagster as dg
from pydantic import BaseModel, ValidationError

from trading_pipeline.adapters.model_store.trials import Trial, TrialStore
from trading_pipeline.core.strategies import strategies
from trading_pipeline.core.strategies.base import Strategy
from trading_pipeline.defs import resources
from trading_pipeline.defs.backtest import (
    Asked,
    Tell,
    parameters_of,
    releases,
    study_of,
    supplied,
)
from trading_pipeline.defs.launch_config import LaunchConfig
from trading_pipeline.defs.metadata import table as shown
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.backtest import Study
from trading_pipeline.flows.sweep import Swept, sweep, table
from trading_pipeline.settings import Settings

VARIED: Final = ("strategies", "portfolio", "allocation", "sizing", "costs", "backtest")
"""The groups of settings that a trial may change."""

MOST: Final = 2_000
"""Trials of one sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A sweep, and its trials as rows."""

    asked: Asked
    swept: Swept
    rows: list[dict[str, Any]]

    @property
    def sentence(self) -> str:
        """How many were tried, and what is left of the best one."""
        left = self.swept.deflated_sharpe
        sure = "unknown" if left is None else f"{left:.1%}"
        return (
            f"{len(self.rows)} trials of {self.asked.strategy} from {self.asked.first} to "
            f"{self.asked.last}; after {self.swept.trials} trials on record the best shows skill "
            f"with probability {sure}."
        )


class SweepConfig(LaunchConfig):
    """What a person says when launching a sweep: dates as YYYY-MM-DD, settings and values."""

    strategy: str = "alpha_baseline"
    first: str
    last: str
    vary: dict[str, list[str]]


def make(settings: Settings, asked: Asked, vary: Mapping[str, Sequence[str]], tell: Tell) -> Made:
    """Try every combination of the values, and put each trial on record."""
    varied = [(changes, changed(settings, changes)) for changes in combinations(vary)]
    trials = studies(varied, asked)
    _require_same_models(vary, trials[0][1])
    lake = resources.lake(settings)
    tell("data", 0.0)
    widest = max((study for _, study in trials), key=lambda each: each.cast.strategy.look_back)
    supplied(settings, lake, widest)
    store = TrialStore(settings.data_dir / "models", settings.tracking_location)
    known = store.sharpes(asked.strategy)
    params = [parameters_of(each, asked) for _, each in varied]
    own = {Trial(name="", params=one, metrics={}).key for one in params}
    swept = sweep(
        lake,
        trials,
        releases(settings, lake, tell),
        tell=lambda done, total: tell(f"trial {done} of {total}", 0.1 + 0.7 * done / total),
        others=[ratio for key, ratio in known.items() if key not in own],
    )
    tell("record", 0.8)
    store.record(asked.strategy, list(_records(swept, varied, params)))
    tell("done", 1.0)
    return Made(asked=asked, swept=swept, rows=table(swept).to_dicts())


def combinations(vary: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return every combination of the values; SettingsError for none, or for more than MOST."""
    found = [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]
    if not vary or not found or len(found) > MOST:
        raise SettingsError(f"A sweep has 1 to {MOST} trials: {len(found)} were asked for.")
    return found


def changed(settings: Settings, changes: Mapping[str, str]) -> Settings:
    """Return the settings with other values, by names such as `portfolio.top_n`."""
    for name, value in changes.items():
        group, _, rest = name.partition(".")
        if group not in VARIED or not rest:
            raise SettingsError(f"{name} cannot be varied: expected {', '.join(VARIED)} and a dot.")
        settings = settings.model_copy(
            update={group: _with(getattr(settings, group), rest.split("."), value, name)}
        )
    return settings


def studies(
    varied: Sequence[tuple[dict[str, str], Settings]], asked: Asked
) -> list[tuple[dict[str, str], Study]]:
    """Return a study for each trial; those with the same rules of strategies share them."""
    shared: dict[str, Mapping[str, Strategy]] = {}
    found: list[tuple[dict[str, str], Study]] = []
    for changes, settings in varied:
        rules = settings.strategies
        among = shared.setdefault(rules.model_dump_json(), strategies(rules))
        found.append((changes, study_of(settings, asked, among)))
    return found


def _require_same_models(vary: Mapping[str, object], study: Study) -> None:
    """Raise SettingsError where the indicators that a model was trained on would be others."""
    for model in study.cast.models:
        group = f"strategies.{model.removesuffix('_gbm')}."
        if name := next((each for each in vary if each.startswith(group)), None):
            raise SettingsError(
                f"{name} cannot be varied for {study.cast.name}: it asks the model {model}, which "
                "was trained on these indicators."
            )


def _with(rules: BaseModel, path: Sequence[str], value: str, name: str) -> BaseModel:
    content = rules.model_dump()
    place: Any = content
    for part in path[:-1]:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict) or path[-1] not in place:
        raise SettingsError(f"{name} is no setting: the names are in docs/reference/settings.md.")
    place[path[-1]] = value
    try:
        return type(rules).model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]["msg"]
        raise SettingsError(f"{name} cannot be {value}: {fault}.") from None


def _records(
    swept: Swept,
    varied: Sequence[tuple[dict[str, str], Settings]],
    params: Sequence[dict[str, str]],
) -> list[Trial]:
    by_changes = {str(changes): one for (changes, _), one in zip(varied, params, strict=True)}
    return [
        Trial(
            name=", ".join(f"{name}={value}" for name, value in each.changes.items()),
            params=by_changes[str(dict(each.changes))],
            metrics={
                name: value
                for name, value in (
                    ("sharpe", each.performance.sharpe),
                    ("total_return", each.performance.total_return),
                    ("volatility", each.performance.volatility),
                    ("max_drawdown", each.performance.max_drawdown),
                )
                if value is not None
            },
        )
        for each in swept.tried
    ]


@dg.op
def try_all(
    context: dg.OpExecutionContext, config: SweepConfig, settings: dg.ResourceParam[Settings]
) -> None:
    """Try what the run's configuration names."""
    asked = Asked(
        strategy=config.strategy,
        first=date.fromisoformat(config.first),
        last=date.fromisoformat(config.last),
    )
    made = make(settings, asked, config.vary, _teller(context))
    context.add_output_metadata(
        {
            "summary": made.sentence,
            "trials_on_record": made.swept.trials,
            "deflated_sharpe": made.swept.deflated_sharpe or 0.0,
            "best": shown(table(made.swept).head(20)),
        }
    )


def _teller(context: dg.OpExecutionContext) -> Tell:
    """One log line each tenth of the way: a sweep ticks once a trial."""
    told: set[int] = set()

    def tell(what: str, share: float) -> None:
        if int(share * 10) not in told:
            told.add(int(share * 10))
            context.log.info(f"sweep: {what} ({share:.0%})")

    return tell


@dg.job(description="Try many parameters of a strategy over past sessions; MLflow has each trial.")
def parameter_sweep() -> None:
    """One op."""
    try_all()


def jobs() -> dg.Definitions:
    """The job `parameter_sweep`."""
    return dg.Definitions(jobs=[parameter_sweep])
