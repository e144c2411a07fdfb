"""The resource that owns the market-data websocket, and what a run of it tells."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Final

import dagster as dg

from trading_pipeline.adapters.live_store import Desired, QuoteStore, RedisLink
from trading_pipeline.defs import live
from trading_pipeline.defs.stream_report import heartbeat_metadata
from trading_pipeline.errors import RejectedError, SettingsError
from trading_pipeline.flows.live_pnl import Quotes
from trading_pipeline.flows.stream_host import host_stream
from trading_pipeline.flows.stream_report import Streamed
from trading_pipeline.flows.supervise import Decision, Launched, decide, hours
from trading_pipeline.settings import Settings, utc_now

TELL_SECONDS: Final = 60.0
"""How often a heartbeat becomes an observation of `live_quotes`."""


@dataclass(frozen=True)
class MarketDataStream:
    """The resource that owns the websocket, the Redis it writes to, and what is known of both.

    Without TP_REDIS_URL it is the data folder's own Redis, which runs while a process needs it: the
    stream, and whoever watches over it.
    """

    settings: Settings
    clock: Callable[[], datetime] = utc_now

    @cached_property
    def kept(self) -> live.KeptRedis:
        """The Redis, for who looks at it again and again."""
        return live.KeptRedis(self.settings)

    def redis(self) -> AbstractContextManager[RedisLink]:
        """The Redis, for one piece of work."""
        return live.some_redis(self.settings)

    def run(self, run_id: str, tell: "Teller") -> Streamed:
        """Stream until the session is over; a feed that is refused for good is not tried again."""
        now = self.clock()
        around = hours(now, self.settings.stream.margin_minutes)
        until = around[1] if around else now + timedelta(hours=12)
        host = live.host("dagster", until=until, told=tell, run_id=run_id)
        if self.clock is not utc_now:
            host = replace(host, clock=lambda: int(self.clock().timestamp() * 1e9))
        rules = self.settings.stream
        with self.redis() as link:
            try:
                return host_stream(lambda: live.source(self.settings, link), host, rules)
            except (RejectedError, SettingsError) as error:
                store = QuoteStore(link)
                store.desire(on=False, by="the feed", reason=str(error), now=utc_now())
                raise

    def decision(self, runs: list[Launched]) -> Decision:
        """Whether a run must be started now."""
        now, margin = self.clock(), self.settings.stream.margin_minutes
        look = partial(decide, now=now, runs=runs, margin_minutes=margin)
        if hours(now, margin) is None:  # a Redis of our own is not started to be told so
            return look(desired=Desired(), heartbeat={})
        store = QuoteStore(self.kept.link())
        return look(desired=store.desired(), heartbeat=store.heartbeat())

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
