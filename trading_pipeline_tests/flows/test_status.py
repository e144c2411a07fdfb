"""Where everything stands, also when parts of it do not answer."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from time import monotonic

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.core.execution.order import Decision
from trading_pipeline.core.market.quotes import Quote
from trading_pipeline.core.models.release import Manifest, Release, checksum
from trading_pipeline.core.risk.breaker import BREAKER
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.errors import MissingDataError, TransientError
from trading_pipeline.flows import report
from trading_pipeline.flows.status import Desk, status
from trading_pipeline.flows.status_report import StatusReport
from trading_pipeline_tests.days import (
    FILLED,
    SESSION,
    STRATEGY,
    TRADE_SESSION,
    book_of,
    day,
    deposit,
    fill_of,
    order,
)
from trading_pipeline_tests.factories import records_of

NOW = datetime(2013, 3, 4, 14, 0, tzinfo=UTC)
"""Monday before the open: the last closed session is Friday, March 1."""


DECISION = Decision(
    strategy=STRATEGY,
    session=SESSION,
    run_id="a",
    model_version="3",
    capital=Decimal(100_000),
    nav=Decimal(100_000),
    decided_at=NOW,
)


class Vendor:
    """A vendor of which only the last session is asked."""

    def __init__(self, last: date | None) -> None:
        self.last = last

    def last_session(self) -> date | None:
        return self.last


class Models:
    """A store that holds one release."""

    def release(self, strategy: str) -> Release:
        text = "tree"
        manifest = Manifest(
            strategy=strategy,
            sha256=checksum(text),
            features=("KMID",),
            feature_version="alpha158-1",
            label="open_to_open",
            symbols=("AAPL",),
            trained_from=date(2008, 1, 2),
            last_label=date(2013, 2, 20),
            trained_through=date(2013, 2, 22),
            best_iteration=1,
            version="3",
            run_id="r",
        )
        return Release(manifest=manifest, text=text)


def fail(error: Exception) -> None:
    raise error


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake whose newest clean bars are those of SESSION."""
    lake = Lake(tmp_path / "lake")
    prices = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), 10.0)
    lake.write(
        "clean_bars", pl.DataFrame([{"symbol": "AAPL", "session": SESSION, **prices}]), [SESSION]
    )
    return lake


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    opened.create()
    yield opened
    opened.close()


@pytest.fixture
def desk(lake: Lake, ledger: Ledger, tmp_path: Path) -> Desk:
    return Desk(
        ledger=lambda: ledger,
        quotes=lambda: lambda _symbols: {},
        lake=lambda: lake,
        models=Models,  # pyright: ignore[reportArgumentType]
        vendor=lambda: Vendor(TRADE_SESSION),  # pyright: ignore[reportReturnType]
        records=RunRecords(url=None, home=tmp_path),
        others={"redis": lambda: None, "dagster": lambda: "2 runs on record"},
        rules=BreakerRules(),
        stale_seconds=60,
    )


def ask(desk: Desk, seconds: float = 10) -> StatusReport:
    return status(desk, strategy=STRATEGY, now=NOW, seconds=seconds)


def test_a_new_installation_is_healthy_and_empty(desk: Desk) -> None:
    found = ask(desk)

    assert found.healthy
    assert (found.positions, found.pnl, found.runs) == ((), None, ())
    assert found.trading.state is TradingState.ACTIVE
    assert {service.name: service.state for service in found.services} == {
        "ledger": "up",
        "lake": "up",
        "vendor": "up",
        "model": "up",
        "redis": "not used",
        "dagster": "up",
        "daemon": "not used",
    }


def test_the_book_is_the_newest_snapshot(desk: Desk, ledger: Ledger) -> None:
    fills = [fill_of(order) for order in FILLED]
    ledger.append_snapshot(book_of(deposit(), session=SESSION), run_id="a", at=NOW)
    pnl = book_of(deposit(), *fills, AAPL="430.47", GOOG="806.19")
    ledger.append_snapshot(pnl, run_id="b", at=NOW)

    found = ask(desk)

    assert found.pnl is not None
    assert found.positions is not None
    assert (found.pnl.session, found.pnl.nav) == (TRADE_SESSION, pnl.nav)
    assert found.pnl.total == found.pnl.realized + found.pnl.unrealized
    assert [row.symbol for row in found.positions] == ["AAPL", "GOOG"]
    assert found.positions[0].mark_source == "close of 2013-03-01"
    assert found.pnl.fills_since == 0


