"""Each alert fires from a real state of the books, of what they stand on, and of the market.

What is written is a ledger, a lake, quotes and records; what is read is what the exporter reads of
them, and promtool says which of the shipped rules fire. What a rule needs a second scrape for, or
the exporter itself, is in test_observability.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import polars as pl
import pytest
import yaml

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.adapters.live_store import RedisLink
from trading_pipeline.adapters.metrics import Sample
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.accounting.pnl import mark
from trading_pipeline.core.execution.order import OrderState, move
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.core.risk.breaker import BREAKER
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.measure import measure
from trading_pipeline.flows.metrics import METRICS
from trading_pipeline_tests.factories import records_of
from trading_pipeline_tests.fakes import (
    SESSION,
    make_decision,
    make_entry,
    make_order,
    make_reconciliation,
    on_sqlite,
)
from trading_pipeline_tests.flows.test_measure import NOW, beating, instruments
from trading_pipeline_tests.test_observability import RULES, run, tool

SETTLED = NOW.replace(day=2)
"""Friday, half an hour after the open: the day of Thursday, November 1, was due and is run."""

Fires = Callable[[Iterable[Sample], set[str]], None]


class Live(SampleData):
    """The sample, as if more of it came every day."""

    def last_session(self) -> None:
        return None


@pytest.fixture
def fires(tmp_path: Path) -> Fires:
    """Requires that exactly these alerts fire when every scrape finds these samples."""
    promtool, words = tool("promtool"), r'ALERTS{alertstate="firing",alertname!="Watchdog"}'

    def require(samples: Iterable[Sample], expected: set[str]) -> None:
        test = {
            "interval": "10s",
            "input_series": [{"series": 'up{job="trading_pipeline"}', "values": "1+0x60"}]
            + [{"series": _series(each), "values": f"{each.value}+0x60"} for each in samples],
            "promql_expr_test": [
                {
                    "expr": f"group by (alertname) ({words})",
                    "eval_time": "9m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected
                    ],
                }
            ],
        }
        file = tmp_path / "states_test.yml"
        file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [test]}))
        run(promtool, "test", "rules", file)

    return require


def _series(sample: Sample) -> str:
    (labels,) = (metric.labels for metric in METRICS if metric.name == sample.name)
    pairs = zip(labels, sample.labels, strict=True)
    return f"{sample.name}{{{','.join(f'{name}={json.dumps(value)}' for name, value in pairs)}}}"


def test_a_day_that_went_well_fires_nothing(first_day: Path, fires: Fires) -> None:
    read = instruments(first_day)

    fires(measure(read, now=NOW + timedelta(days=90)), set())  # an archive is never late
    fires(measure(replace(read, vendor=Live), now=SETTLED), set())
    fires(measure(replace(read, vendor=Live), now=SETTLED + timedelta(days=3, hours=-2)), set())


def test_what_is_late_fires_when_it_is(first_day: Path, fires: Fires) -> None:
    read = replace(instruments(first_day), vendor=Live)

    fires(measure(read, now=NOW), {"RunMissing", "DataBehind"})
    fires(measure(read, now=NOW + timedelta(days=90)), {"RunMissing", "DataBehind", "ModelOld"})


@on_sqlite
def test_everything_that_can_be_wrong_with_the_books_fires(
    ledger: Ledger, ledger_url: str, first_day: Path, fires: Fires
) -> None:
    orders = [make_order(name, sequence=n) for n, name in enumerate(("AAPL", "IBM"), start=1)]
    ledger.record_decision(make_decision(), orders)
    sent = [move(order, OrderState.SUBMITTING) for order in orders]
    ledger.append(at=NOW, orders=sent)
    ends = (OrderState.REJECTED, OrderState.UNKNOWN)
    ledger.append(at=NOW, orders=[move(o, to) for o, to in zip(sent, ends, strict=True)])
    ledger.append_reconciliation(make_reconciliation())
    ledger.append_halt(TradingState.HALTED, who="ada", reason="odd", at=NOW)
    detail = {"told": [["daily_loss", str(SESSION), "0.12"]], "alerts": []}
    tripped = Run(run_id=BREAKER, phase=BREAKER, session=SESSION, at=NOW, detail=detail)
    ledger.append_run(tripped)
    shares = make_entry("in", "0", kind=EntryKind.TRANSFER, symbol="GONE", quantity=Decimal(1))
    lost = make_entry("lost", "-12000", kind=EntryKind.FEE)
    entries = [make_entry(), replace(shares, price=Decimal(10))]
    for session, booked in ((SESSION, entries), (next_session(SESSION), [*entries, lost])):
        pnl = mark(replay(Book(), booked), {}, session)
        ledger.append_snapshot(pnl, run_id="r", at=NOW)

    fires(
        measure(instruments(first_day, ledger_url), now=NOW),
        {
            "BreakerTripped",
            "DrawdownDeep",
            "NavDropped",
            "OrdersRejected",
            "OrdersUnanswered",
            "PositionUnpriced",
            "ReconciliationBreak",
            "TradingHalted",
        },
    )


def test_what_does_not_answer_fires(first_day: Path, fires: Fires) -> None:
    def silent() -> NoReturn:
        raise TransientError("no")

    read = instruments(first_day)
    dead = RedisLink("redis://127.0.0.1:1")
    nowhere = ModelStore(first_day / "nowhere", "")

    fires(measure(replace(read, ledger=silent), now=NOW), {"ServiceDown"})
    fires(measure(replace(read, store=nowhere), now=NOW), {"ServiceDown"})
    fires(measure(replace(read, redis=lambda: dead), now=NOW), {"StoreDown"})
    fires(measure(replace(read, vendor=silent), now=NOW), {"StoreDown"})


def test_a_stream_that_is_silent_fires_while_the_exchange_trades(
    first_day: Path, redis_url: str, fires: Fires
) -> None:
    link = RedisLink(redis_url)
    read = replace(instruments(first_day), redis=lambda: link)
    closed = NOW.replace(hour=22)

    fires(measure(read, now=NOW), {"StreamSilent"})  # it never came
    fires(measure(replace(read, may_stream=False), now=NOW), set())
    beating(link)
    fires(measure(read, now=NOW), set())
    fires(measure(read, now=NOW + timedelta(minutes=2)), {"StreamSilent"})
    fires(measure(read, now=closed), set())


def test_a_nav_that_drops_during_the_session_fires(
    first_day: Path, redis_url: str, fires: Fires
) -> None:
    link = RedisLink(redis_url)
    read = replace(instruments(first_day), redis=lambda: link)
    (shares,) = (
        each.value
        for each in measure(read, now=NOW)
        if each.name.endswith("position_shares") and each.labels == ("AAPL",)
    )
    beating(link, 590 - 4000 / shares)

    fires(measure(read, now=NOW), {"NavDropped"})


def test_runs_that_failed_and_a_daemon_that_is_gone_fire(
    first_day: Path, tmp_path: Path, fires: Fires
) -> None:
    ends = [("SUCCESS", 500.0), ("FAILURE", 530.0)]
    runs = [("a", job, *end) for job in ("paper_run", "retrain") for end in ends]
    rows = [(name, job, status, None, at) for name, job, status, at in runs]
    records = records_of(tmp_path, rows)
    _switch_on(tmp_path)
    read = replace(instruments(first_day), records=records)

    fires(measure(read, now=NOW), {"RunFailed", "JobFailed", "DaemonSilent"})
    _beat(tmp_path, NOW - timedelta(seconds=30))
    fires(measure(read, now=NOW), {"RunFailed", "JobFailed"})


def _switch_on(home: Path) -> None:
    """Dagster's record that the schedule runs, and of a daemon that has not spoken yet."""
    path = home / "data/dagster/schedules/schedules.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE instigators (instigator_type, status, instigator_body)")
        body = json.dumps({"origin": {"job_name": "daily"}})
        database.execute("INSERT INTO instigators VALUES ('SCHEDULE', 'RUNNING', ?)", (body,))
    with sqlite3.connect(home / "data/dagster/history/runs.db") as database:
        database.execute("CREATE TABLE daemon_heartbeats (daemon_type, timestamp)")


def _beat(home: Path, at: datetime) -> None:
    with sqlite3.connect(home / "data/dagster/history/runs.db") as database:
        row = ("SCHEDULER", f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}")
        database.execute("INSERT INTO daemon_heartbeats VALUES (?, ?)", row)


def test_bars_in_quarantine_fire(first_day: Path, tmp_path: Path, fires: Fires) -> None:
    lake, day = Lake(tmp_path / "lake"), SESSION
    prices = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), 10.0)
    clean = {"symbol": "AAPL", "session": day, **prices}
    lake.write("clean_bars", pl.DataFrame([clean]), [day])
    aside = {"symbol": "IBM", "session": day, **prices, "reason": "outlier_daily_return_0.42"}
    lake.write("quarantined_bars", pl.DataFrame([aside]), [day])

    fires(measure(replace(instruments(first_day), lake=lake), now=NOW), {"BarsQuarantined"})
