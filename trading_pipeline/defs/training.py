"""What is trained and what models are judged on, by the settings; for jobs and commands alike."""

from datetime import date

from trading_pipeline.adapters import checkout
from trading_pipeline.adapters.bin_cache import BinCache
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.market.progress import Progress, unwatched
from trading_pipeline.core.models.binning import Binning, bin_rows
from trading_pipeline.defs.resources import cast_of, vendor
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.clean import GateRules
from trading_pipeline.flows.judge import Bench
from trading_pipeline.flows.know import own_features
from trading_pipeline.flows.supply import Source
from trading_pipeline.flows.trained import Training
from trading_pipeline.settings import Settings, utc_now


def model_name(settings: Settings) -> str:
    """The model that the strategy of the settings trains; SettingsError when it trains none."""
    name, models = settings.strategy, cast_of(settings).models
    if models != (name,):
        asked = f"those of {', '.join(models)}" if models else "none"
        raise SettingsError(
            f"{name} has no model of its own, it asks {asked}: set TP_STRATEGY to the one meant."
        )
    return name


def source_of(settings: Settings, progress: Progress = unwatched) -> Source:
    """Where data comes from that a training or a backtest fetches, and how it is judged."""
    rules = GateRules(
        quality=settings.quality, freshness=settings.freshness, convention=settings.adjustment
    )
    return Source(vendor=vendor(settings, progress), rules=rules, now=utc_now())


def training_of(
    settings: Settings, as_of: date, model: str | None = None, *, since: date | None = None
) -> Training:
    """What to train as of a session, of the model given or of the strategy's own.

    With `since` the walk-forward evaluation judges every session from then on, instead of the
    newest `training.folds` test windows.
    """
    name = model or model_name(settings)
    rules = settings.training
    if since:
        rules = rules.covering(len(sessions_between(since, as_of)))
    return Training(
        strategy=name,
        own=own_features(cast_of(settings), name),
        symbols=settings.symbols,
        as_of=as_of,
        rules=rules,
        convention=settings.adjustment,
        revision=settings.revision or checkout.revision(),
        binning=_binning(settings),
    )


def _binning(settings: Settings) -> Binning:
    """How rows are put in bins: once for all trainings of the same rows, unless that is off."""
    limit = settings.training.cache_mib
    folder = settings.data_dir / "cache" / "bins"
    return BinCache(folder, limit_mib=limit).bin_rows if limit else bin_rows


def bench_of(settings: Settings, lake: Lake, through: date) -> Bench:
    """What models of the strategy are judged on, up to a session."""
    return Bench(
        lake=lake,
        rules=settings.training.promotion,
        convention=settings.adjustment,
        through=through,
        own=own_features(cast_of(settings), model_name(settings)),
    )
