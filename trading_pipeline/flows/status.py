"""Where everything stands now: the book, the last runs, the data, the model, the services."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger, Run, Standing
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.run_records import FailedRun, RunRecords
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.execution.order import Fill
from trading_pipeline.core.market.calendar import (
    FIRST_SESSION,
    last_closed_session,
    sessions_between,
)
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.risk.breaker import BREAKER
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.halt import standing
from trading_pipeline.flows.live_pnl import LiveBook, LivePnl, Quotes
from trading_pipeline.flows.ports import MarketData
from trading_pipeline.flows.probe import Answer, ask
from trading_pipeline.flows.report import FINISHED, positions
from trading_pipeline.flows.schedule import daemon, scheduled
from trading_pipeline.flows.status_report import (
    DataAge,
    LatestPnl,
    LivePnlNow,
    ModelAge,
    RunRow,
    Schedule,
    Service,
    StatusReport,
    Trading,
)

SECONDS: Final = 1.2
"""Whatever has not answered by then is shown as down; with the start it makes less than two."""

RUNS: Final = 5
"""How many runs are shown."""

DAY: Final = "paper_run"
"""The job of the trading day."""

UNFINISHED: Final = "unfinished"

_PHASES = 10
"""At least as many rows of the ledger as a run has phases, and the breaker tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What to ask; each is opened when it is asked, so that one that is broken breaks nothing.

    `rules` say how long a release is quiet, `stale_seconds` how long a quote is fresh; `others` are
    further services by name: a sentence when they answer, None when they are not used.
    """

    ledger: Callable[[], Ledger]
    quotes: Callable[[], Quotes]
    lake: Callable[[], Lake]
    models: Callable[[], ModelStore]
    vendor: Callable[[], MarketData]
    records: RunRecords
    others: Mapping[str, Callable[[], str | None]]
    rules: BreakerRules
    stale_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    standing: Standing
    snapshot: Pnl | None
    fills_since: int
    runs: Sequence[Run]


def status(
    desk: Desk,
    *,
    strategy: str,
    now: datetime,
    models: Sequence[str] | None = None,
    seconds: float = SECONDS,
) -> StatusReport:
    """Ask everything at once and return what was said within `seconds`.

    `models` are the strategies whose models it asks, by default its own; the first is shown.
    """
    asked = (strategy,) if models is None else models
    questions: dict[str, Callable[[], object]] = {
        "ledger": lambda: _read_books(desk.ledger(), now, desk.rules),
        "lake": lambda: _newest_session(desk.lake(), now),
        "vendor": lambda: _available_session(desk.vendor(), now),
        "model": lambda: next(iter([desk.models().release(name) for name in asked]), None),
        **desk.others,
        "live": lambda: _live(desk, now),
        "failures": lambda: desk.records.failures(DAY, RUNS),
        "schedule": lambda: scheduled(desk.records, now),
    }
    said = ask(questions, seconds=seconds)
    schedule: Schedule | None = said.pop("schedule").value
    live: LivePnl | None = said.pop("live").value
    failed: Sequence[FailedRun] = said.pop("failures").value or ()
    services = (*(_service(name, answer) for name, answer in said.items()), daemon(schedule))
    books: _Books | None = said["ledger"].value
    newest: date | None = said["lake"].value
    return StatusReport(
        generated_at=now,
        healthy=all(service.state != "down" for service in services),
        strategy=strategy,
        trading=_trading(said["ledger"]),
        positions=positions(books.snapshot) if books else None,
        pnl=_pnl(books) if books else None,
        live=_live_now(live) if live else None,
        runs=_runs(books.runs, failed) if books else None,
        data=_data_age(newest, said["vendor"].value) if newest else None,
        model=_model_age(said["model"].value, newest),
        schedule=schedule,
        services=services,
    )


def _read_books(ledger: Ledger, now: datetime, rules: BreakerRules) -> _Books:
    snapshot = next(iter(ledger.snapshots(1)), None)
    since = ledger.entries(after=snapshot.session) if snapshot else []
    return _Books(
        standing=standing(ledger, now=now, rules=rules),
        snapshot=snapshot,
        fills_since=sum(isinstance(entry, Fill) for entry in since),
        runs=[run for run in ledger.runs(RUNS * _PHASES) if run.phase != BREAKER],
    )


def _live(desk: Desk, now: datetime) -> LivePnl:
    book = LiveBook(desk.ledger(), desk.lake(), desk.quotes(), stale_seconds=desk.stale_seconds)
    book.refresh(now)
    return book.look(now)


def _live_now(found: LivePnl) -> LivePnlNow:
    return LivePnlNow(
        at=found.at,
        nav=found.pnl.nav,
        unrealized=found.pnl.unrealized,
        total=found.pnl.total,
        positions=len(found.positions),
        positions_real_time=found.live,
    )


def _newest_session(lake: Lake, now: datetime) -> date:
    held = lake.held("clean_bars", FIRST_SESSION, last_closed_session(now))
    if not held:
        raise MissingDataError("The lake holds no clean bars: the first run brings them.")
    return max(held)


def _available_session(vendor: MarketData, now: datetime) -> date:
    closed = last_closed_session(now)
    return min(closed, vendor.last_session() or closed)


def _service(name: str, answer: Answer) -> Service:
    if answer.fault:
        return Service(name=name, state="down", detail=answer.fault)
    if answer.value is None:
        return Service(name=name, state="not used", detail="not configured")
    return Service(name=name, state="up", detail=_detail(answer.value))


def _detail(value: object) -> str:
    if isinstance(value, _Books):
        return "readable"
    if isinstance(value, Release):
        return f"version {value.model_version}, checksum verified"
    return f"newest session {value}" if isinstance(value, date) else str(value)


def _trading(ledger: Answer) -> Trading:
    if ledger.value is None:
        reason = "The ledger is down: what cannot be known is halted."
        return Trading(state=TradingState.HALTED, reason=reason, who="status", since=None)
    found: Standing = ledger.value.standing
    return Trading(state=found.state, reason=found.reason, who=found.who, since=found.at)


def _pnl(books: _Books) -> LatestPnl | None:
    found = books.snapshot
    if found is None:
        return None
    return LatestPnl(
        session=found.session,
        nav=found.nav,
        realized=found.realized,
        unrealized=found.unrealized,
        total=found.total,
        fees=found.fees,
        unpriced=found.unpriced,
        fills_since=books.fills_since,
    )


def _runs(runs: Sequence[Run], failed: Sequence[FailedRun]) -> tuple[RunRow, ...]:
    """A row a run, newest first: its last phase says how far it came; `runs` is oldest first.

    A run that failed is on Dagster's record, and in the ledger only if it came that far.
    """
    last: dict[str, Run] = {}
    for run in runs:
        last.pop(run.run_id, None)
        last[run.run_id] = run
    rows = {run.run_id: _run_row(run) for run in reversed(last.values())}
    for each in failed:
        held = rows.get(each.run_id)
        if each.partition and (held is None or held.status == UNFINISHED):
            rows[each.run_id] = _failed_row(each, each.partition)
    return tuple(sorted(rows.values(), key=lambda row: row.at, reverse=True))[:RUNS]


def _failed_row(run: FailedRun, session: str) -> RunRow:
    return RunRow(
        run_id=run.run_id,
        session=date.fromisoformat(session),
        at=datetime.fromtimestamp(run.ended_at, UTC),
        status="failed",
        num_signals=None,
        num_orders_accepted=None,
    )


def _run_row(run: Run) -> RunRow:
    counts: Mapping[str, Any] = run.detail if run.phase == FINISHED else {}
    return RunRow(
        run_id=run.run_id,
        session=run.session,
        at=run.at,
        status=counts.get("status", UNFINISHED),
        num_signals=counts.get("num_signals"),
        num_orders_accepted=counts.get("num_orders_accepted"),
    )


def _data_age(newest: date, available: date | None) -> DataAge:
    return DataAge(
        last_session=newest,
        available_session=available,
        sessions_behind=_sessions_from(newest, available) if available else None,
    )


def _model_age(release: Release | None, newest: date | None) -> ModelAge | None:
    if release is None:
        return None
    through = release.manifest.trained_through
    return ModelAge(
        version=release.model_version,
        trained_through=through,
        sessions_since=_sessions_from(through, newest) if newest else None,
    )


def _sessions_from(first: date, last: date) -> int:
    """Sessions after `first` up to `last`; 0 when `last` is not after `first`."""
    return max(0, len(sessions_between(first, last)) - 1) if first < last else 0
