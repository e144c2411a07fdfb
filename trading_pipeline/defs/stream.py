"""The stream in Dagster: a long run that is kept alive, its switch, and what is made of quotes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.live_store import QuoteStore, TickQueue
from trading_pipeline.defs import live
from trading_pipeline.defs.launch_config import LaunchConfig
from trading_pipeline.defs.market_data import MarketDataStream, Teller
from trading_pipeline.defs.partitions import EXCHANGE_ZONE
from trading_pipeline.defs.stream_report import pnl_metadata, quotes_metadata
from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.flows.day import Desk
from trading_pipeline.flows.live_pnl import LiveBook, LivePnl
from trading_pipeline.flows.supervise import Launched
from trading_pipeline.flows.ticks import drain
from trading_pipeline.settings import Settings, utc_now

JOB: Final = "market_data_stream"
WATCH_SECONDS: Final = 10
_ACTIVE: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


live_quotes = dg.AssetSpec(
    "live_quotes",
    group_name="market",
    owners=["team:data"],
    kinds={"redis", "alpaca"},
    description="The latest quote of everything held or on order, and the stream of all quotes, in "
    "Redis. Written by the job `market_data_stream` while the market is open, or by the command "
    "`trading-pipeline stream`; observed once a minute.",
)


@dg.op(name="stream_quotes")
def _stream(
    context: dg.OpExecutionContext, market_data: dg.ResourceParam[MarketDataStream]
) -> None:
    """Stream until the session is over, the stream is stopped, or the run is terminated."""
    done = market_data.run(context.run_id, Teller(context))
    context.log.info(f"The stream ended: {done.why}")
    context.log_event(dg.AssetMaterialization("live_quotes", metadata=quotes_metadata(done)))


@dg.job(
    name=JOB,
    tags={"trading/role": "stream", "dagster/max_runtime": str(14 * 3600), "dagster/priority": "5"},
    description="Streams live quotes into Redis until the session is over. The sensor "
    "`market_data_supervisor` starts it and starts it again: to stop it for good, run "
    "`stop_market_data`.",
)
def market_data_stream() -> None:
    """One op."""
    _stream()


class Why(LaunchConfig):
    """Who switches, and why."""

    reason: str
    by: str = "dagster"


def _switch(market_data: MarketDataStream, config: Why, *, on: bool) -> None:
    if not config.reason.strip():
        raise SettingsError("A reason is expected.")
    with market_data.redis() as link:
        store = QuoteStore(link)
        store.desire(on=on, by=config.by, reason=config.reason, now=utc_now())


@dg.op(name="switch_off")
def _off(config: Why, market_data: dg.ResourceParam[MarketDataStream]) -> None:
    _switch(market_data, config, on=False)


@dg.op(name="switch_on")
def _on(config: Why, market_data: dg.ResourceParam[MarketDataStream]) -> None:
    _switch(market_data, config, on=True)


@dg.job(description="Stop the stream, wherever it runs, and keep it stopped. Config: a reason.")
def stop_market_data() -> None:
    """One op."""
    _off()


@dg.job(description="Let the stream run again. Config: a reason.")
def start_market_data() -> None:
    """One op."""
    _on()


@dg.asset(
    deps=[live_quotes],
    group_name="accounting",
    owners=["team:trading"],
    kinds={"redis", "sql"},
    description="What every holding and the account are worth now: at real-time quotes, else at "
    "the last close, else at cost, each named. Materialize it for a look.",
)
def live_pnl(
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
    lake: dg.ResourceParam[Lake],
    market_data: dg.ResourceParam[MarketDataStream],
) -> dg.MaterializeResult:
    """Look once."""
    found = look(settings, desk, lake, market_data)
    return dg.MaterializeResult(metadata=pnl_metadata(found))


def look(settings: Settings, desk: Desk, lake: Lake, market_data: MarketDataStream) -> LivePnl:
    """The account at the best prices there are now."""
    stale = settings.stream.stale_seconds
    book = LiveBook(desk.ledger, lake, market_data.latest(), stale_seconds=stale)
    book.refresh(utc_now())
    return book.look(utc_now())


@dg.asset(
    deps=[live_quotes],
    group_name="market",
    owners=["team:data"],
    kinds={"parquet", "redis"},
    description="Every quote in Parquet by the hour, each once, and minute bars made of them. "
    "Quotes leave Redis once they are in a file; files are deleted after "
    "TP_STREAM__KEEP_TICKS_DAYS, minute bars stay.",
)
def ticks(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    market_data: dg.ResourceParam[MarketDataStream],
) -> dg.MaterializeResult:
    """Bring over what the stream holds, and forget old quotes."""
    files, now = live.tick_files(settings), utc_now()
    with market_data.redis() as link:
        done = drain(TickQueue(link), files)
    forgotten = files.forget((now - timedelta(days=settings.stream.keep_ticks_days)).date())
    if done.lost:
        context.log.error(f"{done.lost} flushes had left Redis before they were written.")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": done.quotes,
            "gap_bars": done.bars,
            "files": done.parts,
            "lost_flushes": done.lost,
            "days_forgotten": forgotten,
            "megabytes": round(files.size() / 1e6, 1),
            "folder": dg.MetadataValue.path(str(files.root)),
        }
    )


drain_ticks = dg.define_asset_job(
    "drain_ticks", selection=["ticks"], description="Bring quotes from Redis into Parquet."
)


def jobs_and_sensors(
    settings: Settings, *, clock: Callable[[], datetime] = utc_now
) -> dg.Definitions:
    """The assets and jobs of the stream, its supervisor, and the schedule of its files."""
    is_set = settings.alpaca.key_id is not None

    @dg.sensor(
        name="market_data_supervisor",
        job=market_data_stream,
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if is_set else dg.DefaultSensorStatus.STOPPED
        ),
        description="Keeps exactly one stream alive while the market is open and it is to be on. A "
        "run that died without a word is failed, and another started.",
    )
    def market_data_supervisor(
        context: dg.SensorEvaluationContext, market_data: dg.ResourceParam[MarketDataStream]
    ) -> Any:
        try:
            found = market_data.decision(launched(context.instance, utc_now()))
        except TradingPipelineError as error:
            return dg.SkipReason(str(error))
        for run_id in found.bury:
            bury(context.instance, run_id)
        return dg.RunRequest() if found.start else dg.SkipReason(found.why)

    @dg.schedule(
        name="hourly_ticks",
        job=drain_ticks,
        cron_schedule="5 * * * *",
        execution_timezone=EXCHANGE_ZONE,
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if is_set else dg.DefaultScheduleStatus.STOPPED
        ),
        description="Five past every hour: quotes of the hour go to files.",
    )
    def hourly_ticks() -> dg.RunRequest:
        return dg.RunRequest()

    return dg.Definitions(
        jobs=[market_data_stream, stop_market_data, start_market_data, drain_ticks],
        sensors=[market_data_supervisor],
        schedules=[hourly_ticks],
        resources={"market_data": MarketDataStream(settings, clock)},
        assets=[live_quotes, ticks, live_pnl],
    )


def launched(instance: dg.DagsterInstance, now: datetime) -> list[Launched]:
    """The runs of the stream that are not over."""
    among = dg.RunsFilter(job_name=JOB, statuses=_ACTIVE)
    return [
        Launched(record.dagster_run.run_id, (now - record.create_timestamp).total_seconds())
        for record in instance.get_run_records(among)
    ]


def bury(instance: dg.DagsterInstance, run_id: str) -> None:
    """Say that a run failed that cannot say so itself."""
    if run := instance.get_run_by_id(run_id):
        instance.report_run_failed(run, "It no longer told that it lives.")
