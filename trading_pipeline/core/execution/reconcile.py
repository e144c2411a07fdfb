"""Compare our books with the broker's: each difference is named, explained, adopted or held.

What the broker tells as a fact of its own, with an id, is adopted: an entry is appended and our
books follow. A difference that no such fact explains is a break: it is held, and what it touches is
not traded until it is gone. The name is then the likeliest cause, for whoever looks into it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Final

from trading_pipeline.core.execution.account import Account, BrokerOrder, Succession
from trading_pipeline.core.execution.breaks import Break, BreakKind, Resolution, Subject
from trading_pipeline.core.execution.order import Order, OrderState, Side

CENT: Final = Decimal("0.01")
"""Cash that differs by less ties out."""

LARGEST_FEE: Final = Decimal(100)
"""A missing amount up to this, in dollars, looks like a fee."""

_LIKE_SHARES: Final = Decimal("0.2")
"""Cash that differs by the value of the shares that differ, give or take this share of it."""

_RATIOS: Final = range(2, 51)
_WHOLE: Final = Decimal(1)
_RESTING: Final = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})

Body = tuple[str, Side, Decimal]
"""What an order is: symbol, side and shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One side's books: cash in dollars, signed shares, and orders that may still fill by our id.

    Of ours, `orders` are all that are open; `resting` those that the broker is known to have.
    """

    cash: Decimal
    positions: Mapping[str, Decimal]
    orders: Mapping[str, Body] = field(default_factory=dict[str, Body])
    resting: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clues:
    """What may explain a difference: corporate actions that took effect, and prices, by symbol.

    `successions` are those of the symbols held, which say what else they became or brought.
    """

    splits: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    dividends: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    prices: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    successions: Sequence[Succession] = ()


def ours(account: Account, orders: Mapping[str, Order]) -> Statement:
    """Return our side: cash and shares of the book, and our open orders by id."""
    bodies = {name: (o.symbol, o.side, o.quantity) for name, o in orders.items()}
    resting = frozenset(name for name, o in orders.items() if o.state in _RESTING)
    return Statement(cash=account.cash, positions=account.positions, orders=bodies, resting=resting)


def theirs(account: Account, orders: Mapping[str, BrokerOrder]) -> Statement:
    """Return the broker's side, with the orders of which it tells what they are."""
    bodies = {name: order.body for name, order in orders.items() if order.body}
    return Statement(cash=account.cash, positions=account.positions, orders=bodies)


def compare(book: Statement, broker: Statement, clues: Clues | None = None) -> list[Break]:
    """Return every difference as a break that is held: orders, then positions, then cash.

    Shares must be equal, cash to the cent.
    """
    case = _Case(book, broker, clues or Clues())
    found = [*_orders(case), *_positions(case)]
    return [*found, *_cash(case, found)]


@dataclass(frozen=True, slots=True)
class _Case:
    book: Statement
    broker: Statement
    clues: Clues

    def shares(self, symbol: str) -> tuple[Decimal, Decimal]:
        none = Decimal(0)
        return self.book.positions.get(symbol, none), self.broker.positions.get(symbol, none)


def _orders(case: _Case) -> Iterator[Break]:
    book, broker = case.book.orders, case.broker.orders
    for name in sorted(broker.keys() - book.keys()):
        symbol, side, quantity = broker[name]
        why = f"a {side} order that we did not send, or hold as ended, may still fill there."
        shares = (Decimal(0), quantity)
        yield _order(name, symbol, kind=BreakKind.EXTERNAL_ORDER, shares=shares, why=why)
    for name in sorted(case.book.resting - broker.keys()):
        symbol, _, quantity = book[name]
        why = "the broker does not have it among its open orders, and does not tell how it ended."
        shares = (quantity, Decimal(0))
        yield _order(name, symbol, kind=BreakKind.UNKNOWN, shares=shares, why=why)
    for name in sorted(case.book.resting & broker.keys()):
        if broker[name] != book[name]:
            yield _changed(name, book[name], broker[name], case.clues.splits)


def _changed(name: str, was: Body, now: Body, splits: Mapping[str, Decimal]) -> Break:
    ratio = splits.get(was[0])
    if ratio and now == (was[0], was[1], was[2] * ratio):
        kind, why = BreakKind.CORPORATE_ACTION, f"the broker adjusted it for a split of {ratio:f}."
    else:
        kind, why = BreakKind.UNKNOWN, f"the broker has it as {now[1]} {now[2]:f} {now[0]}."
    return _order(name, was[0], kind=kind, shares=(was[2], now[2]), why=why)


def _order(
    name: str, symbol: str, *, kind: BreakKind, shares: tuple[Decimal, Decimal], why: str
) -> Break:
    return Break(
        subject=Subject.ORDER,
        kind=kind,
        resolution=Resolution.HELD,
        symbol=symbol,
        reference=name,
        ours=shares[0],
        theirs=shares[1],
        explanation=why,
    )


