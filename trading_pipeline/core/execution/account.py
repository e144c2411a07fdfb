"""What a broker knows: orders as it has them, its account, and what a market session brought."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from trading_pipeline.core.execution.order import OrderState, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """An order as the broker knows it; quantities are cumulative.

    `body` is what it was sent as, where the broker tells; `unknown_status` is the broker's own word
    where we do not know it: the state is then the one that commits to least.
    """

    client_order_id: str
    broker_order_id: str
    state: OrderState
    filled_quantity: Decimal = Decimal(0)
    average_fill_price: Decimal | None = None
    reason: str | None = None
    body: tuple[str, Side, Decimal] | None = None
    unknown_status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution as a broker tells it at once: shares, dollars a share, an aware UTC time."""

    execution_id: str
    quantity: Decimal
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """Shares that changed hands at the broker, by whoever's order.

    `trade_id` is the broker's own id of the execution. `client_order_id` is a stranger's, or None,
    when the order was not ours. `quantity` is this execution's own, unsigned; `price` is in dollars
    a share, `commission` in dollars; `at` is aware UTC.
    """

    trade_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal = Decimal(0)
    session: date
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The broker's own books: cash in dollars, and signed shares of what is not flat.

    `average_prices` are what the broker says a share of a position cost, in dollars, where it says
    so. `buying_power` is what it lets us buy for, in dollars; None where it does not limit it.
    `fault` says why nothing may be sent now, where that is so; `lends` whether shorts may be sold.
    """

    cash: Decimal
    positions: Mapping[str, Decimal]
    average_prices: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    buying_power: Decimal | None = None
    fault: str | None = None
    lends: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """What a share of `symbol` became or brought: `new_shares` of `new_symbol`, and dollars.

    `keeps` says whether the share itself stays, as in a spin-off, whose `dollars` are the worth of
    the new shares (0 where not known) and not paid beside them; else they are paid a share.
    """

    symbol: str
    keeps: bool
    new_symbol: str | None
    new_shares: Decimal
    dollars: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSession:
    """What a session brought: raw opening and closing prices and the corporate actions going ex.

    Prices are dollars a share by symbol, without symbols that have none; `volumes` are shares that
    changed hands in the session, where they were asked for; a split is new shares for
    an old one, a dividend dollars for a share held at the close before, ahead of any split.
    Spin-offs, symbol changes and delistings come after both, in the order given.
    """

    session: date
    opens: Mapping[str, Decimal]
    closes: Mapping[str, Decimal]
    splits: Mapping[str, Decimal]
    dividends: Mapping[str, Decimal]
    successions: tuple[Succession, ...] = ()
    volumes: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
