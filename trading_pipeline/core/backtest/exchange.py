"""A session happening to an account, as the simulated broker lets it happen.

The same ids, times, roundings and order of events: what it is given, it fills alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Final

from trading_pipeline.core.accounting.book import Book, CashEntry, EntryKind
from trading_pipeline.core.accounting.successions import successions
from trading_pipeline.core.backtest.costs import Frictions, Liquidity, fill_price
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.costs import CENT, TICK, CostModel
from trading_pipeline.core.execution.order import Fill, Order, OrderState, Side, move, record
from trading_pipeline.core.market.calendar import session_open

_WHOLE: Final = Decimal(1)
_SHARE: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """At what costs orders fill, and what is known of the market they fill in.

    `liquidity` is as of the close before.
    """

    costs: CostModel
    frictions: Frictions
    liquidity: Mapping[str, Liquidity]


def corporate_actions(
    book: Book, market: MarketSession, closes: Mapping[str, Decimal]
) -> Iterator[CashEntry]:
    """Yield dividends and splits on what is held, by symbol, and then the successions.

    A dividend is paid on the shares before a split, to the cent, and owed on shorts. A split leaves
    whole shares, and the fraction is paid at the open, or where there is none at the last close
    over the ratio.
    """
    left: dict[str, Decimal] = {}
    before = dict(closes)
    for symbol, position in sorted(book.positions.items()):
        held = left[symbol] = position.quantity
        paid = _cents(market.dividends.get(symbol, Decimal(0)) * held)
        if paid:
            yield _entry(EntryKind.DIVIDEND, market.session, symbol, amount=paid)
        ratio = market.splits.get(symbol)
        if ratio is None or not held:
            continue
        exact = (held * ratio).quantize(_SHARE)
        after = exact.quantize(_WHOLE, ROUND_DOWN)
        left[symbol] = after
        before[symbol] = closes.get(symbol, Decimal(0)) / ratio
        price = market.opens.get(symbol, before[symbol])
        lieu = _cents((exact - after) * price)
        if after != held or lieu:
            yield _entry(
                EntryKind.SPLIT, market.session, symbol, amount=lieu, quantity=after - held
            )
    yield from successions(market, left, before)


def execute(
    orders: Sequence[Order], market: MarketSession, terms: Terms
) -> tuple[list[Order], list[Fill]]:
    """Return the accepted orders as the open leaves them, and their fills, in the same order.

    An order without an opening price expires, and so does what the volume leaves unfilled.
    """
    done: list[Order] = []
    fills: list[Fill] = []
    for order in orders:
        opening = market.opens.get(order.symbol)
        if opening is None:
            reason = (
                f"{order.symbol} had no opening price in {market.session}, "
                "the session the order was for."
            )
            done.append(move(order, OrderState.EXPIRED, reason=reason))
            continue
        quantity = terms.costs.fillable(order.quantity, market.volumes.get(order.symbol))
        after = order
        if quantity:
            fill = _fill(order, quantity, opening, market.session, terms=terms)
            fills.append(fill)
            after = record(order, fill)
        if after.remaining_quantity:
            reason = f"The volume of {market.session} let {quantity} of {order.quantity} fill."
            after = move(after, OrderState.EXPIRED, reason=reason)
        done.append(after)
    return done, fills


def delist(book: Book, symbol: str, price: Decimal, *, session: date, strategy: str) -> Fill:
    """Return the fill that closes the position in a symbol which trades no more, free of charge.

    The price, in dollars, is rounded to four decimals and at least 0.0001.
    """
    held = book.quantity(symbol)
    name = f"delisting-{session}-{symbol}"
    return Fill(
        fill_id=name,
        client_order_id=name,
        strategy=strategy,
        symbol=symbol,
        side=Side.SELL if held > 0 else Side.BUY,
        quantity=abs(held),
        price=max(price.quantize(TICK, ROUND_HALF_UP), TICK),
        commission=Decimal(0),
        session=session,
        filled_at=session_open(session),
    )


def _fill(
    order: Order, quantity: Decimal, opening: Decimal, session: date, *, terms: Terms
) -> Fill:
    return Fill(
        fill_id=f"sim-{order.client_order_id}",
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=fill_price(
            order,
            opening,
            costs=terms.costs,
            frictions=terms.frictions,
            known=terms.liquidity.get(order.symbol),
        ),
        commission=terms.costs.commission(quantity),
        session=session,
        filled_at=session_open(session),
    )


def _entry(
    kind: EntryKind,
    session: date,
    symbol: str,
    *,
    amount: Decimal,
    quantity: Decimal | None = None,
) -> CashEntry:
    return CashEntry(
        entry_id=f"sim-{kind}-{session}-{symbol}",
        kind=kind,
        session=session,
        amount=amount,
        symbol=symbol,
        quantity=quantity or Decimal(0),
        at=session_open(session),
    )


def _cents(dollars: Decimal) -> Decimal:
    return dollars.quantize(CENT, ROUND_HALF_UP)
