"""The stream in Dagster: a long run that is kept alive, its switch, and what is made of quotes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.live_store import QuoteStore, RedisLink, TickQueue
from trading_pipeline.defs import live
from trading_pipeline.defs.partitions import EXCHANGE_ZONE
from trading_pipeline.defs.stream_report import heartbeat_metadata, pnl_metadata, quotes_metadata
from trading_pipeline.errors import RejectedError, SettingsError, TradingPipelineError
from trading_pipeline.flows.day import Desk
from trading_pipeline.flows.live_pnl import LiveBook, LivePnl, Quotes
from trading_pipeline.flows.stream_host import host_stream
from trading_pipeline.flows.stream_report import Streamed
from trading_pipeline.flows.supervise import Decision, Launched, decide, hours
from trading_pipeline.flows.ticks import drain
from trading_pipeline.settings import Settings, utc_now

JOB: Final = "market_data_stream"
WATCH_SECONDS: Final = 10
TELL_SECONDS: Final = 60.0
"""How often a heartbeat becomes an observation of `live_quotes`."""

_ACTIVE: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class MarketDataStream:
    """The resource that owns the websocket, the Redis it writes to, and what is known of both."""

    settings: Settings
    clock: Callable[[], datetime] = utc_now

    def link(self) -> RedisLink:
        """The Redis that is configured; SettingsError without one."""
        if link := live.redis_link(self.settings):
            return link
        raise SettingsError("The stream needs TP_REDIS_URL: whoever reads quotes finds them there.")

    def run(self, run_id: str, tell: "Teller") -> Streamed:
        """Stream until the session is over; a feed that is refused for good is not tried again."""
        link, now = self.link(), self.clock()
        around = hours(now, self.settings.stream.margin_minutes)
        until = around[1] if around else now + timedelta(hours=12)
        host = live.host("dagster", until=until, told=tell, run_id=run_id)
        if self.clock is not utc_now:
            host = replace(host, clock=lambda: int(self.clock().timestamp() * 1e9))
        try:
            return host_stream(lambda: live.source(self.settings, link), host, self.settings.stream)
        except (RejectedError, SettingsError) as error:
            store = QuoteStore(link)
            store.desire(on=False, by="the feed", reason=str(error), now=utc_now())
            raise

    def decision(self, runs: list[Launched]) -> Decision:
        """Whether a run must be started now."""
        store = QuoteStore(self.link())
        return decide(
            now=self.clock(),
            desired=store.desired(),
            heartbeat=store.heartbeat(),
            runs=runs,
            margin_minutes=self.settings.stream.margin_minutes,
        )

    def latest(self) -> Quotes:
        """The quotes of symbols, none without a Redis."""
        link = live.redis_link(self.settings)
        return QuoteStore(link).latest if link else lambda _: {}


class Teller:
    """Makes an observation of a heartbeat now and then."""

    def __init__(self, context: dg.OpExecutionContext) -> None:
        self._context = context
        self._told: datetime | None = None

    def __call__(self, facts: Mapping[str, str], now: datetime) -> None:
        """Tell the first heartbeat with symbols, and one a minute."""
        recent = self._told and (now - self._told).total_seconds() < TELL_SECONDS
        if recent or facts["symbols"] == "0":
            return
        self._told = now
        observation = dg.AssetObservation("live_quotes", metadata=heartbeat_metadata(facts))
        self._context.log_event(observation)


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


class Why(dg.Config):
    """Who switches, and why."""

    reason: str
    by: str = "dagster"


def _switch(market_data: MarketDataStream, config: Why, *, on: bool) -> None:
    if not config.reason.strip():
        raise SettingsError("A reason is expected.")
    store = QuoteStore(market_data.link())
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
    done = drain(TickQueue(market_data.link()), files)
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
    is_set = bool(settings.redis_url and settings.alpaca.key_id)

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