def _positions(case: _Case) -> Iterator[Break]:
    for symbol in sorted(case.book.positions.keys() | case.broker.positions.keys()):
        mine, other = case.shares(symbol)
        if mine == other:
            continue
        kind, why = next(_explained(_OF_SHARES, case, symbol), _NO_CAUSE)
        yield Break(
            subject=Subject.POSITION,
            kind=kind,
            resolution=Resolution.HELD,
            symbol=symbol,
            ours=mine,
            theirs=other,
            explanation=why,
        )


def _by_split(case: _Case, symbol: str) -> str | None:
    mine, other = case.shares(symbol)
    ratio = case.clues.splits.get(symbol)
    if ratio is None or (mine * ratio).quantize(_WHOLE, ROUND_DOWN) != other or not mine:
        return None
    return f"a split of {ratio:f} new shares for an old one has been booked there and not here."


def _by_succession(case: _Case, symbol: str) -> str | None:
    for each in case.clues.successions:
        if symbol in {each.symbol, each.new_symbol}:
            what = "brought" if each.keeps else "became"
            new = f"{each.new_shares:f} {each.new_symbol}" if each.new_symbol else "cash"
            return (
                f"a share of {each.symbol} {what} {new} there, and that has not been booked here."
            )
    return None


def _by_open_order(case: _Case, symbol: str) -> str | None:
    mine, other = case.shares(symbol)
    for name, (traded, side, quantity) in sorted(case.book.orders.items()):
        moved = (other - mine) * side.sign
        if traded == symbol and 0 < moved <= quantity:
            return f"{moved:f} shares of our order {name} look filled, and no fill was told."
    return None


def _by_small_ratio(case: _Case, symbol: str) -> str | None:
    """Shares that multiplied while the cash stayed: a split that nobody announced."""
    mine, other = case.shares(symbol)
    if mine * other <= 0 or abs(_cash_difference(case)) >= CENT:
        return None
    few, many = sorted((abs(mine), abs(other)))
    times = many / few
    if times not in _RATIOS:
        return None
    ratio = f"{times:f} for 1" if abs(other) > abs(mine) else f"1 for {times:f}"
    return f"it looks like a split, {ratio}, and no split is known."


def _by_trade(case: _Case, symbol: str) -> str | None:
    mine, other = case.shares(symbol)
    if (other - mine) * _cash_difference(case) >= 0:
        return None
    return "shares and cash moved against each other: a trade that we do not know of."


_Explain = Callable[[_Case, str], str | None]
_OF_SHARES: Final[tuple[tuple[BreakKind, _Explain], ...]] = (
    (BreakKind.CORPORATE_ACTION, _by_split),
    (BreakKind.CORPORATE_ACTION, _by_succession),
    (BreakKind.MISSED_FILL, _by_open_order),
    (BreakKind.CORPORATE_ACTION, _by_small_ratio),
    (BreakKind.MANUAL_TRADE, _by_trade),
)
_NO_CAUSE: Final = (BreakKind.UNKNOWN, "nothing that we know of explains it.")


def _explained(
    explainers: tuple[tuple[BreakKind, _Explain], ...], case: _Case, symbol: str
) -> Iterator[tuple[BreakKind, str]]:
    for kind, explain in explainers:
        if why := explain(case, symbol):
            yield kind, why


def _cash(case: _Case, breaks: list[Break]) -> Iterator[Break]:
    difference = _cash_difference(case)
    if abs(difference) < CENT:
        return
    kind, why = _cause_of_cash(case, difference, breaks)
    yield Break(
        subject=Subject.CASH,
        kind=kind,
        resolution=Resolution.HELD,
        ours=case.book.cash,
        theirs=case.broker.cash,
        explanation=why,
    )


def _cause_of_cash(case: _Case, difference: Decimal, breaks: list[Break]) -> tuple[BreakKind, str]:
    moved = [each for each in breaks if each.subject is Subject.POSITION]
    prices, dividends = case.clues.prices, case.clues.dividends
    paid = -sum((each.difference * prices.get(each.symbol or "", 0) for each in moved), Decimal(0))
    if moved and paid and abs(difference - paid) <= abs(paid) * _LIKE_SHARES:
        return moved[0].kind, f"it is about what the shares that differ are worth, {paid:.2f}."
    owed = {s: d * case.book.positions.get(s, 0) for s, d in dividends.items()}
    if due := [s for s, amount in owed.items() if amount and abs(amount - difference) < CENT]:
        return BreakKind.CORPORATE_ACTION, f"the dividend of {due[0]} has not been told."
    if not moved and -LARGEST_FEE <= difference < 0:
        return BreakKind.FEE, "it looks like a fee that has not been told."
    return _NO_CAUSE


def _cash_difference(case: _Case) -> Decimal:
    return case.broker.cash - case.book.cash
