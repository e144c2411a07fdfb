"""The ledger's books: folds and P&L kept by session, openings, and reconciliations."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import select

from trading_pipeline.adapters.ledger import rows
from trading_pipeline.adapters.ledger import tables as t
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.core.accounting.attribution import Books
from trading_pipeline.core.accounting.book import Book, Position
from trading_pipeline.core.accounting.entries import CashEntry, Entry
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.execution.breaks import Break, Reconciliation
from trading_pipeline.core.execution.order import Fill

_ACCOUNT: Final = ""
"""The strategy of the rows that are the whole account's."""

_TRIED: Final = 8
"""How many kept books are tried before all entries are folded."""

_Version = tuple[date, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Books as they were kept, and the entries to fold onto them.

    `after` is the session they were kept at, None when everything is folded from zero; `counts` are
    how many fills and cash entries there are in all.
    """

    books: Books
    after: date | None
    entries: Sequence[Entry]
    counts: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """That the books were opened in `session` on an account with a past; `known` are told ids."""

    session: date
    at: datetime
    known: tuple[str, ...]


class BookKeeping:
    """What a ledger keeps of its books; each method is one transaction."""

    _engine: LedgerEngine

    def is_new(self) -> bool:
        """Whether nothing has been decided and nothing booked yet."""
        with self._engine.reading() as connection:
            return not any(
                connection.execute(select(table).limit(1)).first()
                for table in (t.decisions, t.cash_entries, t.fills)
            )

    def require_current(self) -> None:
        """Raise SettingsError when the tables are not those of this version of the product."""
        self._engine.require_current()

    def history(self, through: date | None = None) -> History:
        """Return all entries of the sessions up to `through`, the older ones as kept books."""
        with self._engine.reading() as connection:
            found = _newest_books(connection, through)
            after = found[0] if found else None
            books = _books(connection, found) if found else Books()
            entries: list[Entry] = [
                *rows.values_between(connection, t.cash_entries, CashEntry, (after, through)),
                *rows.values_between(connection, t.fills, Fill, (after, through)),
            ]
            counts = _counts(connection, through)
        return History(books=books, after=after, entries=entries, counts=counts)

    def append_books(
        self, books: Books, *, session: date, counts: tuple[int, int], at: datetime
    ) -> None:
        """Keep the fold of all entries through `session`, which were as many as `counts`."""
        with self._engine.writing() as connection:
            last = select(sa.func.max(t.book_snapshots.c.revision))
            held = connection.scalar(last.where(t.book_snapshots.c.session == session))
            key: dict[str, Any] = {"session": session, "revision": 1 + (held or 0)}
            fills, entries = counts
            row = {**key, "fills": fills, "entries": entries, "at": at}
            rows.insert(connection, t.book_snapshots, [row])
            for name, book in {_ACCOUNT: books.total, **books.parts}.items():
                its = {**key, "strategy": name}
                rows.insert(connection, t.book_parts, [rows.row_of(t.book_parts, book, **its)])
                held_by = book.positions.values()
                made = [rows.row_of(t.book_positions, position, **its) for position in held_by]
                rows.insert(connection, t.book_positions, made)

    def append_snapshot(self, pnl: Pnl, *, run_id: str, at: datetime) -> bool:
        """Append the session's P&L as its next revision; False when it equals the last one."""
        with self._engine.writing() as connection:
            held = rows.newest_snapshots(connection, session=pnl.session)
            if pnl in held.values():
                return False
            revision = 1 + max((revision for _, revision in held), default=0)
            rows.insert_snapshot(connection, pnl, revision=revision, run_id=run_id, at=at)
        return True

    def snapshots(self, count: int) -> list[Pnl]:
        """Return the newest P&L of each of the last `count` sessions, oldest first."""
        with self._engine.reading() as connection:
            return list(rows.newest_snapshots(connection, count=count).values())

    def snapshot_before(self, session: date) -> Pnl | None:
        """Return the newest P&L of the last session before this one, or None."""
        with self._engine.reading() as connection:
            found = rows.newest_snapshots(connection, before=session)
        return next(iter(found.values()), None)

    def opening(self) -> Opening | None:
        """Return on which account the books were opened, or None when they began with it."""
        with self._engine.reading() as connection:
            row = connection.execute(select(t.openings)).first()
        return Opening(session=row.session, at=row.at, known=tuple(row.known)) if row else None

    def append_opening(self, opening: Opening, entries: Sequence[CashEntry]) -> None:
        """Append the entries that open the books, and that they did."""
        row = {"session": opening.session, "at": opening.at, "known": list(opening.known)}
        with self._engine.writing() as connection:
            rows.insert(connection, t.openings, [row])
            rows.insert_new(connection, t.cash_entries, entries)

    def append_reconciliation(self, found: Reconciliation) -> bool:
        """Append what a reconciliation found; False when it is what the last one found."""
        with self._engine.writing() as connection:
            last = next(iter(_reconciliations(connection, 1)), None)
            if last and _findings(last) == _findings(found):
                return False
            made = sa.insert(t.reconciliations).values(rows.row_of(t.reconciliations, found))
            (number,) = connection.execute(made).inserted_primary_key or (None,)
            its = [
                rows.row_of(t.breaks, each, reconciliation=number, number=place)
                for place, each in enumerate(found.breaks, start=1)
            ]
            rows.insert(connection, t.breaks, its)
        return True

    def reconciliations(self, count: int) -> list[Reconciliation]:
        """Return the last `count` reconciliations, oldest first; the breaks of the last stand."""
        with self._engine.reading() as connection:
            return _reconciliations(connection, count)


def _newest_books(connection: sa.Connection, through: date | None) -> _Version | None:
    """Return the newest books up to `through` that lack no entry of their sessions."""
    table = t.book_snapshots
    up_to = sa.true() if through is None else table.c.session <= through
    order = (table.c.session.desc(), table.c.revision.desc())
    tried = connection.execute(select(table).where(up_to).order_by(*order).limit(_TRIED)).all()
    for row in tried:
        if _counts(connection, row.session) == (row.fills, row.entries):
            return row.session, row.revision
    return None


def _counts(connection: sa.Connection, through: date | None) -> tuple[int, int]:
    found: list[int] = []
    for table in (t.fills, t.cash_entries):
        up_to = sa.true() if through is None else table.c.session <= through
        counted = select(sa.func.count()).select_from(table).where(up_to)
        found.append(connection.scalar(counted) or 0)
    return found[0], found[1]


def _books(connection: sa.Connection, version: _Version) -> Books:
    held: defaultdict[str, dict[str, Position]] = defaultdict(dict)
    table, names = t.book_positions, ("quantity", "cost", "realized", "dividends", "fees")
    found = select(table).where(*_of(table, version)).order_by(table.c.symbol)
    for row in connection.execute(found).mappings():
        sums = {name: row[name] for name in names}
        held[row["strategy"]][row["symbol"]] = Position(symbol=row["symbol"], **sums)
    parts = {
        row.strategy: Book(
            cash=row.cash, cash_in=row.cash_in, fees=row.fees, positions=held[row.strategy]
        )
        for row in connection.execute(
            select(t.book_parts).where(*_of(t.book_parts, version)).order_by("strategy")
        )
    }
    return Books(total=parts.pop(_ACCOUNT), parts=parts)


def _of(table: sa.Table, version: _Version) -> tuple[sa.ColumnElement[bool], ...]:
    session, revision = version
    return table.c.session == session, table.c.revision == revision


def _reconciliations(connection: sa.Connection, count: int) -> list[Reconciliation]:
    newest = select(t.reconciliations).order_by(t.reconciliations.c.id.desc()).limit(count)
    found = connection.execute(newest).mappings().all()
    broken: defaultdict[int, list[Break]] = defaultdict(list)
    ids = [row["id"] for row in found]
    held = sorted(rows.select_by(connection, t.breaks, "reconciliation", ids), key=_place)
    for row in held:
        broken[row["reconciliation"]].append(Break(**_without(row, "reconciliation", "number")))
    return [
        Reconciliation(**_without(row, "id"), breaks=tuple(broken[row["id"]]))
        for row in reversed(found)
    ]


def _findings(made: Reconciliation) -> tuple[object, ...]:
    return made.session, made.cash, made.broker_cash, made.breaks


def _place(row: Mapping[Any, Any]) -> tuple[int, int]:
    return row["reconciliation"], row["number"]


def _without(row: Mapping[Any, Any], *names: str) -> dict[str, Any]:
    return {str(key): value for key, value in row.items() if key not in names}
