"""The asset and the job of a backtest: past sessions replayed, on record, with a page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.model_store.trials import SHARPE, Trial, TrialStore
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.market.calendar import last_closed_session, session_window
from trading_pipeline.core.market.progress import Progress, unwatched
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.portfolio.targets import RISK_SESSIONS
from trading_pipeline.core.strategies import STRATEGIES
from trading_pipeline.core.strategies.base import Strategy
from trading_pipeline.defs import resources
from trading_pipeline.defs.launch_config import LaunchConfig
from trading_pipeline.defs.resources import allocation_of, cast_of, model_store, vendor
from trading_pipeline.defs.training import source_of, training_of
from trading_pipeline.errors import ModelNotFoundError, SettingsError
from trading_pipeline.flows.backtest import Ensure, Study, replay
from trading_pipeline.flows.backtest_document import BacktestReport
from trading_pipeline.flows.backtest_report import build, save
from trading_pipeline.flows.parity import Parity, compare
from trading_pipeline.flows.supply import supply
from trading_pipeline.flows.train import SPARE_SESSIONS, train
from trading_pipeline.settings import Settings, utc_now

Tell = Callable[[str, float], None]
"""Told what is being done, and how much of everything is done."""

_TRAINING = 0.3
_NAMED = ("sizing", "portfolio", "allocation", "costs", "backtest", "risk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which strategy is replayed over which days, both included."""

    strategy: str
    first: date
    last: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A backtest's document, and the page and the JSON file it was written to."""

    report: BacktestReport
    page: Path
    json: Path


class BacktestConfig(LaunchConfig):
    """What a person says when launching a backtest: dates as YYYY-MM-DD."""

    strategy: str = "alpha_baseline"
    first: str
    last: str


def make(settings: Settings, asked: Asked, tell: Tell) -> Made:
    """Bring what is missing into the lake, replay, put on record, and write the report."""
    study, lake = study_of(settings, asked), resources.lake(settings)
    tell("data", 0.0)
    supplied(settings, lake, study, lambda what, share: tell(what, share * _TRAINING))
    tell("replay", _TRAINING)
    replayed = replay(lake, study, releases(settings, lake, tell))
    tell("report", 0.8)
    store = TrialStore(settings.data_dir / "models", settings.tracking_location)
    known, parameters = store.sharpes(asked.strategy), parameters_of(settings, asked)
    name = f"{asked.first} to {asked.last}"
    own = Trial(name=name, params=parameters, metrics={}).key
    others = [ratio for key, ratio in known.items() if key != own]
    report = build(replayed, parameters=parameters, trials=others)
    folder = settings.data_dir / "reports" / "backtests" / _folder(asked)
    made = Made(
        report=report,
        page=save(report, folder / "backtest.html"),
        json=save(report, folder / "backtest.json"),
    )
    figures = report.figures.model_dump(exclude_none=True)
    metrics = {key: float(value) for key, value in figures.items()}
    artifacts = {"backtest.html": made.page.read_text(), "backtest.json": made.json.read_text()}
    trial = Trial(name=name, params=parameters, metrics=metrics, artifacts=artifacts)
    store.record(asked.strategy, [trial])
    tell("done", 1.0)
    return made


def compared(settings: Settings, asked: Asked) -> Parity:
    """Replay what was traded on paper, and return what differs; nothing is put on record."""
    study, lake = study_of(settings, asked), resources.lake(settings)
    supplied(settings, lake, study)
    ensure = releases(settings, lake, lambda what, share: None)  # noqa: ARG005
    return compare(lake, resources.ledger(settings), study, ensure)


def study_of(
    settings: Settings, asked: Asked, among: Mapping[str, Strategy] | None = None
) -> Study:
    """What is replayed, by the rules of the settings; SettingsError for days that cannot be."""
    if asked.strategy not in STRATEGIES:
        raise SettingsError(
            f"{asked.strategy} is no strategy: expected one of {', '.join(STRATEGIES)}."
        )
    newest = vendor(settings).last_session() or last_closed_session(utc_now())
    if asked.first > asked.last or asked.last > newest:
        raise SettingsError(
            f"A backtest from {asked.first} to {asked.last} cannot be made: the first day must not "
            f"be after the last, and the newest session with bars is {newest}."
        )
    cast = cast_of(settings, asked.strategy)
    return Study(
        cast=replace(cast, among=among) if among else cast,
        first=asked.first,
        last=asked.last,
        allocation=allocation_of(settings),
        rules=BacktestRules(
            **settings.backtest.model_dump(),
            sizing=settings.sizing,
            limits=settings.risk,
            costs=settings.costs,
            adjustment=settings.adjustment,
        ),
    )


