"""Tax lots: a second fold over the same entries, first in, first out.

The book's gains are by average cost; these are by lot, for the report of realized gains. Both count
the same dollars: for each symbol, gains less the cost of what is open are equal to the last digit,
save between symbols that became one another, where they are in sum.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Final

from trading_pipeline.core.accounting.attribution import SHARE_QUANTUM
from trading_pipeline.core.accounting.book import COST_QUANTUM, EXACT, cost_after_lieu
from trading_pipeline.core.accounting.entries import CashEntry, Entry, EntryKind, in_order
from trading_pipeline.core.execution.order import Fill
from trading_pipeline.errors import TradingError

LONG_TERM_DAYS: Final = 365
"""A gain is long-term when the lot was held for more days than these."""

_SHARES: Final = frozenset({EntryKind.TRADE, EntryKind.TRANSFER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Shares of one symbol opened at once; quantity and cost are negative for a short."""

    symbol: str
    opened: date
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A lot, or part of one, that was closed; dollars before fees.

    `quantity`, `cost` and `proceeds` bear the sign of the lot: a short's cost is what it was sold
    for, its proceeds what was paid to cover it. Cash in lieu beyond the cost has no quantity.
    """

    symbol: str
    opened: date
    closed: date
    quantity: Decimal
    cost: Decimal
    proceeds: Decimal

    @property
    def gain(self) -> Decimal:
        """Dollars won, negative for a loss."""
        return self.proceeds - self.cost

    @property
    def is_long_term(self) -> bool:
        """Whether the lot was held for more than LONG_TERM_DAYS."""
        return (self.closed - self.opened).days > LONG_TERM_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Lots:
    """The open lots by symbol, oldest first, and every gain in the order it was realized."""

    open: Mapping[str, tuple[Lot, ...]]
    gains: tuple[Gain, ...]


def fold_lots(entries: Iterable[Entry]) -> Lots:
    """Return lots and gains after all entries of an account, each id once."""
    running = _Running()
    with localcontext(EXACT):
        for entry in in_order(entries):
            running.post(entry)
    held = {symbol: tuple(lots) for symbol, lots in sorted(running.lots.items()) if lots}
    return Lots(open=held, gains=tuple(running.gains))


class _Running:
    def __init__(self) -> None:
        self.lots: dict[str, deque[Lot]] = {}
        self.gains: list[Gain] = []

    def post(self, entry: Entry) -> None:
        if isinstance(entry, Fill):
            self._trade(entry.symbol, entry.signed_quantity, entry.price, entry.session)
        elif entry.kind in _SHARES and entry.symbol and entry.price:
            self._trade(entry.symbol, entry.quantity, entry.price, entry.session)
        elif entry.kind is EntryKind.SPLIT and entry.symbol:
            self._split(entry, self.lots.get(entry.symbol, deque()))
        elif entry.kind is EntryKind.SUCCESSION and entry.symbol:
            self._succeed(entry, self.lots.get(entry.symbol, deque()))

    def _trade(self, symbol: str, quantity: Decimal, price: Decimal, session: date) -> None:
        lots = self.lots.setdefault(symbol, deque())
        while quantity and lots and lots[0].quantity * quantity < 0:
            lot = lots.popleft()
            part = min(abs(lot.quantity), abs(quantity)) * (1 if lot.quantity > 0 else -1)
            rest = lot.quantity - part
            share = lot.cost * part / lot.quantity
            cost = share.quantize(COST_QUANTUM, ROUND_DOWN) if rest else lot.cost
            if rest:
                lots.appendleft(replace(lot, quantity=rest, cost=lot.cost - cost))
            self._gain(lot, session, quantity=part, cost=cost, proceeds=part * price)
            quantity += part
        if quantity:
            cost = quantity * price
            lots.append(Lot(symbol=symbol, opened=session, quantity=quantity, cost=cost))

    def _split(self, entry: CashEntry, lots: deque[Lot]) -> None:
        """Give each lot its share of the new quantity and of the cash in lieu."""
        before = _sum(entry, lots)
        shares, amount = before + entry.quantity, entry.amount
        closes, held = not shares, list(lots)
        lots.clear()
        for number, lot in enumerate(held, start=1):
            is_last, portion = number == len(held), lot.quantity / before
            wanted = (before + entry.quantity) * portion
            after = shares if is_last else wanted.quantize(SHARE_QUANTUM, ROUND_DOWN)
            paid = entry.amount * portion
            lieu = amount if is_last else paid.quantize(COST_QUANTUM, ROUND_DOWN)
            shares, amount = shares - after, amount - lieu
            cost = Decimal(0) if closes else cost_after_lieu(lot.cost, lieu)
            if lieu != lot.cost - cost:
                gone = lot.quantity if closes else Decimal(0)
                out = lot.cost - cost
                self._gain(lot, entry.session, quantity=gone, cost=out, proceeds=lieu)
            if not closes:
                lots.append(replace(lot, quantity=after, cost=cost))

    def _succeed(self, entry: CashEntry, lots: deque[Lot]) -> None:
        """Move each lot on as old as it is, with its share of the new shares and of the cash."""
        before, held = _sum(entry, lots), list(lots)
        shares, amount, new = entry.new_quantity or Decimal(0), entry.amount, list[Lot]()
        lots.clear()
        for number, lot in enumerate(held, start=1):
            is_last, portion = number == len(held), lot.quantity / before
            wanted = (entry.new_quantity or Decimal(0)) * portion
            its = shares if is_last else wanted.quantize(SHARE_QUANTUM, ROUND_DOWN)
            paid = entry.amount * portion
            lieu = amount if is_last else paid.quantize(COST_QUANTUM, ROUND_DOWN)
            shares, amount = shares - its, amount - lieu
            left = cost_after_lieu(lot.cost, lieu) if its or not entry.quantity else Decimal(0)
            if lieu or (entry.quantity and not its):
                gone, out = (lot.quantity if not left else Decimal(0)), lot.cost - left
                self._gain(lot, entry.session, quantity=gone, cost=out, proceeds=lieu)
            moved = _part(left, entry) if its else Decimal(0)
            if its and entry.new_symbol:
                new.append(replace(lot, symbol=entry.new_symbol, quantity=its, cost=moved))
            if not entry.quantity:
                lots.append(replace(lot, cost=left - moved))
        for lot in new:
            self._join(lot, entry.session)

    def _join(self, lot: Lot, session: date) -> None:
        """Add a lot by its age; where it meets shares of the other side, both close."""
        lots = self.lots.setdefault(lot.symbol, deque())
        while lots and lots[0].quantity * lot.quantity < 0:
            other = lots.popleft()
            smaller = min(abs(other.quantity), abs(lot.quantity))
            (out, other), (paid, rest) = _taken(other, smaller), _taken(lot, smaller)
            sign = 1 if out.quantity > 0 else -1
            self._gain(out, session, quantity=sign * smaller, cost=out.cost, proceeds=-paid.cost)
            if other.quantity:
                lots.appendleft(other)
            lot = rest
        if lot.quantity:
            kept = sorted([*lots, lot], key=lambda each: each.opened)
            lots.clear()
            lots.extend(kept)

    def _gain(
        self, lot: Lot, session: date, *, quantity: Decimal, cost: Decimal, proceeds: Decimal
    ) -> None:
        gain = Gain(
            symbol=lot.symbol,
            opened=lot.opened,
            closed=session,
            quantity=quantity,
            cost=cost,
            proceeds=proceeds,
        )
        self.gains.append(gain)


def _sum(entry: CashEntry, lots: Iterable[Lot]) -> Decimal:
    held = sum((lot.quantity for lot in lots), Decimal(0))
    if not held:
        what = entry.kind.capitalize()
        raise TradingError(f"{what} {entry.entry_id} is of {entry.symbol}, which has no lots.")
    return held


def _part(cost: Decimal, entry: CashEntry) -> Decimal:
    """The part of a lot's cost that goes with the new shares: all of it where none stay."""
    share = entry.cost_share or Decimal(0)
    return cost if entry.quantity else (cost * share).quantize(COST_QUANTUM, ROUND_DOWN)


def _taken(lot: Lot, shares: Decimal) -> tuple[Lot, Lot]:
    """A lot parted into so many shares, unsigned, and the rest."""
    part = shares if lot.quantity > 0 else -shares
    rest = lot.quantity - part
    cost = (lot.cost * part / lot.quantity).quantize(COST_QUANTUM, ROUND_DOWN) if rest else lot.cost
    return (
        replace(lot, quantity=part, cost=cost),
        replace(lot, quantity=rest, cost=lot.cost - cost),
    )
