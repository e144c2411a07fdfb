"""What happens at the twin without an order: corporate actions in legs, and what borrow costs."""

from decimal import Decimal
from typing import Any

from trading_pipeline_tests.alpaca_twin.accounts import ZERO, text
from trading_pipeline_tests.alpaca_twin.exchange import Exchange


def charge_borrow(exchange: Exchange, symbol: str, dollars: Decimal) -> None:
    """Take what a short costs."""
    _leg(exchange, "FEE", symbol, ZERO, cash=-dollars, description=f"Stock borrow fee {symbol}")


def split(exchange: Exchange, symbol: str, new: Decimal) -> None:
    """Turn each share into `new` ones: the old ones go and the new ones come."""
    held = exchange.books.holding(symbol)
    before, held.quantity, held.entry = held.quantity, held.quantity * new, held.entry / new
    group = exchange.books.identity()
    _leg(exchange, "SPLIT", symbol, -before, group_id=group)
    _leg(exchange, "SPLIT", symbol, held.quantity, group_id=group)


def succeed(
    exchange: Exchange, kind: str, old: str, new: str | None, *, rate: str = "1", paid: str = "0"
) -> None:
    """Turn all shares of `old` into `rate` shares of `new` and `paid` dollars each."""
    books = exchange.books
    was = books.holdings.pop(old)
    group = {"group_id": books.identity(), "description": f"Name Change from {old} to {new}"}
    if cash := was.quantity * Decimal(paid):
        _leg(exchange, kind, old, ZERO, cash=cash, **group)
    _leg(exchange, kind, old, -was.quantity, **group)
    if new:
        held = books.holding(new)
        held.quantity, held.entry = was.quantity * Decimal(rate), was.entry / Decimal(rate)
        exchange.offer(new)
        _leg(exchange, kind, new, held.quantity, **group)


def spin_off(exchange: Exchange, source: str, new: str, rate: str, **facts: str) -> None:
    """Bring `rate` shares of `new` for each of `source`; `facts` are what else is told."""
    quantity = exchange.books.quantity(source) * Decimal(rate)
    exchange.books.holding(new).quantity = quantity
    exchange.offer(new)
    _leg(exchange, "SPIN", new, quantity, **facts)


def _leg(
    exchange: Exchange,
    kind: str,
    symbol: str,
    shares: Decimal,
    *,
    cash: Decimal = ZERO,
    **more: Any,
) -> None:
    now = exchange.now()
    exchange.books.cash += cash
    exchange.books.record(
        kind,
        now,
        symbol=symbol,
        qty=text(shares),
        net_amount=text(cash) or "0",
        date=f"{now:%Y-%m-%d}",
        status="executed",
        **more,
    )
