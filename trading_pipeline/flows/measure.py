"""Read everything that is measured, at the moment of a scrape.

Each source is asked on its own; one that is down is `up 0`, its metrics are absent and all others
are told.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.ledger.figures import Figures, LedgerFigures
from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline.adapters.metrics import Sample
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.market.calendar import (
    FIRST_SESSION,
    is_session,
    last_closed_session,
    previous_session,
    session_open,
    sessions_between,
)
from trading_pipeline.core.risk.breaker import Value, daily_loss, drawdown
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline.flows.halt import standing
from trading_pipeline.flows.live_marks import QUOTE, live_prices
from trading_pipeline.flows.metrics import PREFIX
from trading_pipeline.flows.ports import MarketData
from trading_pipeline.flows.probe import ask
from trading_pipeline.flows.report import FINISHED
from trading_pipeline.flows.risk_monitor import SESSIONS, told, valued, values_of
from trading_pipeline.flows.schedule import scheduled
from trading_pipeline.flows.stream_report import age_of
from trading_pipeline.flows.supervise import is_open

SECONDS: Final = 8.0
"""Less than Prometheus waits for a scrape."""

_DONE: Final = frozenset({"success", "partial"})
"""How a day ends that need not be run again."""

Samples = Iterator[Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What is read; each is asked anew at every scrape. `redis` gives None while none is used.

    `models` are the strategies whose models trade, `version` is the product's; `may_stream` says
    whether there are keys to stream quotes with.
    """

    ledger: Callable[[], Ledger]
    figures: LedgerFigures
    lake: Lake
    store: ModelStore
    vendor: Callable[[], MarketData]
    records: RunRecords
    redis: Callable[[], RedisLink | None]
    models: Sequence[str]
    rules: BreakerRules
    version: str
    may_stream: bool


def measure(instruments: Instruments, *, now: datetime, seconds: float = SECONDS) -> list[Sample]:
    """Return every sample that could be read within `seconds`."""
    redis = instruments.redis()
    questions: dict[str, Callable[[], list[Sample]]] = {
        "ledger": lambda: list(_ledger(instruments, redis, now)),
        "lake": lambda: list(_lake(instruments, now)),
        "models": lambda: list(_models(instruments, now)),
        "dagster": lambda: list(_jobs(instruments, now)),
        "vendor": lambda: list(_vendor(instruments)),
    }
    if redis:
        questions["redis"] = lambda: _redis(redis, now, may_stream=instruments.may_stream)
    answers = ask(questions, seconds=seconds)
    found = [_sample("version_info", 1, instruments.version), *_market(now)]
    for name, answer in answers.items():
        found.append(_sample("up", answer.fault is None, name))
        found += answer.value or []
    return found


def due_session(now: datetime, last: date | None) -> date:
    """Return the newest session whose day should have been run by `now`.

    A day decides after the close and before the next open, so it is due at that open. `last` is the
    last session of an archive, at whose open the orders of the one before can still be filled.
    """
    opened = last_closed_session(now)
    if is_session(now.date()) and now >= session_open(now.date()):
        opened = now.date()
    due = previous_session(opened)
    return due if last is None else min(due, previous_session(last))


def _market(now: datetime) -> Samples:
    yield _sample("market_open", is_open(now))


def _vendor(instruments: Instruments) -> Samples:
    yield _sample("is_archive", instruments.vendor().last_session() is not None)


def _ledger(instruments: Instruments, redis: RedisLink | None, now: datetime) -> Samples:
    ledger = instruments.ledger()
    found = instruments.figures.read(ended=FINISHED, sessions=SESSIONS)
    state = standing(ledger, now=now, rules=instruments.rules).state
    yield from (_sample("trading_state", state is each, each) for each in TradingState)
    for name, counts in (
        ("trading_state_changes_total", found.halts),
        ("order_events_total", found.events),
        ("orders", found.orders),
    ):
        yield from (_sample(name, count, word) for word, count in counts.items())
    yield from (_sample("breaker_told", 1, code) for code in {code for code, _ in told(ledger)})
    yield _sample("fills_total", found.fills)
    yield _sample("commission_dollars_total", found.commission)
    yield from _runs(found, due_session(now, _end_of_archive(instruments)))
    live = _live(ledger, redis, now)
    yield from _values(found, live)
    for pnl in [live] if live else ledger.snapshots(1):
        yield from _book(pnl)
    for made in ledger.reconciliations(1):
        yield _sample("reconciled_timestamp_seconds", made.at.timestamp())
        kinds = [each.kind for each in made.held]
        yield from (_sample("breaks", kinds.count(kind), kind) for kind in sorted(set(kinds)))


