"""The ledger: what was decided, sent, filled, paid and halted; appended once and never changed.

SQLite by default, PostgreSQL by URL, with the same guarantees: writers wait for one another, a call
that writes is one transaction, and a fact that is told twice is kept once. An order's state is its
last event; the book is the fold of `entries`. Data access only: the flows decide.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import select

from trading_pipeline.adapters.ledger import migrations, rows
from trading_pipeline.adapters.ledger import tables as t
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.adapters.ledger.keeping import BookKeeping
from trading_pipeline.core.accounting.entries import CashEntry, Entry
from trading_pipeline.core.execution.order import Decision, Fill, Order, OrderState
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import TradingError, TradingPipelineError

_LAST_EVENT = (
    select(sa.func.max(t.order_events.c.number))
    .where(t.order_events.c.client_order_id == t.orders.c.client_order_id)
    .correlate(t.orders)
    .scalar_subquery()
)
_STATE = (
    column for column in t.order_events.c if column.name not in {"client_order_id", "number", "at"}
)
_ORDERS = (
    select(t.orders, *_STATE).join(t.order_events).where(t.order_events.c.number == _LAST_EVENT)
)


class Standing(NamedTuple):
    """What trading may do, why, and since when by whom; `at` is None when the ledger cannot say."""

    state: TradingState
    reason: str
    who: str
    at: datetime | None


class Appended(NamedTuple):
    """The fills and cash entries that were new."""

    fills: list[Fill]
    entries: list[CashEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """That the run `run_id` came to `phase` of the day of `session`; `detail` is plain JSON."""

    run_id: str
    phase: str
    session: date
    at: datetime
    detail: Mapping[str, Any]


class Ledger(BookKeeping):
    """The ledger at a SQLAlchemy URL; nothing is opened before the first call.

    Every method raises SettingsError where there is no ledger, TransientError where the database
    is busy or out of reach, AdapterError where it fails, TradingError where the record would break.
    """

    def __init__(self, url: str) -> None:
        self._engine = LedgerEngine(url)

    def create(self) -> None:
        """Make the ledger, or bring an older one up to date; a current one is left alone."""
        with self._engine.creating() as connection:
            if not migrations.is_current(connection):
                migrations.upgrade(connection)

    def close(self) -> None:
        """Give back the connections; the next call opens new ones."""
        self._engine.close()

    # Decisions and orders

    def record_decision(
        self, decision: Decision, orders: Sequence[Order], skips: Mapping[str, str] | None = None
    ) -> bool:
        """Append a decision with its orders, their first events and the skipped symbols' reasons.

        Return False, with nothing written, when the strategy has decided this session before.
        """
        key = (decision.strategy, decision.session)
        if any((order.strategy, order.session) != key for order in orders):
            raise TradingError(f"An order of another decision is among those of {key[0]} {key[1]}.")
        first = {"number": 1, "at": decision.decided_at}
        skipped = [
            {"strategy": key[0], "session": key[1], "symbol": symbol, "reason": str(reason)}
            for symbol, reason in (skips or {}).items()
        ]
        with self._engine.writing() as connection:
            if _decision(connection, *key):
                return False
            rows.insert(connection, t.decisions, [rows.row_of(t.decisions, decision)])
            for table, more in ((t.orders, {}), (t.order_events, first)):
                made = [rows.row_of(table, order, **more) for order in orders]
                rows.insert(connection, table, made)
            rows.insert(connection, t.skips, skipped)
        return True

    def append_revision(self, order: Order, *, at: datetime) -> None:
        """Append another order to a decision that was taken; TradingError when it is there."""
        with self._engine.writing() as connection:
            rows.insert(connection, t.orders, [rows.row_of(t.orders, order)])
            event = rows.row_of(t.order_events, order, number=1, at=at)
            rows.insert(connection, t.order_events, [event])

    def decision(self, strategy: str, session: date) -> Decision | None:
        """Return the strategy's decision for `session`, or None."""
        with self._engine.reading() as connection:
            return _decision(connection, strategy, session)

    def last_decision(self, strategy: str) -> Decision | None:
        """Return the strategy's decision for the newest session, or None."""
        newest = select(t.decisions).where(t.decisions.c.strategy == strategy)
        with self._engine.reading() as connection:
            row = connection.execute(newest.order_by(t.decisions.c.session.desc())).first()
        return Decision(**row._mapping) if row else None

    def first_session(self) -> date | None:
        """Return the oldest session that any strategy has decided, or None."""
        with self._engine.reading() as connection:
            return connection.scalar(select(sa.func.min(t.decisions.c.session)))

    def skips(self, strategy: str, session: date) -> dict[str, str]:
        """Return why the decision gave symbols no order, by symbol."""
        of = (t.skips.c.strategy == strategy, t.skips.c.session == session)
        found = select(t.skips.c.symbol, t.skips.c.reason).where(*of).order_by(t.skips.c.symbol)
        with self._engine.reading() as connection:
            return {row.symbol: row.reason for row in connection.execute(found)}

    def orders(
        self,
        *,
        strategy: str | None = None,
        session: date | None = None,
        states: Collection[str] | None = None,
        client_order_ids: Iterable[str] | None = None,
    ) -> list[Order]:
        """Return the orders as their last events left them, by session, strategy and sequence."""
        events, orders = t.order_events.c, t.orders.c
        wanted = _ORDERS.where(
            *([orders.strategy == strategy] if strategy is not None else []),
            *([orders.session == session] if session is not None else []),
            *([events.state.in_(sorted(states))] if states is not None else []),
        )
        if client_order_ids is None:
            batches = [wanted]
        else:
            named = rows.batches(client_order_ids)
            batches = [wanted.where(orders.client_order_id.in_(names)) for names in named]
        with self._engine.reading() as connection:
            found = [Order(**row._mapping) for each in batches for row in connection.execute(each)]
        return sorted(found, key=lambda order: (order.session, order.strategy, order.sequence))

    def sent_since(self, at: datetime, session: date) -> int:
        """Return how many orders of `session` have been put on the wire at `at` or later."""
        events = t.order_events.c
        sent = select(sa.func.count(sa.distinct(events.client_order_id)))
        of_session = sent.join_from(t.order_events, t.orders).where(t.orders.c.session == session)
        recent = of_session.where(events.state == OrderState.SUBMITTING, events.at >= at)
        with self._engine.reading() as connection:
            return connection.scalar(recent) or 0

    # Facts

    def append(
        self,
        *,
        at: datetime,
        orders: Sequence[Order] = (),
        fills: Sequence[Fill] = (),
        entries: Sequence[CashEntry] = (),
        settled: Sequence[date] = (),
    ) -> Appended:
        """Append moved orders, fills, cash entries and settled sessions, all of them or none.

        Fills, entries and sessions already held are left out; one id with two contents is a
        TradingError. Each of `orders` is one event: a move the table does not have, or one that
        another process has made meanwhile, is an IllegalTransitionError; an order whose filled
        quantity is not the sum of its fills is a TradingError.
        """
        if not (orders or fills or entries or settled):
            return Appended([], [])
        with self._engine.writing() as connection:
            new_fills = rows.insert_new(connection, t.fills, fills)
            new_entries = rows.insert_new(connection, t.cash_entries, entries)
            rows.insert_events(connection, orders, at)
            held = {
                row["session"]
                for row in rows.select_by(connection, t.settlements, "session", settled)
            }
            new = [{"session": session, "at": at} for session in sorted({*settled} - held)]
            rows.insert(connection, t.settlements, new)
        return Appended(fills=new_fills, entries=new_entries)

    def append_event(self, order: Order, *, at: datetime) -> None:
        """Append the state of one order; see `append`."""
        self.append(at=at, orders=[order])

    def append_fills(self, fills: Sequence[Fill]) -> int:
        """Append the fills that are not held yet and return how many."""
        with self._engine.writing() as connection:
            return len(rows.insert_new(connection, t.fills, fills))

    def append_cash_entries(self, entries: Sequence[CashEntry]) -> int:
        """Append the cash entries that are not held yet and return how many."""
        with self._engine.writing() as connection:
            return len(rows.insert_new(connection, t.cash_entries, entries))

    def fills(self, client_order_ids: Sequence[str]) -> list[Fill]:
        """Return the fills of these orders, by time and id."""
        with self._engine.reading() as connection:
            found = rows.select_by(connection, t.fills, "client_order_id", client_order_ids)
            fills = [Fill(**row) for row in found]
        return sorted(fills, key=lambda fill: (fill.filled_at, fill.fill_id))

    def entries(self, through: date | None = None, *, after: date | None = None) -> list[Entry]:
        """Return the fills and cash entries of the sessions after `after` and up to `through`."""
        with self._engine.reading() as connection:
            return [
                *rows.values_between(connection, t.cash_entries, CashEntry, (after, through)),
                *rows.values_between(connection, t.fills, Fill, (after, through)),
            ]

    def cash_entries(self, entry_ids: Sequence[str]) -> list[CashEntry]:
        """Return those of these cash entries that are held."""
        with self._engine.reading() as connection:
            found = rows.select_by(connection, t.cash_entries, "entry_id", entry_ids)
            return [CashEntry(**row) for row in found]

    def last_settlement(self) -> date | None:
        """Return the newest settled session, or None."""
        with self._engine.reading() as connection:
            return connection.scalar(select(sa.func.max(t.settlements.c.session)))

    # Halts, runs

    def trading_state(self) -> Standing:
        """Return what trading may do; HALTED when the ledger does not say, or cannot be read."""
        newest = select(t.halts).order_by(t.halts.c.id.desc()).limit(1)
        try:
            with self._engine.reading() as connection:
                row = connection.execute(newest).first()
        except (TradingPipelineError, ValueError) as error:
            reason = f"The trading state cannot be read: {error}"
            return Standing(TradingState.HALTED, reason, "ledger", None)
        if row is None:
            reason = "The ledger holds no trading state."
            return Standing(TradingState.HALTED, reason, "ledger", None)
        return Standing(row.state, row.reason, row.who, row.at)

    def append_halt(self, state: TradingState, *, who: str, reason: str, at: datetime) -> None:
        """Append that trading is `state` from now on, by whose word and why."""
        row = {"state": state, "who": who, "reason": reason, "at": at}
        with self._engine.writing() as connection:
            rows.insert(connection, t.halts, [row])

    def append_run(self, run: Run) -> None:
        """Append that a run came to a phase."""
        with self._engine.writing() as connection:
            rows.insert(connection, t.runs, [rows.row_of(t.runs, run)])

    def append_run_after(self, before: Run | None, run: Run) -> bool:
        """Append `run` if `before` is still the newest of its phase; return whether it was."""
        with self._engine.writing() as connection:
            if _runs(connection, 1, run.phase) != ([before] if before else []):
                return False
            rows.insert(connection, t.runs, [rows.row_of(t.runs, run)])
        return True

    def runs(self, count: int, phase: str | None = None) -> list[Run]:
        """Return the last `count` rows of runs, oldest first; of one phase, if it is named."""
        with self._engine.reading() as connection:
            return _runs(connection, count, phase)


def _runs(connection: sa.Connection, count: int, phase: str | None) -> list[Run]:
    asked = select(t.runs).order_by(t.runs.c.id.desc()).limit(count)
    found = connection.execute(asked.where(t.runs.c.phase == phase) if phase else asked)
    names = ("run_id", "phase", "session", "at", "detail")
    return [Run(**{name: row[name] for name in names}) for row in reversed(found.mappings().all())]


def _decision(connection: sa.Connection, strategy: str, session: date) -> Decision | None:
    key = (t.decisions.c.strategy == strategy, t.decisions.c.session == session)
    row = connection.execute(select(t.decisions).where(*key)).first()
    return Decision(**row._mapping) if row else None
