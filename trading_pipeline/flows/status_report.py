"""The document of `trading-pipeline status`: where everything stands at one moment."""

from datetime import date
from typing import Literal

from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.flows.day_report import Document, Moment, Money, PositionRow


class Service(Document):
    """An outside thing: whether it answers, and what it says."""

    name: str
    state: Literal["up", "down", "not used"]
    detail: str


class Trading(Document):
    """What trading may do, and who said so; what cannot be known is halted."""

    state: TradingState
    reason: str
    who: str
    since: Moment | None


class LatestPnl(Document):
    """The newest snapshot of the book; total = realized + unrealized, before fees."""

    session: date
    nav: Money
    realized: Money
    unrealized: Money
    total: Money
    fees: Money
    unpriced: tuple[str, ...]
    fills_since: int
    """Fills of later sessions, which the snapshot does not know."""


class LivePnlNow(Document):
    """The book as it is now, every later fill included, at the best prices there are.

    A price is a fresh quote, else the last close, else what the shares cost.
    """

    at: Moment
    nav: Money
    unrealized: Money
    total: Money
    positions: int
    positions_real_time: int
    """How many of the positions have a fresh quote."""


class RunRow(Document):
    """A run of the day; `failed` ended before its report, `unfinished` has not come to it."""

    run_id: str
    session: date
    at: Moment
    status: str
    num_signals: int | None
    num_orders_accepted: int | None


class DataAge(Document):
    """The newest session with clean bars, and how many sessions the vendor is ahead of it."""

    last_session: date
    available_session: date | None
    """The newest closed session that the vendor holds; null when it does not answer."""
    sessions_behind: int | None


class ModelAge(Document):
    """The release that trades."""

    version: str
    trained_through: date
    sessions_since: int | None
    """Sessions from the end of its training data to the newest session with bars."""


class Schedule(Document):
    """Whether the trading day starts by itself."""

    name: str
    on: bool
    next_at: Moment | None
    """When it is due; null while the schedule is off."""
    daemon_seen_at: Moment | None
    daemon_alive: bool


class StatusReport(Document):
    """Everything at a glance; a part that could not be read is null, and its service is down."""

    version: Literal[1] = 1
    timezone: Literal["UTC"] = "UTC"
    generated_at: Moment
    healthy: bool
    """Whether no service is down."""
    strategy: str
    trading: Trading
    positions: tuple[PositionRow, ...] | None
    pnl: LatestPnl | None
    live: LivePnlNow | None
    runs: tuple[RunRow, ...] | None
    data: DataAge | None
    model: ModelAge | None
    schedule: Schedule | None
    services: tuple[Service, ...]
