"""The two seams with several implementations: a vendor of market data, and a broker."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol, runtime_checkable

import polars as pl

from trading_pipeline.core.accounting.book import CashEntry
from trading_pipeline.core.execution.account import (
    Account,
    BrokerOrder,
    MarketSession,
    Trade,
)
from trading_pipeline.core.execution.order import Fill, Order


class Tables(Protocol):
    """What can be read by table and range of sessions: the lake, or a part of it in memory."""

    def read(
        self,
        table: str,
        first: date,
        last: date,
        *,
        symbols: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return the rows of the sessions first…last, sorted by session and symbol."""
        ...


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
        """Corporate actions with an ex-date in first…last, both included.

        Columns: those of core.market.action_kinds.ACTIONS (as in CorporateActions).
        """
        ...


class LiveQuote(Protocol):
    """A best bid and offer."""

    @property
    def at(self) -> datetime:
        """When it was quoted, aware UTC."""
        ...


@runtime_checkable
class LiveQuotes(Protocol):
    """A vendor that has quotes of the present as well."""

    def latest_quotes(self, symbols: Sequence[str]) -> Mapping[str, LiveQuote]:
        """The newest quote of each symbol that has one."""
        ...


class Broker(Protocol):
    """A place that takes orders and keeps an account."""

    @property
    def name(self) -> str:
        """The broker's name, for records and reports."""
        ...

    @property
    def nets(self) -> bool:
        """Whether it takes the leg that opens a side before the one that closes the other fills."""
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

    def find_all(self, client_order_ids: Sequence[str]) -> dict[str, BrokerOrder]:
        """Look several orders up by our ids; those the broker does not know are absent."""
        ...

    def cancel(self, client_order_id: str) -> None:
        """Ask for an order to be taken back; one that is filled, ended or unknown stays as it is.

        Whether it was taken back, a look-up or a fill tells.
        """
        ...

    def fills(self, client_order_ids: Sequence[str]) -> list[Fill]:
        """Every fill of these orders so far, oldest first.

        A broker that does not know our strategies leaves them empty.
        """
        ...

    def open_orders(self) -> list[BrokerOrder]:
        """Every order that may still fill, ours and others, each with its `body`."""
        ...

    def trades(self, since: date | None = None) -> list[Trade]:
        """Every execution of any order, ours or not, in sessions from `since` on, oldest first."""
        ...

    def activities(self, since: date | None = None) -> list[CashEntry]:
        """Every deposit, dividend, split, fee, borrow and interest, oldest first.

        Those that the broker dates `since` or later; the broker's own id is the entry's.
        """
        ...

    def account(self) -> Account:
        """Cash and positions as the broker has them."""
        ...

    def advance(self, market: MarketSession) -> None:
        """Let the session happen: a simulated broker fills at its opens; a real one is not told."""
        ...
