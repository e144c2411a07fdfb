"""Facts start work once: across redeliveries, restarts of Redis's readers, and repeated signals."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from trading_pipeline.adapters.live_store import FIRST, EventBus, RedisLink
from trading_pipeline.core.events import SignalsGenerated
from trading_pipeline.definitions import build
from trading_pipeline.defs import events
from trading_pipeline.defs.resources import announcer, latest_session
from trading_pipeline.settings import Settings

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path, redis_url=redis_url)


@pytest.fixture
def bus(redis_url: str) -> EventBus:
    return EventBus(RedisLink(redis_url))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def signals(settings: Settings, **changes: object) -> SignalsGenerated:
    values = {
        "at": NOW,
        "strategy": settings.strategy,
        "session": latest_session(settings),
        "symbols": ("A",),
        "run_id": "r",
        "orders_follow": False,
    }
    return SignalsGenerated(**values | changes)  # type: ignore[arg-type]


def tick(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[list[dg.RunRequest], str | None]:
    found = build(settings)
    sensor = found.resolve_sensor_def("orders_on_signals")
    around = {"instance": instance, "cursor": cursor, "definitions": found}
    with dg.build_sensor_context(**around) as context:
        done = sensor.evaluate_tick(context)
    return list(done.run_requests or ()), done.cursor


def test_signals_start_the_orders_of_their_session_once(
    settings: Settings, bus: EventBus, instance: dg.DagsterInstance
) -> None:
    _, begun = tick(settings, instance, None)
    bus.tell(signals(settings))

    first, cursor = tick(settings, instance, begun)
    second, _ = tick(settings, instance, cursor)
    redelivered, _ = tick(settings, instance, begun)
    bus.tell(signals(settings, run_id="again"))
    repeated, _ = tick(settings, instance, cursor)

    session = latest_session(settings)
    (request,) = first
    assert (request.partition_key, second) == (str(session), [])
    assert request.run_key == f"orders-{settings.strategy}-{session}"
    keys = {each.run_key for each in (*first, *redelivered, *repeated)}
    assert keys == {request.run_key}, "Dagster starts a key once, for ever"


def test_what_was_told_before_the_sensor_was_turned_on_starts_nothing(
    settings: Settings, bus: EventBus, instance: dg.DagsterInstance
) -> None:
    told = bus.tell(signals(settings))

    requests, cursor = tick(settings, instance, None)

    assert (requests, cursor) == ([], told)


@pytest.mark.parametrize(
    "changes",
    [
        {"orders_follow": True},
        {"session": date(2012, 6, 1)},
        {"strategy": "mean_reversion"},
    ],
)
def test_signals_that_are_not_to_be_acted_on_start_nothing(
    settings: Settings, bus: EventBus, instance: dg.DagsterInstance, changes: dict[str, object]
) -> None:
    told = bus.tell(signals(settings, **changes))

    requests, cursor = tick(settings, instance, FIRST)

    assert (requests, cursor) == ([], told)


def test_while_redis_is_away_the_cursor_stays_and_nothing_is_missed(
    settings: Settings, bus: EventBus, instance: dg.DagsterInstance
) -> None:
    away = Settings.load(home=settings.home, redis_url="redis://127.0.0.1:1/0")
    sensor = events.jobs_and_sensor(away).resolve_sensor_def("orders_on_signals")
    with dg.build_sensor_context(instance, cursor=FIRST) as context:
        done = sensor.evaluate_tick(context)
    bus.tell(signals(settings))

    assert "does not answer" in (done.skip_message or "")
    assert done.cursor == FIRST
    assert len(tick(settings, instance, done.cursor)[0]) == 1


def test_without_redis_facts_are_told_to_nobody_and_the_day_goes_on(tmp_path: Path) -> None:
    bare = Settings.load(home=tmp_path)
    away = Settings.load(home=tmp_path, redis_url="redis://127.0.0.1:1/0")

    assert announcer(bare).tell([signals(bare)]) == 0
    assert announcer(away).tell([signals(away)] * 3) == 0
