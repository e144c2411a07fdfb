"""What a stream tells of itself: once a second while it runs, and when it has ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from trading_pipeline.core.market.quotes import CROSSED, ZERO
from trading_pipeline.flows.flusher import Flusher
from trading_pipeline.flows.stream_parts import Feed
from trading_pipeline.flows.subscriptions import Wanted

ALIVE_SECONDS: Final = 15.0
"""A heartbeat older than this is a dead stream's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time without quotes, before the connection `epoch`."""

    epoch: int
    since: datetime
    until: datetime

    @property
    def facts(self) -> dict[str, object]:
        """As fields of a log line."""
        return {"epoch": self.epoch, "since": str(self.since), "until": str(self.until)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What a stream did: quotes received, written, dropped and unreadable, faulty ones by fault.

    `lag` is the time in seconds from a quote to Redis that 99 of 100 of the last ones took.
    """

    received: int
    written: int
    overflow: int
    bad: int
    faults: Mapping[str, int]
    epochs: int
    gaps: tuple[Gap, ...]
    lag: float
    why: str


@dataclass(slots=True)
class Situation:
    """How a running stream stands."""

    flusher: Flusher
    feed: Feed
    started_at: datetime
    stale_seconds: float
    wanted: Wanted = field(default_factory=lambda: Wanted({}))
    gaps: list[Gap] = field(default_factory=list[Gap])
    problem: str = ""
    trimmed: int = 0

    def summary(self, why: str) -> Streamed:
        """What has been done so far, and why it ends."""
        flusher = self.flusher
        return Streamed(
            received=flusher.received,
            written=flusher.written,
            overflow=flusher.overflow,
            bad=self.feed.bad,
            faults=dict(flusher.faults),
            epochs=self.feed.epoch,
            gaps=tuple(self.gaps),
            lag=flusher.lag(0.99),
            why=why,
        )

    def facts(self, now: datetime, ended: str = "") -> dict[str, str]:
        """The heartbeat: everything as text."""
        flusher = self.flusher
        asked, left_out = self.wanted.within(self.feed.limit)
        facts: dict[str, object] = {
            "at": now.isoformat(),
            "started_at": self.started_at.isoformat(),
            "state": f"ended: {ended}" if ended else self._state,
            "problem": self.problem,
            "epoch": self.feed.epoch,
            "gaps": len(self.gaps),
            "symbols": len(self.feed.subscribed),
            "wanted": len(asked),
            "left_out": ",".join(left_out),
            "stale": ",".join(self.stale(now)),
            **{f"from_{name}": count for name, count in self.wanted.counts.items()},
            "received": flusher.received,
            "written": flusher.written,
            "overflow": flusher.overflow,
            "trimmed": self.trimmed,
            "zero": flusher.faults[ZERO],
            "crossed": flusher.faults[CROSSED],
            "bad": self.feed.bad,
            "lag_p50_ms": f"{flusher.lag(0.5) * 1000:.1f}",
            "lag_p99_ms": f"{flusher.lag(0.99) * 1000:.1f}",
        }
        return {name: str(value) for name, value in facts.items()}

    def stale(self, now: datetime) -> list[str]:
        """The subscribed symbols without a sound quote that is fresh, sorted."""
        last = self.flusher.last
        return [
            symbol
            for symbol in sorted(self.feed.subscribed)
            if symbol not in last or last[symbol].age(now) > self.stale_seconds
        ]

    @property
    def _state(self) -> str:
        if not self.wanted.symbols:
            return "waiting for symbols"
        return "streaming" if self.feed.subscribed else "connecting"


def age_of(heartbeat: Mapping[str, str], now: datetime) -> float:
    """Seconds since a heartbeat; infinite when there is none or the stream has ended."""
    if "at" not in heartbeat or heartbeat.get("state", "").startswith("ended"):
        return float("inf")
    return (now - datetime.fromisoformat(heartbeat["at"])).total_seconds()
