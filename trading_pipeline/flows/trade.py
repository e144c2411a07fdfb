"""Decide a session's orders once, and get each of them to the broker exactly once.

The decision is appended before anything is sent, and SUBMITTING before the wire: whatever is found
in the ledger afterwards says what may have happened. What may have reached the broker is looked up
there before it is sent again, always under the same id.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from typing import Final

import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.attribution import Books, own_book, replay_parts
from trading_pipeline.core.accounting.book import Book, expect
from trading_pipeline.core.accounting.pnl import Mark, mark
from trading_pipeline.core.execution.order import OPEN, Decision, Order, OrderState, move
from trading_pipeline.core.portfolio.legs import by_account
from trading_pipeline.core.portfolio.rebalance import SizingRules, plan, withhold
from trading_pipeline.core.risk.gate import RiskView, gate
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.books import books_of
from trading_pipeline.flows.halt import standing
from trading_pipeline.flows.order_updates import hear
from trading_pipeline.flows.ports import Broker
from trading_pipeline.flows.risk_view import MarketFacts, view_of, with_terms
from trading_pipeline.flows.send import PATIENCE, in_turn, resolve, send

_log = logging.getLogger(__name__)
_ELSEWHERE = "Name a later session, or a data folder with books of its own (TP_DATA_DIR)."

CLOSE: Final = "close"
"""The source of the marks that orders are sized at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """Whose orders for which session, by which run and model, within which rules.

    Symbols of `suspended` are neither bought nor sold. Where other strategies share the account,
    orders are the difference to what the strategy's own orders brought, else to all of it. With
    `dry_run` the orders are planned and judged, and nothing is written or sent.
    """

    strategy: str
    session: date
    run_id: str
    model_version: str
    sizing: SizingRules
    limits: RiskLimits
    facts: MarketFacts | None = None
    suspended: frozenset[str] = frozenset()
    shares_account: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """The decision, its orders as they stand, and why other symbols have none.

    `new` says whether this call took the decision; otherwise it carried on with the one it found.
    """

    decision: Decision
    orders: tuple[Order, ...]
    skips: Mapping[str, str]
    new: bool


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What there is to decide on: the book with open orders as filled, and its value.

    `shares` are those of the whole account, with all open orders as filled, where it is they that
    decide the legs.
    """

    view: RiskView
    book: Book
    nav: Decimal
    shares: Mapping[str, Decimal] | None


def trade(
    ledger: Ledger,
    broker: Broker,
    targets: pl.DataFrame,
    marks: Mapping[str, Decimal],
    *,
    mandate: Mandate,
    now: datetime,
) -> Traded:
    """Take the session's decision if there is none yet, and send what has not been sent.

    `targets` are the target_weights of the session; `marks` its raw closes in dollars by symbol. A
    decision that exists is carried on with, whatever `targets` say now. Trading that was halted
    since blocks what was planned. A lost answer leaves the order UNKNOWN, and the next call looks
    it up. Settle through the session first: the orders are the difference to the settled book.

    Raises SettingsError for a session without a decision of its own that lies before the strategy's
    last one, or whose next open has been settled. A failure of the broker other than a lost answer
    is raised; the call may be repeated.
    """
    require_turn(ledger, mandate.strategy, mandate.session)
    if ledger.decision(mandate.strategy, mandate.session) is not None:
        return _carry_on(ledger, broker, marks, mandate=mandate, now=now)
    decision, orders, skips = _decide(
        _outlook(ledger, broker, marks, mandate, now=now), targets, mandate=mandate, now=now
    )
    if mandate.dry_run:
        return Traded(decision=decision, orders=tuple(orders), skips=skips, new=True)
    new = ledger.record_decision(decision, orders, skips)
    _log.info("orders decided", extra={"orders": len(orders), "skips": len(skips), "new": new})
    traded = _carry_on(ledger, broker, marks, mandate=mandate, now=now)
    return replace(traded, new=new)


def require_turn(ledger: Ledger, strategy: str, session: date) -> None:
    """Raise SettingsError for a session that was not decided in its time and cannot be any more."""
    if ledger.decision(strategy, session) is not None:
        return
    last = ledger.last_decision(strategy)
    if last is not None and session < last.session:
        raise SettingsError(
            f"{strategy} has decided {last.session} already: {session} lies before it and was not "
            f"traded, so it cannot be now. {_ELSEWHERE}"
        )
    settled = ledger.last_settlement()
    if settled is not None and session < settled:
        raise SettingsError(
            f"{settled} is settled already: orders of {session}, for an open before its close, "
            f"cannot be sent any more. {_ELSEWHERE}"
        )


def _decide(
    outlook: _Outlook, targets: pl.DataFrame, *, mandate: Mandate, now: datetime
) -> tuple[Decision, list[Order], dict[str, str]]:
    planned = plan(
        targets,
        outlook.book,
        outlook.view.marks,
        session=mandate.session,
        strategy=mandate.strategy,
        rules=mandate.sizing,
    )
    planned = withhold(planned, mandate.suspended)
    if outlook.shares is not None:
        planned = by_account(planned, outlook.shares)
    decision = Decision(
        strategy=mandate.strategy,
        session=mandate.session,
        run_id=mandate.run_id,
        model_version=mandate.model_version,
        capital=mandate.sizing.capital,
        nav=outlook.nav,
        decided_at=now,
    )
    skips = {skip.symbol: skip.reason.value for skip in planned.skips}
    return decision, gate(planned.orders, outlook.view), skips


def _outlook(
    ledger: Ledger,
    broker: Broker,
    marks: Mapping[str, Decimal],
    mandate: Mandate,
    *,
    now: datetime,
) -> _Outlook:
    """Return the strategy's book, with what is on its way to the market as if filled, and the view.

    Orders are planned on what is the strategy's own, and judged on the whole account.
    """
    books, orders = books_of(ledger, mandate.session), ledger.orders(states=OPEN)
    if mandate.dry_run:  # nothing was settled, so hear what settling would bring
        books, orders = _heard(ledger, broker, books, mandate.session)
    settled = books.total
    closes = {symbol: Mark(price=price, source=CLOSE) for symbol, price in marks.items()}
    others = [order for order in orders if not _is_own_plan(order, mandate)]
    alone = not mandate.shares_account
    expected = [order for order in others if alone or order.strategy == mandate.strategy]
    own = own_book(books, mandate.strategy, shared=mandate.shares_account)
    book = reduce(lambda held, one: expect(held, one, one.reference_price), expected, own)
    whose = (mandate.strategy, mandate.session)
    known = view_of(
        ledger, limits=mandate.limits, marks=marks, now=now, besides=whose, facts=mandate.facts
    )
    view = replace(known, book=settled, open_orders=others)
    held = [position.symbol for position in settled.positions.values() if position.quantity]
    view = with_terms(view, broker, sorted({*marks, *held}))
    nav = mark(settled, closes, mandate.session).nav
    shares = None if alone or broker.nets else _shares(settled, others)
    return _Outlook(view, book, nav, shares)


def _shares(book: Book, orders: Iterable[Order]) -> dict[str, Decimal]:
    """Return the account's signed shares with these orders as filled."""
    shares = {symbol: position.quantity for symbol, position in book.positions.items()}
    for order in orders:
        more = order.remaining_quantity * order.side.sign
        shares[order.symbol] = shares.get(order.symbol, Decimal(0)) + more
    return shares


