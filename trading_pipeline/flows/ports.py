"""The two seams with several implementations: a vendor of market data, and a broker."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

import polars as pl

from trading_pipeline.core.accounting.book import CashEntry
from trading_pipeline.core.execution.account import Account, BrokerOrder, MarketSession
from trading_pipeline.core.execution.order import Fill, Order


class MarketData(Protocol):
    """A vendor of daily bars and corporate actions."""

    @property
    def name(self) -> str:
        """The vendor's name, written into every row."""
        ...

    def symbols(self) -> frozenset[str] | None:
        """Every symbol it can deliver, or None when that cannot be listed."""
        ...

    def last_session(self) -> date | None:
        """The newest session it holds, or None when it delivers up to the present."""
        ...

    def bars(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """Raw bars of the sessions first…last, both included.

        Columns: symbol, session, open, high, low, close, volume, vwap (as in RawBars, without
        vendor and known_at), sorted by session and symbol. A symbol without bars in the range is
        simply absent.
        """
        ...

    def corporate_actions(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """Splits and dividends with an ex-date in first…last, both included.

        Columns: symbol, ex_date, kind, split_ratio, dividend (as in CorporateActions).
        """
        ...


class Broker(Protocol):
    """A place that takes orders and keeps an account."""

    @property
    def name(self) -> str:
        """The broker's name, for records and reports."""
        ...

    def submit(self, order: Order) -> BrokerOrder:
        """Send an order once; raise TransientError when the answer is lost.

        A refusal is a BrokerOrder in state REJECTED with a reason. An id it has seen before raises
        RejectedError.
        """
        ...

    def find(self, client_order_id: str) -> BrokerOrder | None:
        """Look an order up by our id; None when the broker does not know it."""
        ...

    def fills(self, client_order_ids: Sequence[str]) -> list[Fill]:
        """Every fill of these orders so far, oldest first."""
        ...

    def activities(self) -> list[CashEntry]:
        """Every deposit, dividend, split and fee of the account so far, oldest first."""
        ...

    def account(self) -> Account:
        """Cash and positions as the broker has them."""
        ...

    def advance(self, market: MarketSession) -> None:
        """Let the session happen: a simulated broker fills at its opens; a real one is not told."""
        ...