def _runs(found: Figures, due: date) -> Samples:
    for status, runs in found.runs.items():
        yield _sample("runs_total", runs.count, status)
        yield _sample("last_run_timestamp_seconds", runs.at.timestamp(), status)
    if done := [runs.session for status, runs in found.runs.items() if status in _DONE]:
        yield _sample("runs_missing", _sessions_after(max(done), due))


def _live(ledger: Ledger, redis: RedisLink | None, now: datetime) -> Pnl | None:
    """The account at live quotes; None while the exchange is closed or nobody streams."""
    prices = live_prices(ledger, QuoteStore(redis).latest, now=now) if redis else None
    return valued(ledger, prices) if prices else None


def _values(found: Figures, live: Pnl | None) -> Samples:
    past = [Value(session=day, nav=nav, cash_in=put_in) for day, nav, put_in in found.values]
    if values := values_of(past, live):
        yield _sample("daily_loss_ratio", daily_loss(values))
        yield _sample("drawdown_ratio", drawdown(values)[0])


def _book(pnl: Pnl) -> Samples:
    yield _sample("nav_dollars", pnl.nav)
    yield _sample("cash_dollars", pnl.cash)
    for kind in ("realized", "unrealized", "total", "fees"):
        yield _sample("pnl_dollars", getattr(pnl, kind), kind)
    for kind in ("gross", "net"):
        yield _sample("exposure_dollars", getattr(pnl, kind), kind)
    for each in pnl.open_positions:
        yield _sample("position_shares", each.quantity, each.symbol)
        yield _sample("position_dollars", each.value, each.symbol)
        yield _sample("position_unrealized_dollars", each.unrealized, each.symbol)
    yield _sample("positions_real_time", sum(p.source == QUOTE for p in pnl.open_positions))
    yield _sample("unpriced_positions", len(pnl.unpriced))


def _lake(instruments: Instruments, now: datetime) -> Samples:
    lake, last = instruments.lake, _end_of_archive(instruments)
    held = lake.held("clean_bars", FIRST_SESSION, last_closed_session(now))
    if not held:
        return
    newest = max(held)
    yield _sample("bars_sessions_behind", _sessions_after(newest, due_session(now, last)))
    for name, table in (("bars", "clean_bars"), ("quarantined_bars", "quarantined_bars")):
        rows = lake.read(table, newest, newest, columns=["symbol"])
        yield _sample(name, rows.height)


def _models(instruments: Instruments, now: datetime) -> Samples:
    last = _end_of_archive(instruments)
    for name in instruments.models:
        release = instruments.store.release(name)
        yield _sample("model_info", 1, name, release.model_version)
        age = _sessions_after(release.manifest.trained_through, due_session(now, last))
        yield _sample("model_age_sessions", age, name)


def _jobs(instruments: Instruments, now: datetime) -> Samples:
    for runs in instruments.records.jobs():
        yield _sample("job_runs", runs.count, runs.job, runs.status)
        if runs.ended_at is not None:
            yield _sample("job_last_end_timestamp_seconds", runs.ended_at, runs.job, runs.status)
    schedule = scheduled(instruments.records, now)
    yield _sample("schedule_on", schedule.on)
    if schedule.daemon_seen_at:
        age = (now - schedule.daemon_seen_at).total_seconds()
        yield _sample("daemon_heartbeat_age_seconds", max(age, 0))


def _redis(link: RedisLink, now: datetime, *, may_stream: bool) -> list[Sample]:
    store = QuoteStore(link)
    found = [
        _sample("redis_memory_bytes", link.health().used_memory),
        _sample("stream_wanted", may_stream and store.desired().on),
    ]
    if beat := store.heartbeat():
        found += [
            _sample("stream_heartbeat_age_seconds", age_of(beat, now)),
            _sample("stream_quotes_total", int(beat["received"])),
            _sample("stream_dropped_quotes_total", int(beat["overflow"])),
            _sample("stream_lag_seconds", float(beat["lag_p99_ms"]) / 1000),
            _sample("stream_symbols", int(beat["symbols"])),
        ]
    quotes = store.everything().items()
    return found + [_sample("quote_age_seconds", quote.age(now), name) for name, quote in quotes]


def _end_of_archive(instruments: Instruments) -> date | None:
    """The vendor's last session; None when its data goes on, or it does not answer."""
    try:
        return instruments.vendor().last_session()
    except TradingPipelineError:
        return None


def _sessions_after(session: date, last: date) -> int:
    return len(sessions_between(session, last)) - 1 if session < last else 0


def _sample(name: str, value: object, *labels: str) -> Sample:
    return Sample(f"{PREFIX}{name}", float(value), tuple(str(label) for label in labels))  # pyright: ignore[reportArgumentType] - numbers of any kind
