"""The exporter: what a scrape reads of a ledger of 50 000 orders, in either database."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from trading_pipeline.adapters.ledger import Ledger, rows
from trading_pipeline.adapters.ledger import tables as t
from trading_pipeline.adapters.ledger.engine import LedgerEngine, normalized
from trading_pipeline.adapters.ledger.figures import Figures, LedgerFigures
from trading_pipeline.core.execution.order import OrderState, move, record
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.flows.report import FINISHED
from trading_pipeline.flows.risk_monitor import SESSIONS
from trading_pipeline_tests.benchmarks.harness import Figure, median
from trading_pipeline_tests.fakes import NOW, make_decision, make_fill, make_order
from trading_pipeline_tests.servers import Postgres

DAYS = sessions_between(date(2010, 1, 4), date(2012, 12, 31))[:500]
ORDERS = 100
"""Of each day; every one goes through four states and fills."""

LIMIT = 0.016
INDEXES = ("ix_orders_session", "ix_order_events_state", "ix_fills_session")


def figures() -> list[Figure]:
    """The ledger's figures with the indexes they are read from, and without."""
    with tempfile.TemporaryDirectory() as folder, _postgres() as postgres:
        sqlite = _figure("SQLite", f"sqlite:///{Path(folder) / 'ledger.db'}", lambda: None)
        url = postgres.url()
        return [
            sqlite,
            _figure("PostgreSQL", url, lambda: postgres.execute("VACUUM ANALYZE")),
        ]


@contextmanager
def _postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.stop()


def _figure(database: str, url: str, settle: Callable[[], None]) -> Figure:
    """`settle` does what the database does by itself after a while."""
    _fill(url)
    settle()
    read = LedgerFigures(url)

    def scrape() -> Figures:
        return read.read(ended=FINISHED, sessions=SESSIONS)

    right, seconds = _is_right(scrape()), median(scrape, 15)
    read.close()
    engine = sa.create_engine(normalized(url))
    with engine.begin() as connection:
        for index in INDEXES:
            connection.exec_driver_sql(f"DROP INDEX {index}")
    engine.dispose()
    without = median(scrape, 15)
    read.close()
    return Figure(
        name=f"ledger at a scrape, 50 000 orders, {database}",
        seconds=seconds if right else float("inf"),
        limit=LIMIT,
        ratio=without / seconds,
        ratio_to="the same without the indexes, as a multiple",
        note="200 000 events, 50 000 fills, 500 runs; nothing kept between two scrapes",
    )


def _is_right(found: Figures) -> bool:
    count = len(DAYS) * ORDERS
    states = ("planned", "submitting", "accepted", "filled")
    return (
        {state: of for state, of in found.events.items() if of} == dict.fromkeys(states, count)
        and found.orders == {"filled": ORDERS}
        and (found.fills, found.commission) == (count, count)
    )


def _fill(url: str) -> None:
    ledger, engine = Ledger(url), LedgerEngine(url)
    ledger.create()
    ledger.close()
    for day in DAYS:
        with engine.writing() as connection:
            _fill_day(connection, day)
    engine.close()


def _fill_day(connection: sa.Connection, day: date) -> None:
    planned = [make_order(f"S{n:03}", session=day, sequence=n + 1) for n in range(ORDERS)]
    sent = [move(order, OrderState.SUBMITTING) for order in planned]
    taken = [move(order, OrderState.ACCEPTED) for order in sent]
    fills = [make_fill(order) for order in taken]
    filled = [record(order, fill) for order, fill in zip(taken, fills, strict=True)]
    _insert(connection, t.decisions, [make_decision(day)])
    _insert(connection, t.orders, planned)
    for number, orders in enumerate((planned, sent, taken, filled), start=1):
        _insert(connection, t.order_events, orders, number=number, at=NOW)
    _insert(connection, t.fills, fills)
    run = {"run_id": f"{day}", "session": day, "at": NOW, "detail": {"status": "success"}}
    rows.insert(connection, t.runs, [{**run, "phase": FINISHED}])


def _insert(
    connection: sa.Connection, table: sa.Table, values: Sequence[object], **more: object
) -> None:
    rows.insert(connection, table, [rows.row_of(table, value, **more) for value in values])
