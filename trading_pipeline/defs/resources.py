"""The adapters of a run, made from the settings: where a vendor, a broker or a store is chosen."""

from datetime import date
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, Final

from trading_pipeline import logs
from trading_pipeline.adapters.alpaca_broker import AlpacaBroker
from trading_pipeline.adapters.alpaca_data import AlpacaData
from trading_pipeline.adapters.embedded_valkey import running
from trading_pipeline.adapters.feature_store import FeatureStore
from trading_pipeline.adapters.file_data import FileData
from trading_pipeline.adapters.file_data.source import FileSource
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.live_store import EventBus, RedisLink
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.market.calendar import last_closed_session, previous_session
from trading_pipeline.core.market.progress import Progress, unwatched
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.strategies import strategies
from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.flows.announce import Announcer
from trading_pipeline.flows.confirm import SecondVendor
from trading_pipeline.flows.credible import CredibleVendor
from trading_pipeline.flows.day import Desk, model_version_of
from trading_pipeline.flows.day_report import Parameters
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.ports import Broker, MarketData
from trading_pipeline.flows.risk_view import market_facts
from trading_pipeline.flows.trade import Mandate
from trading_pipeline.settings import Settings, utc_now

FETCHING: Final = "fetching:"
"""How a line of progress begins in a run's log; its share stands at the end, in parentheses."""

TELL_SECONDS: Final = 0.25
"""For which a day waits to tell a fact."""


def vendor(settings: Settings, progress: Progress = unwatched) -> MarketData:
    """The vendor that `vendor` names; `progress` is told how far a long fetch is."""
    return _vendor(settings.vendor, settings.files, settings, progress)


def second_vendor(settings: Settings) -> SecondVendor | None:
    """Whose bars may confirm suspect ones, if anybody's; SettingsError when it is the first one."""
    name, files = settings.second_vendor, settings.second_files
    if name is None:
        return None
    if name == settings.vendor and (name != "files" or files.path == settings.files.path):
        raise SettingsError(f"The second vendor is the first one, {name}: another was expected.")
    return SecondVendor(
        vendor=_vendor(name, files, settings, unwatched),
        within=settings.quality.confirming_difference,
        now=utc_now(),
    )


def _vendor(name: str, files: FileSource, settings: Settings, progress: Progress) -> MarketData:
    if name == "sample":
        return SampleData()
    if name == "alpaca":
        return AlpacaData(
            settings.alpaca_data,
            settings.alpaca.keys(),
            spool=settings.data_dir / "spool" / "alpaca",
            clock=utc_now,
            sleep=sleep,
            progress=progress,
        )
    if files.path is None:
        own = "FILES" if files is settings.files else "SECOND_FILES"
        raise SettingsError(f"The vendor `files` needs TP_{own}__PATH: a folder or a file of bars.")
    return FileData(files.path, files.mapping, progress=progress)


def logged(log: Any) -> Progress:
    """Tell a run's log of each twentieth of a long fetch; a terminal shows these lines as a bar."""
    told: set[tuple[str, int]] = set()

    def tell(what: str, share: float) -> None:
        place = (what.partition(",")[0], int(share * 20))
        if place not in told:
            told.add(place)
            log.info(f"{FETCHING} {what} ({share:.0%})")

    return tell


def broker(settings: Settings) -> Broker:
    """The broker that `broker` names; SettingsError for Alpaca's without a key, or without leave.

    Nothing is asked of it yet.
    """
    if settings.broker != "simulated":
        live = settings.broker == "alpaca-live"
        return AlpacaBroker(settings.alpaca, live=live, clock=utc_now, sleep=sleep)
    return SimulatedBroker(
        settings.data_dir / "simulated_broker.db",
        costs=settings.costs,
        opening_cash=settings.capital,
    )


def lake(settings: Settings) -> Lake:
    """The lake where the settings say."""
    return Lake(settings.lake_location)


def ledger(settings: Settings) -> Ledger:
    """The ledger, its schema brought up to date."""
    opened = Ledger(settings.ledger_location)
    opened.create()
    return opened


def model_store(settings: Settings) -> ModelStore:
    """Model versions in MLflow and the release bundle in the data folder."""
    return ModelStore(settings.data_dir / "models", settings.tracking_location)


