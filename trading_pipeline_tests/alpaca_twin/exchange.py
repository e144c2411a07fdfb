"""The twin's exchange: orders, fills, the account they move, and what is told of them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import RLock
from typing import Any, Literal

from trading_pipeline.core.market.calendar import (
    is_session,
    next_session,
    session_close,
    session_on_or_after,
    session_open,
)
from trading_pipeline_tests.alpaca_twin.accounts import ZERO, Books, stamp, text
from trading_pipeline_tests.alpaca_twin.checks import RefusedError, check, number

Fills = Literal["auto", "held"]
WORKING = {"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "held"}
FLAGS = {
    "trading_blocked": False,
    "account_blocked": False,
    "transfers_blocked": False,
    "trade_suspended_by_user": False,
    "shorting_enabled": True,
}
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


class Exchange:
    """Orders and an account; every method is one step that no other thread comes between."""

    def __init__(self, cash: Decimal, now: datetime | None = None) -> None:
        self.lock = RLock()
        self.now_fixed = now
        self.fills: Fills = "auto"
        self.depth: Decimal | None = None
        self.prices: dict[str, Decimal] = {}
        self.assets: dict[str, dict[str, bool]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.hidden_lookups = 0
        self._hidden: dict[str, int] = {}
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.updates: list[dict[str, Any]] = []
        self.multiplier = Decimal(2)
        self.flags = dict(FLAGS)
        self.books = Books(cash)
        self.books.record(
            "CSD",
            self.now(),
            date=f"{self.now():%Y-%m-%d}",
            net_amount=text(cash),
            status="executed",
        )
        for symbol in SYMBOLS:
            self.offer(symbol)

    # The market

    def now(self) -> datetime:
        return self.now_fixed or datetime.now(UTC)

    def offer(self, symbol: str, price: str = "100", **flags: bool) -> None:
        """Make `symbol` an asset that trades at `price`."""
        every = {"tradable": True, "shortable": True, "fractionable": True}
        self.assets[symbol] = every | flags
        self.prices[symbol] = Decimal(price)

    def price(self, symbol: str) -> Decimal:
        return self.prices[symbol]

    def is_open(self) -> bool:
        now = self.now()
        day = session_on_or_after(now.date())
        return is_session(now.date()) and session_open(day) <= now < session_close(day)

    def clock(self) -> dict[str, Any]:
        now = self.now()
        day = session_on_or_after(now.date())
        opens = session_open(day) if now < session_open(day) else session_open(next_session(day))
        closes = session_close(day if now < session_close(day) else next_session(day))
        times = {"next_open": opens, "next_close": closes, "timestamp": now}
        return {"is_open": self.is_open()} | {name: at.isoformat() for name, at in times.items()}

    def move_to(self, now: datetime) -> None:
        """Set the clock, and fill what waited for an open market."""
        with self.lock:
            self.now_fixed = now
            if self.is_open():
                for order in list(self.open_orders()):
                    self._work(order)

    # Orders

    def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            check(self, body)
            order = self._new(body)
            self.orders[order["client_order_id"]] = order
            self._hidden[order["client_order_id"]] = self.hidden_lookups
            self._tell("new" if order["status"] == "new" else "accepted", order)
            taken = dict(order)
            self._work(order)
            return taken

    def find(self, client_order_id: str) -> dict[str, Any]:
        with self.lock:
            if self._hidden.get(client_order_id, 0) > 0:
                self._hidden[client_order_id] -= 1
                raise RefusedError(404, 40410000, f"order not found for {client_order_id}")
            if client_order_id not in self.orders:
                raise RefusedError(404, 40410000, f"order not found for {client_order_id}")
            return dict(self.orders[client_order_id])

    def by_id(self, order_id: str) -> dict[str, Any]:
        for order in self.orders.values():
            if order["id"] == order_id:
                return order
        raise RefusedError(404, 40410000, f"order not found for {order_id}")

    def open_orders(self) -> Iterator[dict[str, Any]]:
        return (order for order in list(self.orders.values()) if order["status"] in WORKING)

    def listing(
        self, status: str, after: datetime | None, until: datetime | None
    ) -> list[dict[str, Any]]:
        """Orders oldest first, as `direction=asc` has them."""
        first, last = stamp(after) or "", stamp(until) or "9"
        with self.lock:
            return [
                dict(order)
                for order in self.orders.values()
                if (status == "all" or (order["status"] in WORKING) is (status == "open"))
                and first < order["submitted_at"] < last
            ]

    def cancel(self, order_id: str) -> None:
        with self.lock:
            order = self.by_id(order_id)
            if order["status"] not in WORKING:
                raise RefusedError(422, 42210000, f'order is already in "{order["status"]}" state')
            self.end(order["client_order_id"], "canceled")

    def fill(
        self, client_order_id: str, quantity: Decimal | None = None, price: Decimal | None = None
    ) -> None:
        """Fill some of an order, or the rest; a canceled one too, as a crossing fill does."""
        with self.lock:
            order = self.orders[client_order_id]
            left = Decimal(order["qty"]) - Decimal(order["filled_qty"])
            got, paid = quantity or left, price or self.price(order["symbol"])
            before = Decimal(order["filled_qty"])
            spent = before * Decimal(order["filled_avg_price"] or 0)
            order["filled_qty"] = text(before + got)
            order["filled_avg_price"] = text((spent + got * paid) / (before + got))
            if got == left:
                order |= {"status": "filled", "filled_at": stamp(self.now())}
            elif order["status"] in WORKING:
                order["status"] = "partially_filled"
            sign = 1 if order["side"] == "buy" else -1
            self.books.trade(order["symbol"], sign * got, paid)
            self._execute(order, got, paid)

    def end(self, client_order_id: str, status: str) -> None:
        """Cancel, expire or reject an order, or give it a status nobody has heard of."""
        with self.lock:
            order = self.orders[client_order_id]
            order |= {"status": status, "updated_at": stamp(self.now())}
            self._tell(status, order)

    def account(self) -> dict[str, Any]:
        with self.lock:
            equity = self.books.equity(self.prices)
            return {
                "id": self.books.identity(),
                "account_number": "TWIN1",
                "status": "ACTIVE",
                "currency": "USD",
                "cash": text(self.books.cash),
                "equity": text(equity),
                "portfolio_value": text(equity),
                "buying_power": text(self.buying_power()),
                "multiplier": text(self.multiplier),
                **self.flags,
            }

    def positions(self) -> list[dict[str, Any]]:
        with self.lock:
            return self.books.positions(self.prices)

    def buying_power(self) -> Decimal:
        gross = sum(
            (abs(held.quantity) * self.prices[s] for s, held in self.books.holdings.items()), ZERO
        )
        waiting = sum(
            (
                (Decimal(order["qty"]) - Decimal(order["filled_qty"])) * self.price(order["symbol"])
                for order in self.open_orders()
                if self._opens(order)
            ),
            ZERO,
        )
        return self.books.equity(self.prices) * self.multiplier - gross - waiting

    def _opens(self, order: dict[str, Any]) -> bool:
        sign = 1 if order["side"] == "buy" else -1
        return self.books.quantity(order["symbol"]) * sign >= 0

    def _new(self, body: dict[str, Any]) -> dict[str, Any]:
        at = stamp(self.now() + timedelta(microseconds=len(self.orders)))
        identity = self.books.identity()
        empty = ("notional", "filled_avg_price", "filled_at", "expired_at", "canceled_at")
        return {
            "id": identity,
            "client_order_id": body.get("client_order_id") or identity,
            "created_at": at,
            "updated_at": at,
            "submitted_at": at,
            "asset_id": identity,
            "asset_class": "us_equity",
            "symbol": body["symbol"],
            "qty": text(number(body, "qty")),
            "filled_qty": "0",
            "order_class": "",
            "order_type": body["type"],
            "type": body["type"],
            "side": body["side"],
            "time_in_force": body["time_in_force"],
            "limit_price": text(number(body, "limit_price")),
            "stop_price": text(number(body, "stop_price")),
            "status": "new" if self.is_open() else "accepted",
            "extended_hours": False,
            "legs": None,
        } | dict.fromkeys(empty)

    def _work(self, order: dict[str, Any]) -> None:
        """Fill a marketable order in an open market, when fills are not held back."""
        if self.fills == "held" or not self.is_open():
            return
        price, sign = self.price(order["symbol"]), 1 if order["side"] == "buy" else -1
        limit, stop = order["limit_price"], order["stop_price"]
        if stop is not None and sign * (price - Decimal(stop)) < 0:
            return
        if limit is not None and sign * (Decimal(limit) - price) < 0:
            return
        left = Decimal(order["qty"]) - Decimal(order["filled_qty"])
        got = left if self.depth is None else min(left, self.depth)
        self.fill(order["client_order_id"], got)

    def _execute(self, order: dict[str, Any], quantity: Decimal, price: Decimal) -> None:
        done = order["status"] == "filled"
        at = self.now()
        short = order["side"] == "sell" and self.books.quantity(order["symbol"]) < 0
        activity = self.books.record(
            "FILL",
            at,
            type="fill" if done else "partial_fill",
            transaction_time=stamp(at),
            order_id=order["id"],
            symbol=order["symbol"],
            side="sell_short" if short else order["side"],
            qty=text(quantity),
            price=text(price),
            cum_qty=order["filled_qty"],
            leaves_qty=text(Decimal(order["qty"]) - Decimal(order["filled_qty"])),
            order_status=order["status"],
        )
        self._tell(
            "fill" if done else "partial_fill",
            order,
            execution_id=activity["id"].split("::")[1],
            qty=text(quantity),
            price=text(price),
            position_qty=text(self.books.quantity(order["symbol"])),
        )

    def _tell(self, event: str, order: dict[str, Any], **more: Any) -> None:
        update = {"event": event, "timestamp": stamp(self.now()), "order": dict(order), **more}
        self.updates.append(update)
        for listener in self.listeners:
            listener(update)
