"""People are told everything once, the urgent things first, and never flooded."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.alerts import AlertAccess, Notice
from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.accounting.pnl import mark
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.core.risk.breaker import BREAKER
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.defs.notifications import cursor_of, sensor, told_of
from trading_pipeline.errors import RejectedError, TransientError
from trading_pipeline.flows.notify import FRESH, Told, due, notices_of, notify
from trading_pipeline.logs import hide
from trading_pipeline.settings import Settings, utc_now
from trading_pipeline_tests.factories import records_of
from trading_pipeline_tests.fakes import NOW, SESSION, make_entry, make_reconciliation, on_sqlite
from trading_pipeline_tests.receivers import Receiver, receiving


@dataclass
class Way:
    """A channel that remembers, or is down."""

    name: str = "slack"
    is_down: bool = False
    refuses: str = ""
    told: list[str] = field(default_factory=list)

    def takes(self, notice: Notice) -> bool:
        return self.name != "pagerduty" or notice.severity == "critical"

    def send(self, notice: Notice) -> None:
        if self.is_down:
            raise TransientError("no")
        if notice.key == self.refuses:
            raise RejectedError("no")
        self.told.append(notice.key)


def notice(key: str, severity: str = "info", minutes: int = 0) -> Notice:
    at = NOW - timedelta(minutes=minutes)
    return Notice(key=key, severity=severity, title=key, text="", at=at)  # pyright: ignore[reportArgumentType]


@given(
    keys=st.lists(st.sampled_from("abcdefgh"), max_size=12),
    severities=st.lists(st.sampled_from(["critical", "warning", "info"]), min_size=12, max_size=12),
    per_hour=st.integers(1, 4),
    looks=st.lists(st.integers(0, 90), min_size=1, max_size=6),
)
def test_nothing_is_told_twice_and_never_more_than_allowed(
    keys: list[str], severities: list[str], per_hour: int, looks: list[int]
) -> None:
    way, told, now = Way(), list[Told](), NOW
    given_ = [notice(key, severity) for key, severity in zip(keys, severities, strict=False)]
    for minutes in looks:
        now += timedelta(minutes=minutes)
        told = notify(given_, [way], told_of(cursor_of(told)), per_hour=per_hour, now=now)
        assert sum(now - each.at < timedelta(hours=1) for each in told) <= per_hour
    assert len(way.told) == len(set(way.told))


def test_the_urgent_is_told_first_and_the_rest_waits_its_hour() -> None:
    given_ = [notice("day"), notice("old", "critical", 5), notice("warn", "warning")]
    way = Way()

    told = notify(given_, [way], [], per_hour=2, now=NOW)
    assert way.told == ["old", "warn"]
    told = notify(given_, [way], told, per_hour=2, now=NOW + timedelta(minutes=59))
    assert way.told == ["old", "warn"]
    notify(given_, [way], told, per_hour=2, now=NOW + timedelta(minutes=60))
    assert way.told == ["old", "warn", "day"]


def test_a_way_that_is_down_holds_up_no_other_and_is_tried_again() -> None:
    slack, pager = Way(is_down=True), Way(name="pagerduty")
    given_ = [notice("trip", "critical"), notice("day")]

    told = notify(given_, [slack, pager], [], per_hour=9, now=NOW)
    slack.is_down = False
    notify(given_, [slack, pager], told, per_hour=9, now=NOW)

    assert (slack.told, pager.told) == (["trip", "day"], ["trip"])


def test_what_is_a_day_old_is_not_told_any_more() -> None:
    old = replace(notice("old", "critical"), at=NOW - FRESH)

    assert due(Way(), [old], [], per_hour=9, now=NOW) == []


@pytest.fixture
def busy(ledger: Ledger) -> Ledger:
    """A ledger in which everything has happened that people are told of."""
    trip = {"code": "daily_loss", "sentence": "NAV fell by 6 %, at s3cretvalue."}
    detail = {"told": [["daily_loss", str(SESSION), "0.06"]], "alerts": [trip]}
    run = Run(run_id=BREAKER, phase=BREAKER, session=SESSION, at=NOW, detail=detail)
    ledger.append_run(run)
    counts = {"status": "partial", "num_signals": 5, "num_orders_accepted": 3}
    ledger.append_run(Run(run_id="r1", phase="finished", session=SESSION, at=NOW, detail=counts))
    ledger.append_halt(TradingState.HALTED, who="ada", reason="odd fills", at=NOW)
    ledger.append_reconciliation(make_reconciliation())
    return ledger


def failed_run(home: Path, ended_at: float) -> RunRecords:
    """Dagster's records with one failed run."""
    return records_of(home, [("r2", "paper_run", "FAILURE", "2012-06-01", ended_at)])


