"""What is measured: declared, complete, and told also when parts of it are down."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.adapters.ledger.figures import LedgerFigures
from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline.adapters.live_store.keys import Keys
from trading_pipeline.adapters.metrics import Sample
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.risk.breaker import BREAKER
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.measure import Instruments, due_session, measure
from trading_pipeline.flows.metrics import METRICS, PREFIX
from trading_pipeline_tests.fakes import STRATEGY, make_decision, make_order, make_reconciliation

NOW = datetime(2012, 11, 5, 15, 0, tzinfo=UTC)
"""Monday, half an hour after the open: the day of Thursday, November 1, is run, Friday's is not."""


def instruments(home: Path, ledger_url: str | None = None) -> Instruments:
    url = ledger_url or f"sqlite:///{home / 'data/ledger.db'}"
    opened = Ledger(url)
    return Instruments(
        ledger=lambda: opened,
        figures=LedgerFigures(url),
        lake=Lake(home / "data/lake"),
        store=ModelStore(home / "data/models", ""),
        vendor=SampleData,
        records=RunRecords(url=None, home=home),
        redis=lambda: None,
        models=(STRATEGY,),
        rules=BreakerRules(),
        version="1.2.3",
        may_stream=True,
    )


def told(found: list[Sample]) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples by short name and labels; a sample told twice is a fault."""
    values: dict[str, dict[tuple[str, ...], float]] = {}
    for name, value, labels in found:
        its = values.setdefault(name.removeprefix(PREFIX), {})
        assert labels not in its, (name, labels)
        its[labels] = value
    return values


def require_declared(found: list[Sample]) -> None:
    declared = {metric.name: len(metric.labels) for metric in METRICS}
    assert {sample.name for sample in found} <= declared.keys()
    assert all(len(sample.labels) == declared[sample.name] for sample in found)


def beating(link: RedisLink, mid: float = 590.0) -> None:
    """A stream that told a second ago that it lives, with a quote of AAPL around `mid`."""
    beat = {
        "at": (NOW - timedelta(seconds=1)).isoformat(),
        "state": "streaming",
        "received": "200",
        "overflow": "3",
        "lag_p99_ms": "15.0",
        "symbols": "5",
    }
    link.ask(lambda redis: redis.hset(Keys().heartbeat, mapping=beat))
    import msgpack  # noqa: PLC0415

    at = int((NOW - timedelta(seconds=4)).timestamp() * 1e9)
    quote = msgpack.packb(("AAPL", at, mid - 1, mid + 1, 1.0, 1.0, "V", 1))
    link.ask(lambda redis: redis.hset(Keys().prices, "AAPL", quote))
    QuoteStore(link).desire(on=True, by="ada", reason="", now=NOW)


def test_everything_that_is_declared_is_measured(first_day: Path, redis_url: str) -> None:
    link = RedisLink(redis_url)
    beating(link)

    found = measure(replace(instruments(first_day), redis=lambda: link), now=NOW)

    require_declared(found)
    values = told(found)
    absent = {metric.name.removeprefix(PREFIX) for metric in METRICS} - values.keys()
    assert absent <= {
        "breaker_told",
        "breaks",
        "daemon_heartbeat_age_seconds",
        "reconciled_timestamp_seconds",
        "scrape_seconds",
    }
    services = ("ledger", "lake", "models", "dagster", "vendor", "redis")
    assert values["up"] == dict.fromkeys([(name,) for name in services], 1)
    assert values["trading_state"] == {("active",): 1, ("reducing",): 0, ("halted",): 0}
    assert values["runs_missing"] == values["bars_sessions_behind"] == {(): 1}
    assert values["runs_total"] == {("success",): 1}
    assert values["job_runs"] == {("paper_run", "SUCCESS"): 1}
    assert values["orders"] == {("filled",): values["fills_total"][()]}
    assert values["nav_dollars"][()] == pytest.approx(100_000, rel=0.05)
    assert sum(values["position_dollars"].values()) == pytest.approx(
        values["exposure_dollars"][("net",)]
    )
    assert values["stream_heartbeat_age_seconds"] == {(): 1}
    assert values["stream_lag_seconds"] == {(): pytest.approx(0.015)}
    assert values["quote_age_seconds"] == {("AAPL",): pytest.approx(4)}
    assert values["is_archive"] == values["market_open"] == {(): 1}


def test_while_quotes_come_the_book_is_valued_at_them(first_day: Path, redis_url: str) -> None:
    link = RedisLink(redis_url)
    read = replace(instruments(first_day), redis=lambda: link)
    closed, still = NOW.replace(hour=14, minute=29), told(measure(read, now=NOW))
    shares = still["position_shares"][("AAPL",)]
    before = still["position_dollars"][("AAPL",)] / shares

    beating(link, before - 500 * (1 if shares > 0 else -1))
    live, shut = told(measure(read, now=NOW)), told(measure(read, now=closed))

    lost = 500 * abs(shares)
    nav = still["nav_dollars"][()]
    assert live["nav_dollars"][()] == pytest.approx(nav - lost)
    assert live["pnl_dollars"][("total",)] == pytest.approx(still["pnl_dollars"][("total",)] - lost)
    assert live["daily_loss_ratio"][()] == pytest.approx(lost / nav)
    assert live["drawdown_ratio"][()] > still["drawdown_ratio"][()]
    assert (live["positions_real_time"], still["positions_real_time"]) == ({(): 1}, {(): 0})
    assert shut["nav_dollars"][()] == nav


def test_a_stream_without_keys_is_not_expected(first_day: Path, redis_url: str) -> None:
    link = RedisLink(redis_url)
    read = replace(instruments(first_day), redis=lambda: link)

    assert told(measure(read, now=NOW))["stream_wanted"] == {(): 1}
    keyless = replace(read, may_stream=False)
    assert told(measure(keyless, now=NOW))["stream_wanted"] == {(): 0}


def test_what_is_down_is_told_and_the_rest_is_too(first_day: Path) -> None:
    def silent() -> NoReturn:
        raise TransientError("no")

    dead = replace(
        instruments(first_day),
        ledger=silent,
        redis=lambda: RedisLink("redis://127.0.0.1:1"),
        store=ModelStore(first_day / "nowhere", ""),
        vendor=silent,
    )

    values = told(measure(dead, now=NOW))

    assert values["up"] == {
        ("ledger",): 0,
        ("lake",): 1,
        ("models",): 0,
        ("dagster",): 1,
        ("vendor",): 0,
        ("redis",): 0,
    }
    assert not {"nav_dollars", "is_archive"} & values.keys()
    assert values["bars"][()] > 0


def test_the_ledger_is_counted_the_same_in_either_database(ledger: Ledger, ledger_url: str) -> None:
    orders = [make_order(symbol, sequence=n) for n, symbol in enumerate(("AAPL", "IBM"), start=1)]
    ledger.record_decision(make_decision(), orders)
    ledger.append_halt(TradingState.HALTED, who="ada", reason="odd", at=NOW)
    ledger.append_reconciliation(make_reconciliation())
    for run_id, status in (("a", "failed"), ("b", "success")):
        detail = {"status": status}
        run = Run(run_id=run_id, phase="finished", session=date(2012, 11, 1), at=NOW, detail=detail)
        ledger.append_run(run)
    alert = {"told": [["daily_loss", "2012-11-01", str(Decimal("0.06"))]], "alerts": []}
    run = Run(run_id=BREAKER, phase=BREAKER, session=date(2012, 11, 1), at=NOW, detail=alert)
    ledger.append_run(run)

    values = told(measure(instruments(Path("/nowhere"), ledger_url), now=NOW))

    assert values["orders"] == {("planned",): 2}
    assert {k: v for k, v in values["order_events_total"].items() if v} == {("planned",): 2}
    assert values["order_events_total"].keys() == {(state,) for state in OrderState}
    assert values["trading_state"][("halted",)] == 1
    assert values["trading_state_changes_total"] == {("active",): 1, ("halted",): 1}
    assert values["breaker_told"] == {("daily_loss",): 1}
    assert values["runs_total"] == {("failed",): 1, ("success",): 1}
    assert values["last_run_timestamp_seconds"][("failed",)] == NOW.timestamp()
    assert sum(values["breaks"].values()) > 0
    assert values["commission_dollars_total"] == {(): 0}


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2012-11-02T13:29", "2012-10-31"),  # Friday, a minute before the open
        ("2012-11-02T13:30", "2012-11-01"),
        ("2012-11-03T15:00", "2012-11-01"),  # Saturday: Friday's day is due at Monday's open
        ("2012-11-05T14:29", "2012-11-01"),
        ("2012-11-05T14:30", "2012-11-02"),
        ("2012-11-22T20:00", "2012-11-20"),  # Thanksgiving
    ],
)
def test_a_day_is_due_at_the_next_open(now: str, due: str) -> None:
    moment = datetime.fromisoformat(f"{now}+00:00")

    assert due_session(moment, None) == date.fromisoformat(due)


def test_an_archive_is_due_up_to_the_session_before_its_last() -> None:
    assert due_session(NOW, date(2012, 11, 1)) == date(2012, 10, 31)


def test_names_follow_the_conventions() -> None:
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.meaning.endswith("."), metric.name
    assert len({metric.name for metric in METRICS}) == len(METRICS)