def feature_store(settings: Settings) -> FeatureStore | None:
    """The copy of recent features in Redis, if there is one."""
    url = settings.redis_url
    return FeatureStore(url.get_secret_value()) if url else None


def latest_session(settings: Settings) -> date:
    """The newest session a day can be run for.

    With a vendor that delivers up to the present: the last closed session. With an archive: the
    session before its last one, so that the archive still holds the open at which orders fill.
    """
    closed = last_closed_session(utc_now())
    last = vendor(settings).last_session()
    return closed if last is None else min(closed, previous_session(last))


def is_archive(settings: Settings) -> bool:
    """Whether the vendor's data ends in the past; a vendor that does not answer is live."""
    try:
        return vendor(settings).last_session() is not None
    except TradingPipelineError:
        return False


def desk(settings: Settings) -> Desk:
    """What a day trades with; the books follow no corporate action that the prices contradict."""
    held = lake(settings)
    return Desk(
        lake=held,
        vendor=CredibleVendor(vendor(settings), held),
        ledger=ledger(settings),
        broker=broker(settings),
    )


def cast_of(settings: Settings, name: str | None = None) -> Cast:
    """Who is asked about the universe: the strategy that trades, or the one of that name."""
    return Cast(
        name=name or settings.strategy,
        symbols=settings.symbols,
        convention=settings.adjustment,
        among=strategies(settings.strategies),
    )


def allocation_of(settings: Settings) -> AllocationRules:
    """How signals become target weights."""
    return AllocationRules(**settings.allocation.model_dump(), names=settings.portfolio)


def mandate_of(
    settings: Settings, lake: Lake, session: date, *, run_id: str, dry_run: bool = False
) -> Mandate:
    """Whose orders, for which session, by which model and rules."""
    return Mandate(
        strategy=settings.strategy,
        session=session,
        run_id=run_id,
        model_version=model_version_of(lake, cast_of(settings), session),
        sizing=settings.sizing,
        limits=settings.risk,
        facts=market_facts(
            lake,
            settings.symbols,
            session,
            limits=settings.risk,
            convention=settings.adjustment,
        ),
        shares_account=settings.shares_account,
        dry_run=dry_run,
    )


def parameters_of(settings: Settings, *, dry_run: bool = False) -> Parameters:
    """What a report says the day was run with."""
    return Parameters(
        strategy=settings.strategy,
        symbols=settings.symbols,
        capital=settings.sizing.capital,
        max_position_size=settings.sizing.max_position_size,
        vendor=settings.vendor,
        broker=settings.broker,
        top_n=settings.portfolio.top_n,
        bottom_n=settings.portfolio.shorts,
        dry_run=dry_run,
    )


def report_folder(settings: Settings, session: date) -> Path:
    """Where the report of a session is written."""
    return settings.data_dir / "reports" / str(session)


def redis_url(settings: Settings) -> str | None:
    """The URL of the Redis that is configured, else of the data folder's own while it runs."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    return running(redis_folder(settings))


def redis_folder(settings: Settings) -> Path:
    """Where the data folder's own Redis keeps what it holds."""
    return settings.data_dir / "redis"


def announcer(settings: Settings) -> Announcer:
    """Who tells facts, to nobody without a Redis; a day waits for it a moment at most."""
    url = redis_url(settings)
    return Announcer(EventBus(RedisLink(url, patience=TELL_SECONDS)) if url else None)


def resources(settings: Settings) -> dict[str, Any]:
    """Resources by name; each is made when a run first needs it."""
    import dagster as dg  # noqa: PLC0415 - heavy: `status` and `doctor` use this module without it

    # A run's configuration can say nothing to them: what trades where is settled by the settings.
    made = partial(dg.ResourceDefinition, config_schema={})
    return {
        "settings": made(lambda context: _told(context, settings)),
        "lake": lake(settings),
        "vendor": made(lambda context: vendor(settings, logged(context.log))),
        "desk": made(lambda _: desk(settings)),
        "model_store": model_store(settings),
        "announcer": made(lambda _: announcer(settings)),
        "io_manager": dg.mem_io_manager,  # nothing is handed on: Dagster's own pickles into files
    }


def _told(context: Any, settings: Settings) -> Settings:
    """The settings; from here on every line that the run logs bears its id."""
    if context.run_id:
        logs.bind_run(context.run_id)
    return settings
