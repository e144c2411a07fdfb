"""Halts, snapshots and runs: every test runs on SQLite and on PostgreSQL."""

from datetime import date, timedelta
from decimal import Decimal

import sqlalchemy as sa

from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.pnl import Mark, mark
from trading_pipeline.core.execution.order import Side
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    make_entry,
    make_fill,
    make_order,
)

BUY = make_order("AAPL")
SELL = make_order("IBM", Side.SELL, sequence=2)


def test_a_new_ledger_allows_trading(ledger: Ledger) -> None:
    standing = ledger.trading_state()
    assert standing.state is TradingState.ACTIVE
    assert standing.at is not None
    assert standing.at.utcoffset() == timedelta(0)


def test_the_last_word_on_trading_counts(ledger: Ledger) -> None:
    ledger.append_halt(TradingState.HALTED, who="ops", reason="Fire drill.", at=NOW)
    assert ledger.trading_state() == (TradingState.HALTED, "Fire drill.", "ops", NOW)
    ledger.append_halt(TradingState.REDUCING, who="ops", reason="Drill over.", at=NOW)
    assert ledger.trading_state().state is TradingState.REDUCING


def test_a_trading_state_that_is_no_known_word_is_halted(ledger: Ledger, ledger_url: str) -> None:
    with LedgerEngine(ledger_url).writing() as connection:
        connection.execute(
            sa.text("INSERT INTO halts (state, who, reason, at) VALUES ('what', 'x', 'y', :at)"),
            {"at": NOW.isoformat()},
        )
    standing = ledger.trading_state()
    assert (standing.state, standing.at) == (TradingState.HALTED, None)
    assert "cannot be read" in standing.reason


def test_a_snapshot_gets_a_revision_only_when_it_differs(ledger: Ledger) -> None:
    book = replay(Book(), [make_entry(), make_fill(BUY, 4), make_fill(SELL)])
    first = mark(book, {"AAPL": Mark(price=Decimal("99.5"), source="close")}, SESSION)
    second = mark(book, {"AAPL": Mark(price=Decimal("98.25"), source="close")}, SESSION)
    written = [
        ledger.append_snapshot(pnl, run_id=run_id, at=NOW)
        for run_id, pnl in (("a", first), ("b", first), ("c", second), ("d", second), ("e", first))
    ]
    assert written == [True, False, True, False, True]
    assert ledger.snapshots(10) == [first]


def test_snapshots_are_the_newest_revisions_oldest_first(ledger: Ledger) -> None:
    book = replay(Book(), [make_entry()])
    days = [date(2012, 6, day) for day in (1, 4, 5)]
    for day in days:
        for _ in range(2):
            ledger.append_snapshot(mark(book, {}, day), run_id="a", at=NOW)
    found = ledger.snapshots(2)
    assert [pnl.session for pnl in found] == days[1:]
    assert found == [mark(book, {}, day) for day in days[1:]]
    assert ledger.snapshots(10)[0].nav == Decimal(100_000)


def test_runs_are_told_in_the_order_they_happened(ledger: Ledger) -> None:
    told = [
        Run(run_id="r", phase=phase, session=SESSION, at=NOW, detail={"orders": 4, "list": [1]})
        for phase in ("started", "traded", "completed")
    ]
    for run in told:
        ledger.append_run(run)
    assert ledger.runs(10) == told
    assert ledger.runs(2) == told[1:]
    assert ledger.runs(2, "started") == told[:1]


def test_a_run_is_appended_only_to_what_its_writer_has_seen(ledger: Ledger) -> None:
    first, second = (
        Run(run_id=name, phase="p", session=SESSION, at=NOW, detail={"by": name}) for name in "ab"
    )
    assert ledger.append_run_after(None, first)
    assert not ledger.append_run_after(None, second)
    ledger.append_run(Run(run_id="a", phase="another", session=SESSION, at=NOW, detail={}))
    assert ledger.append_run_after(first, second)
    assert ledger.runs(9, "p") == [first, second]


def test_a_detail_may_hold_money_and_dates(ledger: Ledger) -> None:
    detail = {"nav": Decimal("1.10"), "session": SESSION}
    ledger.append_run(Run(run_id="r", phase="p", session=SESSION, at=NOW, detail=detail))
    assert ledger.runs(1)[0].detail == {"nav": "1.10", "session": "2012-06-01"}
