"""A session happening to an account: what goes ex, fills at the open, values at the close."""

import sqlite3
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Final

from trading_pipeline.adapters.simulated_broker.account_file import insert_entry, terms_of
from trading_pipeline.core.accounting.book import CashEntry, EntryKind
from trading_pipeline.core.accounting.successions import successions
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.costs import CENT, CostModel
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.execution.terms import Terms
from trading_pipeline.core.market.calendar import next_session, session_close, session_open

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
        self._succeed()
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

    def _succeed(self) -> None:
        """Move shares on to what they became, and pay what they brought."""
        for entry in successions(self._market, self._shares, self._prices):
            symbol, new = entry.symbol or "", entry.new_symbol
            self._cash += entry.amount
            self._shares[symbol] += entry.quantity
            if new and entry.new_quantity:
                self._shares[new] = self._shares.get(new, _NONE) + entry.new_quantity
                self._prices.setdefault(new, self._prices[symbol])
            insert_entry(self._account, entry)

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
        terms, symbol = terms_of(row), row["symbol"]
        price = (self._market.closes if terms.at_close else self._market.opens).get(symbol)
        due = next_session(date.fromisoformat(row["session"]))
        missed = due != self._market.session and not terms.stays
        slipped = None if price is None else self._costs.fill_price(price, terms.side)
        paid = None if missed or price is None else terms.pays(price, slipped or price)
        if paid is not None:
            self._fill(row, terms, paid)
        elif not terms.stays:
            what = f"no {'closing' if terms.at_close else 'opening'} price"
            what += "" if missed or price is None else " that its terms allow"
            reason = f"{symbol} had {what} in {due}, the session the order was for."
            self._finish(row, OrderState.EXPIRED, reason=reason)

    def _fill(self, row: sqlite3.Row, terms: Terms, paid: Decimal) -> None:
        symbol, quantity = row["symbol"], Decimal(row["quantity"])
        commission = self._costs.commission(quantity)
        self._cash -= terms.side.sign * quantity * paid + commission
        self._shares[symbol] = self._shares.get(symbol, _NONE) + terms.side.sign * quantity
        self._prices[symbol] = paid
        self._finish(row, OrderState.FILLED, filled=quantity, price=paid)
        at = session_close(self._market.session) if terms.at_close else self._opens_at
        self._account.execute(
            "INSERT INTO fills (client_order_id, price, commission, session, filled_at) "
            "VALUES (?,?,?,?,?)",
            (
                row["client_order_id"],
                f"{paid:f}",
                f"{commission:f}",
                self._market.session.isoformat(),
                at.isoformat(),
            ),
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
