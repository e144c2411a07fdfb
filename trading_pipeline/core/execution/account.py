"""What a broker knows: orders as it has them, its account, and what a market session brought."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from trading_pipeline.core.execution.order import OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """An order as the broker knows it; quantities are cumulative."""

    client_order_id: str
    broker_order_id: str
    state: OrderState
    filled_quantity: Decimal = Decimal(0)
    average_fill_price: Decimal | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The broker's own books: cash in dollars, and signed shares of what is not flat."""

    cash: Decimal
    positions: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSession:
    """What a session brought: raw opening and closing prices and the corporate actions going ex.

    Prices are dollars a share by symbol, without symbols that have none; a split is new shares for
    an old one, a dividend dollars for a share held at the close before, ahead of any split.
    """

    session: date
    opens: Mapping[str, Decimal]
    closes: Mapping[str, Decimal]
    splits: Mapping[str, Decimal]
    dividends: Mapping[str, Decimal]