def _heard(
    ledger: Ledger, broker: Broker, books: Books, session: date
) -> tuple[Books, list[Order]]:
    orders = ledger.orders(states=OPEN)
    news = hear(ledger, broker, orders)
    moved = {order.client_order_id: order for order in news.orders}
    now = [moved.get(order.client_order_id, order) for order in orders]
    told = [entry for entry in (*news.fills, *news.entries) if entry.session <= session]
    return replay_parts(books, told), [order for order in now if order.state in OPEN]


def _is_own_plan(order: Order, mandate: Mandate) -> bool:
    own = (order.strategy, order.session) == (mandate.strategy, mandate.session)
    return own and order.state is OrderState.PLANNED


def _carry_on(
    ledger: Ledger,
    broker: Broker,
    marks: Mapping[str, Decimal],
    *,
    mandate: Mandate,
    now: datetime,
) -> Traded:
    """Send what the decision has not sent, and return all of it as it stands."""
    key, rules = (mandate.strategy, mandate.session), mandate.limits.breaker
    if not mandate.dry_run:
        resolve(ledger, broker, key, rules=rules, now=now)  # what an earlier process left in doubt
        while not _release(ledger, broker, marks, mandate=mandate, now=now):
            pass  # trading was stopped, or let go on, in between: what is left is judged anew
        resolve(ledger, broker, key, rules=rules, now=now)  # what was lost just now
    return decided(ledger, *key)


def decided(ledger: Ledger, strategy: str, session: date) -> Traded:
    """Return a decision of the ledger with its orders as they stand; SettingsError without one."""
    decision = ledger.decision(strategy, session)
    if decision is None:
        raise SettingsError(f"{strategy} has not decided {session}: there is nothing to carry on.")
    return Traded(
        decision=decision,
        orders=tuple(ledger.orders(strategy=strategy, session=session)),
        skips=ledger.skips(strategy, session),
        new=False,
    )


def _release(
    ledger: Ledger,
    broker: Broker,
    marks: Mapping[str, Decimal],
    *,
    mandate: Mandate,
    now: datetime,
) -> bool:
    """Judge the planned orders and send those that may go, as long as trading stays as it is.

    Judged once more, since what others decided meanwhile is on record too. What trading may do is
    asked before each order, so that a halt counts for the next one; False when it has changed. When
    answer after answer is lost and the broker cannot be asked, what is left stays planned.
    """
    key, rules, lost = (mandate.strategy, mandate.session), mandate.limits.breaker, 0
    planned = ledger.orders(strategy=key[0], session=key[1], states=[OrderState.PLANNED])
    if not planned:
        return True
    view = _outlook(ledger, broker, marks, mandate, now=now).view
    judged = gate(planned, view)
    ledger.append(at=now, orders=[each for each in judged if each.state is OrderState.BLOCKED])
    ready = [order for order in judged if order.state is OrderState.PLANNED]
    for order in ready if broker.nets else in_turn(ledger, ready, key, now=now):
        if standing(ledger, now=now, rules=rules).state is not view.state:
            return False
        submitting = move(order, OrderState.SUBMITTING)
        ledger.append_event(submitting, at=now)
        lost = 0 if send(ledger, broker, submitting, now=now) else lost + 1
        if lost >= PATIENCE and not resolve(ledger, broker, key, rules=rules, now=now):
            break
    return True