def test_everything_that_matters_is_a_notice(busy: Ledger, tmp_path: Path) -> None:
    hide(["s3cretvalue"])
    records = failed_run(tmp_path, NOW.timestamp() - 60)

    def why(run_id: str) -> str:
        return f"{run_id} had no bars."

    notices = notices_of(lambda: busy, records, NOW, why=why)
    found = {each.key.partition(":")[0]: each for each in notices}

    assert {name: each.severity for name, each in found.items()} == {
        "breaker": "critical",
        "break": "critical",
        "state": "warning",
        "day": "warning",
        "run": "critical",
    }
    assert found["breaker"].text == "NAV fell by 6 %, at ***."
    assert found["state"].title == "Trading is halted, by ada"
    assert found["day"].title == f"The day of {SESSION}: partial"
    assert found["day"].text.startswith("5 signals, 3 orders accepted.")
    assert found["run"].text == "r2 had no bars. Run r2 of 2012-06-01."


def test_what_fails_every_minute_is_told_once_until_it_has_succeeded(tmp_path: Path) -> None:
    ends = [
        ("a", "FAILURE"),
        ("b", "FAILURE"),
        ("c", "SUCCESS"),
        ("d", "FAILURE"),
        ("e", "FAILURE"),
    ]
    begun = NOW.timestamp() - 600
    runs = [(n, "risk_monitor", s, None, begun + i) for i, (n, s) in enumerate(ends)]
    runs += [("f", "paper_run", "FAILURE", day, begun + 9) for day in ("2012-06-01", "2012-06-04")]
    records = records_of(tmp_path, [*runs, ("g", "paper_run", "STARTED", "2012-06-05", None)])

    found = [each.run_id for each in records.failed_since(begun - 1)]

    assert found == ["a", "d", "f", "f"]
    assert [each.run_id for each in records.failed_since(begun + 3.5)] == ["f", "f"]


def test_a_ledger_that_is_down_is_told_once_a_day_and_failures_still_are(tmp_path: Path) -> None:
    def silent() -> NoReturn:
        raise TransientError("The ledger at db does not answer.")

    records = failed_run(tmp_path, NOW.timestamp() - 60)

    found = notices_of(silent, records, NOW)
    later = notices_of(silent, records, NOW + timedelta(minutes=1))

    assert [each.severity for each in found] == ["critical", "critical"]
    assert found[0].text == "The ledger at db does not answer."
    assert [each.key for each in found] == [each.key for each in later]


def test_a_notice_that_is_refused_holds_up_no_other() -> None:
    way = Way(refuses="long")

    told = notify([notice("long", "critical"), notice("day")], [way], [], per_hour=9, now=NOW)

    assert way.told == [each.key for each in told] == ["day"]


@on_sqlite
def test_a_day_says_what_its_session_earned(ledger: Ledger) -> None:
    counts = {"status": "success", "num_signals": 5, "num_orders_accepted": 3}
    ledger.append_run(Run(run_id="r1", phase="finished", session=SESSION, at=NOW, detail=counts))
    book = replay(Book(), [make_entry()])
    first = mark(book, {}, SESSION)
    ledger.append_snapshot(first, run_id="r1", at=NOW)

    assert "NAV 100,000.00 at the close of 2012-06-01, +0.00 since the beginning" in day_of(ledger)
    more = replay(Book(), [make_entry(), make_entry("interest", "250", kind=EntryKind.INTEREST)])
    paid = replay(more, [make_entry("deposit-2", "5000")])
    second = mark(paid, {}, next_session(SESSION))
    ledger.append_snapshot(second, run_id="r2", at=NOW)
    assert "NAV 105,250.00" in day_of(ledger)
    assert ", +250.00 (+0.25%) since the close of 2012-06-01: realized" in day_of(ledger)


def day_of(ledger: Ledger) -> str:
    nowhere = RunRecords(url=None, home=Path("/nowhere"))
    (found,) = (n for n in notices_of(lambda: ledger, nowhere, NOW) if n.key.startswith("day:"))
    return found.text


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def test_the_sensor_tells_once_and_remembers(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_ALERTS__WEBHOOK_URL", f"{receiver.url}/hook")
    monkeypatch.setenv("TP_HOME", str(tmp_path))
    settings = Settings.load()
    ledger = Ledger(settings.ledger_location)
    ledger.create()
    ledger.append_halt(TradingState.HALTED, who="ada", reason="odd fills", at=utc_now())
    (made,) = sensor(settings).sensors or ()
    assert isinstance(made, dg.SensorDefinition)

    with dg.instance_for_test() as instance:
        first = dg.build_sensor_context(instance=instance)
        made(first)
        again = dg.build_sensor_context(instance=instance, cursor=first.cursor)
        made(again)

    assert [body["title"] for body in receiver.bodies("/hook")] == ["Trading is halted, by ada"]
    assert made.default_status is dg.DefaultSensorStatus.RUNNING


def test_without_a_channel_the_sensor_does_not_run(tmp_path: Path) -> None:
    (made,) = sensor(Settings.load(home=tmp_path, alerts=AlertAccess())).sensors or ()

    assert isinstance(made, dg.SensorDefinition)
    assert made.default_status is dg.DefaultSensorStatus.STOPPED
