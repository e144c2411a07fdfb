"""A broker that keeps its own account, as a real one does, and fills at the open of each session.

The account is a SQLite file of its own, and every operation is one transaction in it: a process
that is killed leaves the account as it was before or as it is after. Ids and times follow from the
orders and sessions alone, so the same orders on the same market give the same account.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from threading import RLock
from typing import Final

from filelock import FileLock, Timeout

from trading_pipeline.adapters.simulated_broker.account_file import (
    all_entries,
    all_trades,
    find_fills,
    find_order,
    insert_order,
    open_orders,
)
from trading_pipeline.adapters.simulated_broker.account_schema import BUSY_SECONDS, open_account
from trading_pipeline.adapters.simulated_broker.day import Day
from trading_pipeline.core.accounting.book import CashEntry
from trading_pipeline.core.execution.account import Account, BrokerOrder, MarketSession, Trade
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import Fill, Order, OrderState, TimeInForce
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.errors import AdapterError, RejectedError, SettingsError, TransientError


class SimulatedBroker:
    """An account that opens with `opening_cash` and trades at `costs`; satisfies `ports.Broker`.

    The file is made by the first operation that changes the account: until then the account can be
    read, and is as it would open. Every method raises SettingsError where the file cannot be used,
    TransientError where another process keeps it busy, AdapterError where it fails.
    """

    def __init__(self, path: Path, costs: CostModel, opening_cash: Decimal) -> None:
        if opening_cash <= 0:
            raise SettingsError(f"An account cannot open with {opening_cash} dollars: more is due.")
        self._path = path
        self._costs = costs
        self._opening_cash = opening_cash
        self._file: sqlite3.Connection | None = None
        self._one_at_a_time = RLock()

    @property
    def name(self) -> str:
        """`simulated`."""
        return "simulated"

    @property
    def nets(self) -> bool:
        """True: one open fills both legs, the closing one first."""
        return True

    def submit(self, order: Order) -> BrokerOrder:
        """Accept an order for the open of the session after its own, once.

        An order whose open has passed is refused: state REJECTED with the reason. An id that was
        used before, by whatever order, raises RejectedError.
        """
        with self._writing() as account:
            if find_order(account, order.client_order_id):
                raise RejectedError(f"The order id {order.client_order_id} was used before.")
            reason = _refusal(account, order)
            state = OrderState.REJECTED if reason else OrderState.ACCEPTED
            return insert_order(account, order, state, reason)

    def cancel(self, client_order_id: str) -> None:
        """Take back what an order has not filled; one that has ended or is unknown stays so."""
        with self._writing() as account:
            account.execute(
                "UPDATE orders SET state=?, reason=? WHERE client_order_id=? AND state IN (?,?)",
                (OrderState.CANCELED, "taken back", client_order_id, *_WAITING),
            )

    def find(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order of this id, or None."""
        with self._reading() as account:
            return find_order(account, client_order_id)

    def find_all(self, client_order_ids: Sequence[str]) -> dict[str, BrokerOrder]:
        """Return the orders of these ids that there are, by id."""
        with self._reading() as account:
            found = (find_order(account, name) for name in dict.fromkeys(client_order_ids))
            return {order.client_order_id: order for order in found if order is not None}

    def fills(self, client_order_ids: Sequence[str]) -> list[Fill]:
        """Return every fill of these orders, oldest first."""
        with self._reading() as account:
            found = [
                numbered
                for name in dict.fromkeys(client_order_ids)
                for numbered in find_fills(account, name)
            ]
        return [fill for _, fill in sorted(found, key=itemgetter(0))]

    def open_orders(self) -> list[BrokerOrder]:
        """Return the orders that wait for an open, oldest first, whoever sent them."""
        with self._reading() as account:
            return open_orders(account)

    def trades(self, since: date | None = None) -> list[Trade]:
        """Return every fill of any order in sessions from `since` on, oldest first."""
        with self._reading() as account:
            return all_trades(account, since)

    def activities(self, since: date | None = None) -> list[CashEntry]:
        """Return the deposit, dividends, splits and successions from `since` on, oldest first."""
        with self._reading() as account:
            return all_entries(account, since)

    def account(self) -> Account:
        """Return cash and the positions that are not flat."""
        with self._reading() as account:
            cash = account.execute("SELECT cash FROM account").fetchone()["cash"]
            rows = account.execute("SELECT symbol, quantity FROM positions ORDER BY symbol")
            positions = {row["symbol"]: Decimal(row["quantity"]) for row in rows}
        return Account(cash=Decimal(cash), positions=positions)

    def advance(self, market: MarketSession) -> None:
        """Let a session happen, once: an earlier session than the last one changes nothing.

        First the borrow of shorts, then dividends and splits, on what was held at the close before,
        then spin-offs, symbol changes and delistings; then the orders for this open fill at
        open·(1 ± slippage), with commission, those for the closing auction likewise at the close,
        each as far as its share of the session's volume goes. Limits and stops are weighed at that
        one price. Orders that find no price, or none that their terms allow, expire, as does what
        is left of those that fill in part; good-till-canceled ones wait for the next session,
        unless the symbol splits.
        """
        with self._writing() as account:
            last = account.execute("SELECT last_session FROM account").fetchone()["last_session"]
            if last is not None and market.session <= date.fromisoformat(last):
                return
            Day(account, market, self._costs).happen()

    def close(self) -> None:
        """Close the file; the next operation opens it again."""
        with self._one_at_a_time:
            if self._file is not None:
                self._file.close()
            self._file = None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self._file is None and not self._path.exists():
            with self._translated():
                account = open_account(":memory:", self._opening_cash)
                yield account
                account.close()
            return
        with self._transaction("BEGIN") as account:
            yield account

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._transaction("BEGIN IMMEDIATE") as account:
            yield account

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._one_at_a_time, self._translated():
            account = self._opened()
            account.execute(begin)
            try:
                yield account
            except BaseException:
                if account.in_transaction:
                    account.execute("ROLLBACK")
                raise
            account.execute("COMMIT")

    def _opened(self) -> sqlite3.Connection:
        """Return the connection, having made the account if the file is new."""
        if self._file is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{self._path}.lock", timeout=BUSY_SECONDS):
                    self._file = open_account(str(self._path), self._opening_cash)
            except Timeout as error:
                raise TransientError(f"{self._path} is being made by another process.") from error
            except OSError as error:
                raise SettingsError(f"{self._path} cannot be written: {error}.") from error
        return self._file

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            where = f"The simulated account {self._path}"
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
            if code == sqlite3.SQLITE_BUSY:
                raise TransientError(f"{where} is kept busy: {error}.") from error
            if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOTADB}:
                raise SettingsError(f"{where} cannot be used: {error}.") from error
            raise AdapterError(f"{where} failed: {error}.") from error


_WAITING: Final = (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED)


def _refusal(account: sqlite3.Connection, order: Order) -> str | None:
    """Return why the broker does not take the order, or None."""
    if order.quantity <= 0:
        return f"An order of {order.quantity} shares cannot be filled: expected more than 0."
    if order.quantity % 1 and order.time_in_force is not TimeInForce.DAY:
        return f"Parts of a share trade in day orders only: this one is {order.time_in_force}."
    due = next_session(order.session)
    last = account.execute("SELECT last_session FROM account").fetchone()["last_session"]
    if last is not None and date.fromisoformat(last) >= due:
        return f"The open of {due}, which the order was for, has passed."
    return None
