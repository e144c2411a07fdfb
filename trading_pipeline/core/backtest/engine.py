"""The backtest: the trading day replayed, session by session, over the functions that trade.

Decided after the close of session t with what was known then, filled at the open of t+1. `plan`,
`gate`, `move`, `record`, `replay`, `mark` and the breaker's `step` are those of the live day; only
the broker is the pure form of the simulated one (`exchange`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from trading_pipeline.core.accounting.book import Book, CashEntry, Entry, EntryKind, replay
from trading_pipeline.core.accounting.pnl import Mark, Pnl, mark
from trading_pipeline.core.backtest import exchange
from trading_pipeline.core.backtest.costs import Market, financing, liquidity
from trading_pipeline.core.backtest.market import MARK_SESSIONS, Closes, History
from trading_pipeline.core.backtest.rules import DEFAULT, BacktestRules
from trading_pipeline.core.backtest.watch import Watch
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.markets import markets, prices
from trading_pipeline.core.execution.order import Fill, Order, OrderState, move
from trading_pipeline.core.market.calendar import (
    FIRST_SESSION,
    previous_session,
    session_open,
    session_window,
    sessions_between,
)
from trading_pipeline.core.portfolio.rebalance import Skip, plan, withhold
from trading_pipeline.core.risk.breaker import Trip
from trading_pipeline.core.risk.gate import RiskView, gate
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import MissingDataError, SchemaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a strategy would have done, and what would have come of it.

    `pnls` has one value a session, at its close, the first before any trade. `orders` are in the
    state they ended in, by session and sequence; those of the last session are still PLANNED or
    BLOCKED. `entries` begin with the opening deposit. `trips` are those of the breaker.
    """

    strategy: str
    pnls: tuple[Pnl, ...]
    orders: tuple[Order, ...]
    entries: tuple[Entry, ...]
    skips: Mapping[date, tuple[Skip, ...]]
    trips: tuple[Trip, ...] = ()

    @property
    def sessions(self) -> tuple[date, ...]:
        """The sessions replayed."""
        return tuple(pnl.session for pnl in self.pnls)

    @property
    def navs(self) -> tuple[Decimal, ...]:
        """Net asset value at each close, in dollars."""
        return tuple(pnl.nav for pnl in self.pnls)

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every fill, oldest first."""
        return tuple(entry for entry in self.entries if isinstance(entry, Fill))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """A session: what it brings at the open, and what is known before it and at its close.

    `before` and `last` are the newest closes of every symbol, `marks` those young enough to value
    by, and `prices` those of clean bars, to size orders at. `suspended` may not be traded; `facts`
    is what else the gate is told.
    """

    market: MarketSession
    terms: exchange.Terms
    before: Mapping[str, Decimal]
    last: Mapping[str, Decimal]
    marks: Mapping[str, Mark]
    prices: Mapping[str, Decimal]
    suspended: Collection[str]
    facts: Mapping[str, Any]


@dataclass(slots=True)
class _Replay:
    """The account between two sessions, and all that has been written down."""

    strategy: str
    rules: BacktestRules
    book: Book
    entries: list[Entry]
    watch: Watch
    waiting: list[Order] = field(default_factory=list[Order])
    orders: list[Order] = field(default_factory=list[Order])
    pnls: list[Pnl] = field(default_factory=list[Pnl])
    skips: dict[date, tuple[Skip, ...]] = field(default_factory=dict[date, tuple[Skip, ...]])

    def open(self, day: _Day) -> None:
        """Pay, split and fill at the open."""
        entries: list[Entry] = []
        if self.pnls:
            entries += financing(
                self.book,
                day.before,
                since=self.pnls[-1].session,
                session=day.market.session,
                costs=self.rules.costs,
                frictions=self.rules.frictions,
            )
        entries += exchange.corporate_actions(self.book, day.market, day.before)
        done, fills = exchange.execute(self.waiting, day.market, day.terms)
        self.orders += done
        self.waiting = []
        self._post([*entries, *fills])

    def close(self, day: _Day) -> None:
        """Write off what trades no more, and value the rest."""
        session, worth = day.market.session, 1 + self.rules.delisting_return
        gone = [s for s in _held(self.book) if s not in day.marks and s in day.last]
        self._post(
            [
                exchange.delist(
                    self.book,
                    symbol,
                    day.last[symbol] * worth,
                    session=session,
                    strategy=self.strategy,
                )
                for symbol in gone
            ]
        )
        self.pnls.append(mark(self.book, day.marks, session))

    def decide(self, targets: pl.DataFrame, day: _Day, *, is_last: bool) -> None:
        """Plan and judge the orders for the next open, and send those that may go."""
        pnl, rules, marks = self.pnls[-1], self.rules, day.prices
        sizing = rules.sizing
        if rules.compound:
            sizing = sizing.model_copy(update={"capital": max(pnl.nav, Decimal(0))})
        planned = plan(
            targets,
            self.book,
            marks,
            session=pnl.session,
            strategy=self.strategy,
            rules=sizing,
        )
        planned = withhold(planned, day.suspended)
        view = RiskView(
            state=self.watch.state,
            state_reason=self.watch.reason,
            is_tripped=self.watch.state is not TradingState.ACTIVE,
            book=self.book,
            marks=marks,
            limits=rules.limits,
            **day.facts,
        )
        judged = gate(planned.orders, view)
        self.skips[pnl.session] = tuple(planned.skips)
        for order in judged:
            if is_last or order.state is not OrderState.PLANNED:
                self.orders.append(order)
            else:
                sent = move(order, OrderState.SUBMITTING)
                self.waiting.append(move(sent, OrderState.ACCEPTED))

    def _post(self, entries: Sequence[Entry]) -> None:
        self.book = replay(self.book, entries)
        self.entries += entries


def backtest(
    targets: pl.DataFrame,
    history: History,
    rules: BacktestRules = DEFAULT,
    *,
    opening: Sequence[Entry] = (),
) -> Backtest:
    """Return what the target weights of one strategy would have come to.

    The account opens with the capital; or with `opening`, all entries up to the first session, its
    own fills included, as the ledger has them.

    The replay goes from the first session with targets to the last session with bars. A session
    without targets decides nothing: positions are held. A symbol without a bar for 10 sessions is
    taken as delisted, and closed at its last close less `delisting_return`. Targets of several
    strategies are a SchemaError; none at all, or none within the bars, a MissingDataError.
    """
    strategy = _strategy(targets)
    by_session = {
        key[0]: part for key, part in targets.partition_by("session", as_dict=True).items()
    }
    sessions = _sessions(by_session, history.bars)
    run = _opened(strategy, rules, opening or [_deposit(rules, sessions[0])])
    for day in _days(history, rules, sessions):
        session = day.market.session
        if not (opening and session == sessions[0]):
            run.open(day)
        run.close(day)
        run.watch.look(run.pnls[-1])
        if session in by_session:
            is_last = session == sessions[-1]
            run.decide(by_session[session], day, is_last=is_last)
    orders = sorted(run.orders, key=lambda order: (order.session, order.sequence))
    return Backtest(
        strategy=strategy,
        pnls=tuple(run.pnls),
        orders=tuple(orders),
        entries=tuple(run.entries),
        skips=run.skips,
        trips=tuple(run.watch.trips),
    )


def _days(history: History, rules: BacktestRules, sessions: Sequence[date]) -> Iterator[_Day]:
    """Yield the sessions in order, each with what it brings and what was known then."""
    raw = prices(history.bars, "close")
    clean = raw if history.clean is None else prices(history.clean, "close")
    known = _liquidity(history, rules)
    capped = rules.costs.max_participation is not None
    none: Mapping[str, Decimal] = {}
    valued, sized = Closes(), Closes()
    for session in session_window(sessions[0], MARK_SESSIONS)[:-1]:
        valued.see(session, raw.get(session, none))
        sized.see(session, clean.get(session, none))
    for market in markets(history.bars, history.actions, sessions, volumes=capped):
        session, before = market.session, dict(valued.last)
        terms = exchange.Terms(
            costs=rules.costs,
            frictions=rules.frictions,
            liquidity=known.get(previous_session(session), {}),
        )
        valued.see(session, market.closes)
        sized.see(session, clean.get(session, none))
        yield _Day(
            market=market,
            terms=terms,
            before=before,
            last=dict(valued.last),
            marks=valued.marks(),
            prices={symbol: found.price for symbol, found in sized.marks().items()},
            suspended=history.suspended.get(session, ()),
            facts=history.facts(session) if history.facts else {},
        )


def _strategy(targets: pl.DataFrame) -> str:
    names = targets["strategy"].unique().to_list()
    if not names:
        raise MissingDataError("There are no target weights: nothing to replay.")
    if len(names) > 1:
        raise SchemaError(f"The targets are of {', '.join(sorted(names))}: expected one strategy.")
    return str(names[0])


def _sessions(by_session: Mapping[date, object], bars: pl.DataFrame) -> list[date]:
    first, last = min(by_session), bars["session"].max()
    if not isinstance(last, date) or last < first:
        raise MissingDataError(f"There is no bar on or after {first}, the first session to replay.")
    return sessions_between(first, last)


def _liquidity(history: History, rules: BacktestRules) -> Market:
    """Return the liquidity where the rules ask for it: it takes a while."""
    if not rules.frictions.impact:
        return {}
    return liquidity(history.bars, history.actions, convention=rules.adjustment)


def _opened(strategy: str, rules: BacktestRules, entries: Sequence[Entry]) -> _Replay:
    watch = Watch(rules.limits.breaker, resume_after=rules.resume_after)
    return _Replay(strategy, rules, replay(Book(), entries), list(entries), watch)


def _deposit(rules: BacktestRules, first: date) -> CashEntry:
    """Return what an account opens with, as the simulated broker's does."""
    return CashEntry(
        entry_id="sim-deposit",
        kind=EntryKind.DEPOSIT,
        session=min(FIRST_SESSION, first),
        amount=rules.sizing.capital,
        at=session_open(FIRST_SESSION),
    )


def _held(book: Book) -> list[str]:
    return sorted(symbol for symbol, position in book.positions.items() if position.quantity)
