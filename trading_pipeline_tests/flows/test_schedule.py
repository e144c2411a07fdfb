"""Whether the day starts by itself, as Dagster's own records say."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
)
from dagster._daemon.types import DaemonHeartbeat
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.core.market.calendar import EXCHANGE_ZONE, is_session
from trading_pipeline.flows.schedule import DAILY, STARTS_AT, daemon, next_start, scheduled
from trading_pipeline_tests import whole_day

NOW = datetime(2013, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(whole_day.make_checkout(tmp_path)))
    with dg.DagsterInstance.get() as opened:
        yield opened


@pytest.fixture
def records(tmp_path: Path) -> RunRecords:
    return RunRecords(url=None, home=tmp_path)


def switch(instance: dg.DagsterInstance, name: str, to: InstigatorStatus) -> None:
    place = GrpcServerCodeLocationOrigin(host="h", port=1)
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(place, "__repository__"), name)
    state = InstigatorState(
        origin, InstigatorType.SCHEDULE, to, ScheduleInstigatorData("0 9 * * *")
    )
    storage = instance.schedule_storage
    assert storage is not None
    known = storage.get_instigator_state(state.instigator_origin_id, state.selector_id)
    (storage.update_instigator_state if known else storage.add_instigator_state)(state)


def beat(instance: dg.DagsterInstance, at: datetime) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), "SCHEDULER", "d", []))


def test_before_anything_is_on_record_the_schedule_is_off(records: RunRecords) -> None:
    found = scheduled(records, NOW)

    assert (found.on, found.next_at, found.daemon_alive) == (False, None, False)
    assert daemon(found).state == "not used"
    assert daemon(None).state == "down"


def test_the_schedule_is_what_was_switched_last(
    instance: dg.DagsterInstance, records: RunRecords
) -> None:
    switch(instance, "other", InstigatorStatus.RUNNING)
    assert not scheduled(records, NOW).on
    switch(instance, DAILY, InstigatorStatus.RUNNING)
    on = scheduled(records, NOW)
    assert on.next_at == datetime(2013, 3, 1, 14, 0, tzinfo=UTC)
    assert (daemon(on).state, "said nothing yet" in daemon(on).detail) == ("down", True)
    beat(instance, NOW - timedelta(seconds=30))
    assert daemon(scheduled(records, NOW)).state == "up"
    later = scheduled(records, NOW + timedelta(minutes=5))
    assert later.daemon_seen_at == NOW - timedelta(seconds=30)
    assert daemon(later).state == "down"
    switch(instance, DAILY, InstigatorStatus.STOPPED)
    assert daemon(scheduled(records, NOW + timedelta(minutes=5))).state == "not used"


@given(st.datetimes(datetime(2001, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC)))
def test_the_next_start_is_the_first_nine_oclock_of_a_session_after_now(now: datetime) -> None:
    found = next_start(now)

    assert found.astimezone(EXCHANGE_ZONE).time() == STARTS_AT
    assert is_session(found.date())
    assert found > now
    days = (found.date() - now.astimezone(EXCHANGE_ZONE).date()).days
    between = [now.astimezone(EXCHANGE_ZONE).date() + timedelta(days=n) for n in range(1, days)]
    assert not any(is_session(day) for day in between)


def test_clocks_that_change_do_not_change_nine_oclock() -> None:
    assert next_start(datetime(2026, 3, 6, 15, tzinfo=UTC)).astimezone(UTC).hour == 13
    assert next_start(datetime(2026, 10, 30, 15, tzinfo=UTC)).astimezone(UTC).hour == 14
    assert next_start(datetime(2026, 11, 25, 15, tzinfo=UTC)).date() == date(2026, 11, 27)
