"""A quote: what is bid and asked for one symbol at one moment, and whether it can be a price."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

ZERO: Final = "zero"
"""The fault of a quote that lacks a side: its bid or its ask is not a number above 0."""

CROSSED: Final = "crossed"
"""The fault of a quote that bids more than it asks."""

_NANOSECONDS: Final = 1_000_000_000


class Quote(NamedTuple):
    """The best bid and ask of a symbol, in dollars and shares, at the exchange's own time.

    `at` is nanoseconds since 1970 UTC. `epoch` numbers the connection it came over: between two
    epochs quotes are missing. A tuple, because ten thousand of them a second are made.
    """

    symbol: str
    at: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    exchange: str
    epoch: int

    @property
    def fault(self) -> str | None:
        """Why there is no price in it: ZERO or CROSSED; None for a sound quote."""
        if not (0 < self.bid < float("inf") and 0 < self.ask < float("inf")):
            return ZERO
        return CROSSED if self.bid > self.ask else None

    @property
    def mid(self) -> Decimal | None:
        """Half way between bid and ask, exactly; None for a faulty quote."""
        if self.fault:
            return None
        return (Decimal(repr(self.bid)) + Decimal(repr(self.ask))) / 2

    @property
    def spread(self) -> Decimal | None:
        """Ask less bid in dollars, exactly; None for a faulty quote."""
        return None if self.fault else Decimal(repr(self.ask)) - Decimal(repr(self.bid))

    @property
    def spread_bps(self) -> float | None:
        """The spread in hundredths of a percent of the mid; None for a faulty quote."""
        mid, spread = self.mid, self.spread
        return None if mid is None or spread is None else float(spread / mid * 10_000)

    @property
    def made_at(self) -> datetime:
        """When the exchange made it, aware UTC, to the microsecond."""
        seconds, rest = divmod(self.at, _NANOSECONDS)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000)

    def age(self, now: datetime) -> float:
        """Seconds since it was made; below 0 when the exchange's clock is ahead."""
        return (now - self.made_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into the stream as one entry: quotes, or minute bars that fill a gap.

    `latest` are the last sound quotes in it by symbol. `epoch` is that of the last quote, or the
    one that the gap was before.
    """

    rows: Sequence[tuple[Any, ...]]
    epoch: int
    kind: Literal["quotes", "bars"] = "quotes"
    latest: Mapping[str, Quote] = field(default_factory=dict[str, Quote])


@dataclass(frozen=True, slots=True)
class Listener:
    """Who a feed tells: of each quote, of each new connection by its number, of what is wrong.

    `is_open` says whether the market trades now, so that silence means something.
    """

    quote: Callable[[Quote], None]
    connected: Callable[[int], None]
    problem: Callable[[str], None]
    is_open: Callable[[], bool]
