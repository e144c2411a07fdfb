"""The twin's books: cash, positions at average entry, and activities, in exact decimals."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

ZERO = Decimal(0)


def text(value: Decimal | None) -> str | None:
    """A decimal as the wire has it."""
    return None if value is None else f"{value.normalize():f}"


def stamp(at: datetime | None) -> str | None:
    """A time as the wire has it: RFC 3339 with nanoseconds."""
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z"


@dataclass
class Holding:
    """Signed shares and what one cost on average."""

    quantity: Decimal = ZERO
    entry: Decimal = ZERO

    def trade(self, quantity: Decimal, price: Decimal) -> None:
        after = self.quantity + quantity
        if self.quantity * quantity >= 0:
            self.entry = (self.quantity * self.entry + quantity * price) / after
        elif after * self.quantity < 0:
            self.entry = price
        self.quantity = after


@dataclass
class Books:
    """One account."""

    cash: Decimal
    holdings: dict[str, Holding] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))

    def holding(self, symbol: str) -> Holding:
        return self.holdings.setdefault(symbol, Holding())

    def quantity(self, symbol: str) -> Decimal:
        return self.holding(symbol).quantity

    def trade(self, symbol: str, quantity: Decimal, price: Decimal) -> None:
        self.holding(symbol).trade(quantity, price)
        self.cash -= quantity * price

    def record(self, kind: str, at: datetime, **more: Any) -> dict[str, Any]:
        """Append an activity; `net_amount` moves cash, `qty` of a split moves shares."""
        made = {"activity_type": kind, "id": self._name(at), **more}
        self.activities.append(made)
        return made

    def _name(self, at: datetime) -> str:
        return f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03}::{self.identity()}"

    def identity(self) -> str:
        """The next id, as a UUID."""
        return str(UUID(int=next(self.numbers)))

    def positions(self, price: dict[str, Decimal]) -> list[dict[str, Any]]:
        return [
            {
                "asset_id": str(UUID(int=0)),
                "symbol": symbol,
                "exchange": "NASDAQ",
                "asset_class": "us_equity",
                "avg_entry_price": text(held.entry),
                "qty": text(held.quantity),
                "qty_available": text(held.quantity),
                "side": "long" if held.quantity > 0 else "short",
                "market_value": text(held.quantity * price.get(symbol, held.entry)),
                "cost_basis": text(held.quantity * held.entry),
                "current_price": text(price.get(symbol, held.entry)),
                "unrealized_pl": text(held.quantity * (price.get(symbol, held.entry) - held.entry)),
            }
            for symbol, held in sorted(self.holdings.items())
            if held.quantity
        ]

    def equity(self, price: dict[str, Decimal]) -> Decimal:
        return self.cash + sum(
            (
                held.quantity * price.get(symbol, held.entry)
                for symbol, held in self.holdings.items()
            ),
            ZERO,
        )
