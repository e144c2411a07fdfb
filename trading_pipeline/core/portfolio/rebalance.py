"""From target weights to planned orders: the difference between what is wanted and what is held.

The only place where float weights become Decimal.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from math import isfinite
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.accounting.book import Book
from trading_pipeline.core.execution.order import Order, Side, client_order_id
from trading_pipeline.errors import MissingDataError, SchemaError

CENT: Final = Decimal("0.01")
PART: Final = Decimal("0.000000001")
"""Brokers count parts of a share to nine decimals."""

LEAST_VALUE: Final = Decimal(1)
"""Dollars of the smallest order of parts of a share, but to be rid of a position."""


class SizingRules(BaseModel):
    """How many dollars a weight of one stands for, and the most that one position gets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capital: Decimal = Field(
        default=Decimal(100_000), gt=0, description="dollars that a weight of 1 stands for"
    )
    max_position_size: Decimal = Field(
        default=Decimal(20_000), gt=0, description="dollars a position gets at most"
    )
    fractional: bool = Field(
        default=False, description="longs in parts of a share, to nine decimals; shorts stay whole"
    )

    def quantum(self, shares: Decimal | float) -> Decimal:
        """Return the least part of a share that a position of so many shares is traded in."""
        return PART if self.fractional and shares > 0 else Decimal(1)


class SkipReason(StrEnum):
    """Why a symbol of the plan gets no order."""

    ZERO_WEIGHT = "zero_weight"
    LESS_THAN_ONE_SHARE = "qty_less_than_one_share"
    PRICE_UNAVAILABLE = "price_unavailable"
    ON_TARGET = "on_target"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A symbol that is wanted or held and gets no order."""

    symbol: str
    reason: SkipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Orders in the order they are to be sent, and skips by symbol."""

    orders: list[Order]
    skips: list[Skip]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """One symbol's difference between what is held and what is wanted, in signed shares."""

    symbol: str
    weight: float
    price: Decimal | None
    held: Decimal
    wanted: Decimal
    quantum: Decimal

    @property
    def legs(self) -> tuple[Decimal, ...]:
        """Signed shares to trade, none without a price: crossing zero closes, then opens."""
        if self.price is None:
            return ()
        if self.held * self.wanted < 0:
            return -self.held, self.wanted
        change = self.wanted - self.held
        if self.wanted:
            # what is less than the quantum is traded only to be rid of it
            change = (change / self.quantum).to_integral_value(ROUND_DOWN) * self.quantum
            if self.quantum < 1 and abs(change) * self.price < LEAST_VALUE:
                return ()
        return (change,) if change else ()

    @property
    def skip(self) -> SkipReason | None:
        """Why there is nothing to trade, or None."""
        if self.legs:
            return None
        if self.price is None and (self.weight or self.held):
            return SkipReason.PRICE_UNAVAILABLE
        if self.wanted:
            return SkipReason.ON_TARGET
        return SkipReason.LESS_THAN_ONE_SHARE if self.weight else SkipReason.ZERO_WEIGHT


def plan(
    targets: pl.DataFrame,
    book: Book,
    marks: Mapping[str, Decimal],
    *,
    session: date,
    strategy: str,
    rules: SizingRules,
) -> Plan:
    """Return the orders that lead from the book to the targets of `session`, sells before buys.

    A target is min(|weight|·capital, max_position_size) dollars at the mark, in whole shares or,
    where the rules say so, parts of a share, rounded toward zero. Positions that are no target are
    closed. Crossing zero is two orders: leg 1 closes, leg 2 opens. On each side, orders that shrink
    a position go first, then by symbol; the order of the rows of `targets` never matters. Orders
    still open at the broker belong into `book` (see `accounting.book.expect`). Targets of another
    session or strategy, a weight that is not finite or a symbol twice raise SchemaError; no targets
    at all raise MissingDataError, because an empty table must not close every position.
    """
    weights = _weights(targets, session=session, strategy=strategy)
    held = {p.symbol for p in book.positions.values() if p.quantity}
    wishes = [
        _wish(symbol, weights.get(symbol, 0.0), book, marks.get(symbol), rules=rules)
        for symbol in sorted(held.union(weights))
    ]
    orders = [
        (order.side is Side.BUY, opens, order)
        for wish in wishes
        for opens, order in _orders(wish, session=session, strategy=strategy)
    ]
    orders.sort(key=lambda row: row[:2])
    return Plan(
        orders=numbered([row[2] for row in orders]),
        skips=[Skip(symbol=wish.symbol, reason=wish.skip) for wish in wishes if wish.skip],
    )