def test_fills_that_the_snapshot_does_not_know_are_counted(desk: Desk, ledger: Ledger) -> None:
    ledger.append_snapshot(book_of(deposit(), session=SESSION), run_id="a", at=NOW)
    ledger.record_decision(DECISION, [order("AAPL", "sell", 45)])
    ledger.append_fills([fill_of(FILLED[0])])

    found = ask(desk)

    assert found.pnl is not None
    assert found.pnl.fills_since == 1


def test_what_the_account_is_worth_now_counts_later_fills_and_fresh_quotes(
    desk: Desk, ledger: Ledger
) -> None:
    planned = [order("AAPL", "sell", 45), replace(order("GOOG", "buy", 24), sequence=2)]
    ledger.append_cash_entries([deposit()])
    ledger.record_decision(DECISION, planned)
    ledger.append_fills([fill_of(each) for each in FILLED])
    closes = ask(desk).live
    ago = NOW - timedelta(seconds=5)
    quote = Quote("AAPL", int(ago.timestamp() * 1e9), 399.0, 401.0, 1.0, 1.0, "V", 1)

    found = ask(replace(desk, quotes=lambda: lambda _symbols: {"AAPL": quote})).live

    assert closes is not None
    assert found is not None
    assert (closes.positions, closes.positions_real_time) == (2, 0)
    assert (found.positions, found.positions_real_time) == (2, 1)
    assert found.nav - closes.nav == -45 * (Decimal(400) - Decimal(10))  # its close in the lake


def test_the_last_runs_come_newest_first_each_as_far_as_it_came(desk: Desk, ledger: Ledger) -> None:
    report.record(ledger, report.build(day(run_id="old")))
    for run_id in ("broken", "new"):
        ended_at = day().finished_at  # as the others, so that the ledger's order counts
        begun = Run(run_id=run_id, phase="started", session=SESSION, at=ended_at, detail={})
        ledger.append_run(begun)
    report.record(ledger, report.build(day(run_id="new")))
    told = {"told": [], "trips": []}
    ledger.append_run(Run(run_id=BREAKER, phase=BREAKER, session=SESSION, at=NOW, detail=told))

    runs = ask(desk).runs

    assert runs is not None
    assert [(run.run_id, run.status, run.num_orders_accepted) for run in runs] == [
        ("new", "partial", 2),
        ("broken", "unfinished", None),
        ("old", "partial", 2),
    ]


def test_a_run_that_failed_before_it_wrote_anything_is_shown(
    desk: Desk, ledger: Ledger, tmp_path: Path
) -> None:
    report.record(ledger, report.build(day(run_id="old")))
    ledger.append_run(Run(run_id="broken", phase="started", session=SESSION, at=NOW, detail={}))
    later = (NOW + timedelta(days=1)).timestamp()
    ends = [("early", "FAILURE", later), ("broken", "FAILURE", NOW.timestamp())]
    runs = [(name, "paper_run", status, str(SESSION), at) for name, status, at in ends]
    other = ("other", "retrain", "FAILURE", None, later)

    found = ask(replace(desk, records=records_of(tmp_path, [*runs, other])))

    assert found.runs is not None
    assert {(run.run_id, run.status) for run in found.runs} == {
        ("early", "failed"),
        ("broken", "failed"),
        ("old", "partial"),
    }
    assert found.runs[0].run_id == "early"


def test_no_more_runs_are_shown_than_fit(desk: Desk, ledger: Ledger) -> None:
    for number in range(8):
        report.record(ledger, report.build(day(run_id=str(number))))

    runs = ask(desk).runs

    assert [run.run_id for run in runs or ()] == ["7", "6", "5", "4", "3"]


