"""What a stream of quotes is made of, and who hosts it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from trading_pipeline.adapters.live_store import QuoteWriter
from trading_pipeline.core.market.quotes import Listener
from trading_pipeline.flows.subscriptions import Wanted


class Feed(Protocol):
    """A source of live quotes; see adapters.alpaca_stream.AlpacaFeed."""

    @property
    def epoch(self) -> int:
        """The number of the present connection, 0 before the first."""
        ...

    @property
    def bad(self) -> int:
        """How many quotes could not be read."""
        ...

    @property
    def limit(self) -> int:
        """How many symbols may be subscribed to."""
        ...

    @property
    def subscribed(self) -> frozenset[str]:
        """The symbols that quotes come of."""
        ...

    async def want(self, symbols: Sequence[str]) -> None:
        """Subscribe to these and no others."""
        ...

    async def run(self) -> None:
        """Read until canceled."""
        ...


Bars = Callable[[Sequence[str], datetime, datetime], Sequence[tuple[Any, ...]]]
"""Minute bars of symbols from one time to another, for the gap after a lost connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a stream is made of.

    `wanted` tells whose quotes are wanted, given the manual wishes. `bars` fetches what a gap
    missed; None fetches nothing.
    """

    feed: Callable[[Listener], Feed]
    writer: QuoteWriter
    wanted: Callable[[frozenset[str]], Wanted]
    bars: Bars | None = None


Told = Callable[[Mapping[str, str], datetime], None]
"""Gets each heartbeat and its time; it may take a moment, on a thread of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Who streams: a name that no other process has, and what it says of itself.

    `until` ends the stream; `stand_by` waits for the lease, and for the wish that it runs, rather
    than ending at once. `clock` tells nanoseconds since 1970.
    """

    owner: str
    facts: dict[str, str] = field(default_factory=dict[str, str])
    until: datetime | None = None
    stand_by: bool = False
    told: Told | None = None
    clock: Callable[[], int]
    is_open: Callable[[datetime], bool]

    def now(self) -> datetime:
        """The present, aware, UTC."""
        return datetime.fromtimestamp(self.clock() / 1e9, UTC)
