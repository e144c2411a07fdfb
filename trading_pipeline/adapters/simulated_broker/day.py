"""A session happening to an account: what goes ex, fills at the open, values at the close."""

import sqlite3
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Final

from trading_pipeline.adapters.simulated_broker.account_file import (
    insert_entry,
    insert_fill,
    waiting_orders,
)
from trading_pipeline.core.accounting.book import CashEntry, EntryKind
from trading_pipeline.core.accounting.borrow import borrow_fees
from trading_pipeline.core.accounting.successions import successions
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.costs import CENT, CostModel
from trading_pipeline.core.execution.order import Fill, Order, OrderState, move, record
from trading_pipeline.core.execution.terms import Terms, terms_of
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
        kept = account.execute("SELECT cash, last_session FROM account").fetchone()
        self._cash, self._last = Decimal(kept["cash"]), kept["last_session"]
        rows = account.execute("SELECT * FROM positions ORDER BY symbol").fetchall()
        self._shares = {row["symbol"]: Decimal(row["quantity"]) for row in rows}
        self._prices = {row["symbol"]: Decimal(row["price"]) for row in rows}

    def happen(self) -> None:
        """Pay, split, fill, and keep the account as it stands at the close."""
        self._pay_borrow()
        for symbol in list(self._shares):
            self._pay_dividend(symbol)
            self._split(symbol)
        self._succeed()
        for order in waiting_orders(self._account, self._market.session):
            self._execute(order)
        self._keep()

    def _pay_borrow(self) -> None:
        """Debit what shorts have cost since the last session's close."""
        if self._last is None:
            return
        for entry in borrow_fees(
            self._shares,
            self._prices,
            costs=self._costs,
            since=date.fromisoformat(self._last),
            session=self._market.session,
        ):
            self._cash += entry.amount
            insert_entry(self._account, entry)

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

    def _execute(self, order: Order) -> None:
        """Fill what price and volume let fill, and end what does not wait for another session."""
        terms, session = terms_of(order), self._market.session
        price = (self._market.closes if terms.at_close else self._market.opens).get(order.symbol)
        is_due = next_session(order.session) == session
        if terms.stays and not is_due and order.symbol in self._market.splits:
            self._update(move(order, OrderState.CANCELED, reason=f"{order.symbol} splits."))
            return
        slipped = None if price is None else self._costs.fill_price(price, terms.side)
        paid = terms.pays(price, slipped) if price and slipped and (is_due or terms.stays) else None
        after = order if paid is None else self._fill(order, terms, paid)
        if after.remaining_quantity and not terms.stays:
            reason = self._shortfall(order, after, price, is_due=is_due, paid=paid)
            after = move(after, OrderState.EXPIRED, reason=reason)
        self._update(after)

    def _shortfall(
        self,
        order: Order,
        after: Order,
        price: Decimal | None,
        *,
        is_due: bool,
        paid: Decimal | None,
    ) -> str:
        """Return why an order has not filled to its end."""
        if paid is not None:
            filled = after.filled_quantity
            return (
                f"The volume of {self._market.session} let {filled:f} of {order.quantity:f} fill."
            )
        what = f"no {'closing' if terms_of(order).at_close else 'opening'} price"
        what += " that its terms allow" if is_due and price is not None else ""
        due = next_session(order.session)
        return f"{order.symbol} had {what} in {due}, the session the order was for."

    def _fill(self, order: Order, terms: Terms, paid: Decimal) -> Order:
        symbol = order.symbol
        volume = self._market.volumes.get(symbol)
        quantity = self._costs.fillable(order.remaining_quantity, volume)
        if not quantity:
            return order
        fill = Fill(
            fill_id=self._fill_name(order),
            client_order_id=order.client_order_id,
            strategy=order.strategy,
            symbol=symbol,
            side=order.side,
            quantity=quantity,
            price=paid,
            commission=self._commission(order, quantity),
            session=self._market.session,
            filled_at=session_close(self._market.session) if terms.at_close else self._opens_at,
        )
        insert_fill(self._account, fill)
        self._cash -= fill.signed_quantity * paid + fill.commission
        self._shares[symbol] = self._shares.get(symbol, _NONE) + fill.signed_quantity
        self._prices[symbol] = paid
        return record(order, fill)

    def _fill_name(self, order: Order) -> str:
        name = f"sim-{order.client_order_id}"
        return f"{name}-{self._market.session}" if order.filled_quantity else name

    def _commission(self, order: Order, quantity: Decimal) -> Decimal:
        """Return what the order owes with these shares beyond what it has paid already."""
        due = self._costs.commission(order.filled_quantity + quantity)
        paid = self._costs.commission(order.filled_quantity) if order.filled_quantity else _NONE
        return due - paid

    def _update(self, order: Order) -> None:
        average = order.average_fill_price
        self._account.execute(
            "UPDATE orders SET state = ?, filled_quantity = ?, average_fill_price = ?, reason = ? "
            "WHERE client_order_id = ?",
            (
                order.state.value,
                f"{order.filled_quantity:f}",
                None if average is None else f"{average:f}",
                order.reason,
                order.client_order_id,
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