def test_the_age_of_data_and_model_is_counted_in_sessions(desk: Desk) -> None:
    found = ask(desk)

    assert found.data is not None
    assert (found.data.last_session, found.data.sessions_behind) == (SESSION, 1)
    assert found.model is not None
    assert (found.model.version[:2], found.model.sessions_since) == ("3-", 4)


@pytest.mark.parametrize("last", [None, date(2013, 3, 28)])
def test_what_has_not_closed_yet_is_not_missed(desk: Desk, last: date | None) -> None:
    found = ask(replace(desk, vendor=lambda: Vendor(last)))

    assert found.data is not None
    assert found.data.available_session == date(2013, 3, 1)


def test_a_halt_is_told_with_who_and_why_and_is_no_fault(desk: Desk, ledger: Ledger) -> None:
    at = datetime(2013, 3, 1, 15, tzinfo=UTC)
    ledger.append_halt(TradingState.HALTED, who="ada", reason="odd fills", at=at)

    found = ask(desk)

    assert found.trading.model_dump() == {
        "state": TradingState.HALTED,
        "reason": "odd fills",
        "who": "ada",
        "since": at,
    }
    assert found.healthy


@pytest.mark.parametrize(
    ("part", "service", "unknown"),
    [
        ("ledger", "ledger", {"positions", "pnl", "runs"}),
        ("lake", "lake", {"data"}),
        ("models", "model", {"model"}),
        ("vendor", "vendor", set()),
    ],
)
def test_what_is_down_is_shown_as_down_and_breaks_nothing_else(
    desk: Desk, ledger: Ledger, part: str, service: str, unknown: set[str]
) -> None:
    ledger.append_snapshot(book_of(deposit()), run_id="a", at=NOW)

    found = ask(replace(desk, **{part: lambda: fail(TransientError("It does not answer."))}))

    assert not found.healthy
    down = [it.name for it in found.services if it.state == "down"]
    assert down == [service]
    parts = ("positions", "pnl", "runs", "data", "model")
    assert {name for name in parts if getattr(found, name) is None} == unknown


def test_a_release_is_reducing_while_it_is_quiet(desk: Desk, ledger: Ledger) -> None:
    for state in (TradingState.HALTED, TradingState.ACTIVE):
        ledger.append_halt(state, who="ada", reason="over", at=NOW)

    assert ask(desk).trading.state is TradingState.REDUCING
    at_once = replace(desk, rules=BreakerRules(quiet_minutes=0))
    assert ask(at_once).trading.state is TradingState.ACTIVE


def test_trading_is_halted_when_the_ledger_does_not_answer(desk: Desk) -> None:
    found = ask(replace(desk, ledger=lambda: fail(MissingDataError("There is none."))))

    assert (found.trading.state, found.trading.since) == (TradingState.HALTED, None)
    assert "ledger" in found.trading.reason


def test_a_silent_service_is_not_waited_for(desk: Desk) -> None:
    never = Event()
    before = monotonic()

    found = ask(replace(desk, others={"redis": never.wait}), seconds=0.5)

    assert monotonic() - before < 20
    (redis,) = [service for service in found.services if service.name == "redis"]
    assert redis.detail == "No answer within 0.5 seconds."
    never.set()


def test_an_empty_lake_says_what_brings_the_bars(desk: Desk, tmp_path: Path) -> None:
    found = ask(replace(desk, lake=lambda: Lake(tmp_path / "none")))

    lake = next(service for service in found.services if service.name == "lake")
    assert (lake.state, "first run" in lake.detail) == ("down", True)


def test_the_document_survives_json(desk: Desk, ledger: Ledger) -> None:
    ledger.append_snapshot(book_of(deposit()), run_id="a", at=NOW)
    found = ask(desk)

    assert StatusReport.model_validate_json(found.model_dump_json()) == found


def test_a_real_store_without_release_is_down(desk: Desk, tmp_path: Path) -> None:
    found = ask(replace(desk, models=lambda: ModelStore(tmp_path / "models", "sqlite:///x.db")))

    assert next(it for it in found.services if it.name == "model").state == "down"