def withhold(planned: Plan, suspended: Collection[str]) -> Plan:
    """Return the plan without orders of suspended symbols, which are skips of it instead.

    What they are worth is not known until their bar is confirmed, so that neither a purchase nor a
    sale is right; a position in them stays as it is.
    """
    orders = [order for order in planned.orders if order.symbol not in suspended]
    reasons = {skip.symbol: skip.reason for skip in planned.skips}
    named = reasons.keys() | {order.symbol for order in planned.orders}
    reasons |= dict.fromkeys(named.intersection(suspended), SkipReason.SUSPENDED)
    skips = [Skip(symbol=symbol, reason=reasons[symbol]) for symbol in sorted(reasons)]
    return Plan(orders=numbered(orders), skips=skips)


def numbered(orders: list[Order]) -> list[Order]:
    """Return the orders with their places in the sequence, from 1."""
    return [replace(order, sequence=place) for place, order in enumerate(orders, start=1)]


def _weights(targets: pl.DataFrame, *, session: date, strategy: str) -> dict[str, float]:
    """Return weight by symbol, having made sure that these are the session's own targets."""
    if targets.is_empty():
        raise MissingDataError(f"{strategy} has no target weights of {session}: nothing to plan.")
    weights: dict[str, float] = {}
    rows = targets.select("symbol", "session", "strategy", "target_weight").iter_rows()
    for symbol, of_session, of_strategy, weight in rows:
        if (of_session, of_strategy) != (session, strategy):
            raise SchemaError(
                f"The targets hold {of_strategy} of {of_session} for {symbol}: "
                f"expected {strategy} of {session} only."
            )
        if symbol in weights or weight is None or not isfinite(weight):
            raise SchemaError(
                f"The target weight of {symbol} in {session} is {weight}: "
                "expected one finite number a symbol."
            )
        weights[symbol] = weight
    return weights


def _wish(
    symbol: str, weight: float, book: Book, price: Decimal | None, *, rules: SizingRules
) -> _Wish:
    if price is not None and not (price.is_finite() and price > 0):
        price = None
    return _Wish(
        symbol=symbol,
        weight=weight,
        price=price,
        held=book.quantity(symbol),
        wanted=_shares(weight, price, rules) if price else Decimal(0),
        quantum=rules.quantum(weight),
    )


def _shares(weight: float, price: Decimal, rules: SizingRules) -> Decimal:
    """Return signed shares, whole ones or parts as the rules have it, rounded toward zero."""
    exact = Decimal(repr(weight))
    dollars = min(abs(exact) * rules.capital, rules.max_position_size)
    # to the cent first: 1/3 of 30 000 as a float is a hair less than 10 000
    quantum = rules.quantum(exact)
    return (dollars.quantize(CENT) // (price * quantum) * quantum).copy_sign(exact)


def _orders(wish: _Wish, *, session: date, strategy: str) -> Iterator[tuple[bool, Order]]:
    """Yield each leg's order, and whether it makes the position larger."""
    if wish.price is None:
        return
    for leg, quantity in enumerate(wish.legs, start=1):
        side = Side.BUY if quantity > 0 else Side.SELL
        opens = leg == 2 or wish.held * quantity >= 0
        yield (
            opens,
            Order(
                client_order_id=client_order_id(
                    strategy, session, symbol=wish.symbol, side=side, leg=leg
                ),
                strategy=strategy,
                session=session,
                sequence=0,
                symbol=wish.symbol,
                side=side,
                quantity=abs(quantity),
                reference_price=wish.price,
                target_weight=wish.weight,
            ),
        )