def supplied(settings: Settings, lake: Lake, study: Study, progress: Progress = unwatched) -> None:
    """Make sure that the lake holds all the study needs, the past of its models included."""
    cast = replace(study.cast, symbols=study.symbols)
    own = [cast.among[name].feature_look_back for name in cast.models]
    risk = RISK_SESSIONS if study.allocation.method != "top_n" else 0
    facts = study.rules.limits.correlation_look_back + 1
    history = max(cast.strategy.look_back, risk, facts, *own)
    source = source_of(settings, progress)
    supply(lake, source, cast, first=study.first, last=study.last, history=history)


def releases(settings: Settings, lake: Lake, tell: Tell) -> Ensure:
    """How a backtest gets a model that saw nothing later: released before, or trained now.

    One that is trained now is kept for replays: it does not become the one that trades.
    """
    store = model_store(settings)

    def ensure(name: str, session: date, within: int | None) -> Release:
        try:
            return _released(store, name, session, within)
        except ModelNotFoundError:
            tell(f"training {name} as of {session}", _TRAINING)
        cast = replace(cast_of(settings), name=name)
        first = session_window(session, settings.training.sessions + SPARE_SESSIONS)[0]
        own = cast.strategy.feature_look_back
        supply(lake, source_of(settings), cast, first=first, last=session, history=own)
        trained = train(lake, store, training_of(settings, session, name))
        return store.keep(name, trained.version.version)

    return ensure


def _released(store: ModelStore, name: str, session: date, within: int | None) -> Release:
    """Return the release that would have traded, or one kept for replays that is young enough."""
    if within is not None:
        return store.newest(name, since=session_window(session, within)[0], session=session)
    try:
        return store.release(name, session=session)
    except ModelNotFoundError:
        return store.newest(name, since=date.min, session=session)


def parameters_of(settings: Settings, asked: Asked) -> dict[str, str]:
    """Everything that makes this backtest another than that one, as texts by name."""
    rules = {name: getattr(settings, name) for name in _NAMED}
    strategies = settings.strategies.model_dump(mode="json")
    known: dict[str, Any] = {name: rule.model_dump(mode="json") for name, rule in rules.items()}
    base = asked.strategy.removesuffix("_gbm")
    if base in strategies:
        known[base] = strategies[base]
    flat = dict(_flat(known))
    return {
        "strategy": asked.strategy,
        "first": str(asked.first),
        "last": str(asked.last),
        "universe": ",".join(settings.symbols),
        **flat,
    }


def _flat(rules: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in rules.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", str(value)))
    return found


def _folder(asked: Asked) -> str:
    return f"{asked.strategy}_{asked.first}_{asked.last}"


@dg.asset(
    group_name="backtest",
    owners=["team:research"],
    deps=["clean_bars", "corporate_actions", "predictions"],
    kinds={"html", "mlflow"},
    description="A strategy replayed over past sessions by the functions of the trading day: "
    "figures, costs and plots as one page; put on record in MLflow as a trial.",
)
def backtest(
    context: dg.AssetExecutionContext,
    config: BacktestConfig,
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Replay the strategy and days of the run's configuration."""
    asked = Asked(
        strategy=config.strategy,
        first=date.fromisoformat(config.first),
        last=date.fromisoformat(config.last),
    )
    made = make(settings, asked, lambda what, share: context.log.info(f"{what} ({share:.0%})"))
    return dg.MaterializeResult(
        metadata={
            "summary": made.report.summary,
            "page": dg.MetadataValue.path(str(made.page)),
            "json": dg.MetadataValue.path(str(made.json)),
            SHARPE: made.report.figures.sharpe or 0.0,
            **made.report.figures.model_dump(exclude_none=True, exclude={"sharpe"}),
        }
    )


def jobs() -> dg.Definitions:
    """The job `run_backtest`; Dagster knows an asset's name for no second thing."""
    return dg.Definitions(
        jobs=[
            dg.define_asset_job(
                "run_backtest",
                selection=dg.AssetSelection.assets("backtest"),
                description="Replay a strategy over past sessions; the configuration names both.",
            )
        ]
    )
