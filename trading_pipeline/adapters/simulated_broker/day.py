"""A session happening to an account: dividends, splits, fills at the open, values at the close."""

import sqlite3
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Final

from trading_pipeline.adapters.simulated_broker.account_file import insert_entry
from trading_pipeline.core.accounting.book import CashEntry, EntryKind
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.costs import CENT, CostModel
from trading_pipeline.core.execution.order import OrderState, Side
from trading_pipeline.core.market.calendar import next_session, session_open

_NONE: Final = Decimal(0)
_WHOLE: Final = Decimal(1)
_SHARE: Final = Decimal("0.000001")
"""Ratios such as 1/3 have no end: shares after a split are rounded to this, then cut to whole."""


class Day:
    """One session happening to the account."""

    def __init__(
        self, account: sqlite3.Connection, market: MarketSession, costs: CostModel
    ) -> None:
        self._account = account
        self._market = market
        self._costs = costs
        self._opens_at = session_open(market.session)
        self._cash = Decimal(account.execute("SELECT cash FROM account").fetchone()["cash"])
        rows = account.execute("SELECT * FROM positions ORDER BY symbol").fetchall()
        self._shares = {row["symbol"]: Decimal(row["quantity"]) for row in rows}
        self._prices = {row["symbol"]: Decimal(row["price"]) for row in rows}

    def happen(self) -> None:
        """Pay, split, fill, and keep the account as it stands at the close."""
        for symbol in list(self._shares):
            self._pay_dividend(symbol)
            self._split(symbol)
        waiting = "SELECT * FROM orders WHERE state = 'accepted' AND session < ? ORDER BY number"
        for row in self._account.execute(waiting, (self._market.session.isoformat(),)).fetchall():
            self._execute(row)
        self._keep()

    def _pay_dividend(self, symbol: str) -> None:
        """Credit longs and debit shorts, to the cent."""
        dividend = self._market.dividends.get(symbol, Decimal(0))
        amount = _cents(dividend * self._shares[symbol])
        if amount:
            self._record(EntryKind.DIVIDEND, symbol, amount=amount)

    def _split(self, symbol: str) -> None:
        """Change the shares to a whole number and settle the fraction in cash, at the open."""
        ratio = self._market.splits.get(symbol)
        if ratio is None:
            return
        before = self._shares[symbol]
        exact = (before * ratio).quantize(_SHARE)
        after = exact.quantize(_WHOLE, ROUND_DOWN)
        self._prices[symbol] /= ratio
        price = self._market.opens.get(symbol, self._prices[symbol])
        lieu = _cents((exact - after) * price)
        self._shares[symbol] = after
        if after != before or lieu:
            self._record(EntryKind.SPLIT, symbol, amount=lieu, quantity=after - before)

    def _record(
        self, kind: EntryKind, symbol: str, *, amount: Decimal, quantity: Decimal = _NONE
    ) -> None:
        self._cash += amount
        entry = CashEntry(
            entry_id=f"sim-{kind}-{self._market.session}-{symbol}",
            kind=kind,
            session=self._market.session,
            amount=amount,
            symbol=symbol,
            quantity=quantity,
            at=self._opens_at,
        )
        insert_entry(self._account, entry)

    def _execute(self, row: sqlite3.Row) -> None:
        symbol, price = row["symbol"], self._market.opens.get(row["symbol"])
        due = next_session(date.fromisoformat(row["session"]))
        if due != self._market.session or price is None:
            reason = f"{symbol} had no opening price in {due}, the session the order was for."
            self._finish(row, OrderState.EXPIRED, reason=reason)
            return
        side, quantity = Side(row["side"]), Decimal(row["quantity"])
        paid = self._costs.fill_price(price, side)
        commission = self._costs.commission(quantity)
        self._cash -= side.sign * quantity * paid + commission
        self._shares[symbol] = self._shares.get(symbol, _NONE) + side.sign * quantity
        self._prices[symbol] = paid
        self._finish(row, OrderState.FILLED, filled=quantity, price=paid)
        session, at = self._market.session.isoformat(), self._opens_at.isoformat()
        self._account.execute(
            "INSERT INTO fills (client_order_id, price, commission, session, filled_at) "
            "VALUES (?,?,?,?,?)",
            (row["client_order_id"], f"{paid:f}", f"{commission:f}", session, at),
        )

    def _finish(
        self,
        row: sqlite3.Row,
        state: OrderState,
        *,
        filled: Decimal = _NONE,
        price: Decimal | None = None,
        reason: str | None = None,
    ) -> None:
        self._account.execute(
            "UPDATE orders SET state = ?, filled_quantity = ?, average_fill_price = ?, reason = ? "
            "WHERE number = ?",
            (
                state.value,
                f"{filled:f}",
                None if price is None else f"{price:f}",
                reason,
                row["number"],
            ),
        )

    def _keep(self) -> None:
        self._account.execute(
            "UPDATE account SET cash = ?, last_session = ?",
            (f"{self._cash:f}", self._market.session.isoformat()),
        )
        self._account.execute("DELETE FROM positions")
        self._account.executemany(
            "INSERT INTO positions (symbol, quantity, price) VALUES (?,?,?)",
            [
                (
                    symbol,
                    f"{shares:f}",
                    f"{self._market.closes.get(symbol, self._prices[symbol]):f}",
                )
                for symbol, shares in sorted(self._shares.items())
                if shares
            ],
        )


def _cents(dollars: Decimal) -> Decimal:
    return dollars.quantize(CENT, ROUND_HALF_UP)
