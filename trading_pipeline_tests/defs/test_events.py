"""Facts start work once: across redeliveries, restarts of Redis's readers, and repeated signals."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from trading_pipeline import cli
from trading_pipeline.adapters.live_store import FIRST, EventBus, RedisLink
from trading_pipeline.core.events import (
    OrdersExecuted,
    PositionsUpdated,
    RiskHalted,
    SignalsGenerated,
)
from trading_pipeline.definitions import build
from trading_pipeline.defs import events
from trading_pipeline.defs.resources import announcer, latest_session
from trading_pipeline.settings import Settings
from trading_pipeline_tests import whole_day

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


@pytest.fixture
def found(settings: Settings) -> dg.Definitions:
    return build(settings)


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
    found: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[list[dg.RunRequest], str | None]:
    sensor = found.resolve_sensor_def("orders_on_signals")
    around: dict[str, Any] = {"instance": instance, "cursor": cursor, "definitions": found}
    with dg.build_sensor_context(**around) as context:
        done = sensor.evaluate_tick(context)
    return list(done.run_requests or ()), done.cursor


def test_signals_start_the_orders_of_their_session_once(
    settings: Settings, bus: EventBus, instance: dg.DagsterInstance, found: dg.Definitions
) -> None:
    _, begun = tick(found, instance, None)
    bus.tell(signals(settings))

    first, cursor = tick(found, instance, begun)
    second, _ = tick(found, instance, cursor)
    redelivered, _ = tick(found, instance, begun)
    bus.tell(signals(settings, run_id="again"))
    repeated, _ = tick(found, instance, cursor)

    session = latest_session(settings)
    (request,) = first
    assert (request.partition_key, second) == (str(session), [])
    assert request.run_key == f"orders-{settings.strategy}-{session}"
    keys = {each.run_key for each in (*first, *redelivered, *repeated)}
    assert keys == {request.run_key}, "Dagster starts a key once, for ever"


def test_what_was_told_before_the_sensor_was_turned_on_starts_nothing(
    settings: Settings, bus: EventBus, instance: dg.DagsterInstance, found: dg.Definitions
) -> None:
    told = bus.tell(signals(settings))

    requests, cursor = tick(found, instance, None)

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
    settings: Settings,
    bus: EventBus,
    instance: dg.DagsterInstance,
    found: dg.Definitions,
    changes: dict[str, object],
) -> None:
    told = bus.tell(signals(settings, **changes))

    requests, cursor = tick(found, instance, FIRST)

    assert (requests, cursor) == ([], told)


def test_while_redis_is_away_the_cursor_stays_and_nothing_is_missed(
    settings: Settings, bus: EventBus, instance: dg.DagsterInstance, found: dg.Definitions
) -> None:
    away = Settings.load(home=settings.home, redis_url="redis://127.0.0.1:1/0")
    sensor = events.jobs_and_sensor(away).resolve_sensor_def("orders_on_signals")
    with dg.build_sensor_context(instance, cursor=FIRST) as context:
        done = sensor.evaluate_tick(context)
    bus.tell(signals(settings))

    assert "does not answer" in (done.skip_message or "")
    assert done.cursor == FIRST
    assert len(tick(found, instance, done.cursor)[0]) == 1


def test_without_redis_facts_are_told_to_nobody_and_the_day_goes_on(tmp_path: Path) -> None:
    bare = Settings.load(home=tmp_path)
    away = Settings.load(home=tmp_path, redis_url="redis://127.0.0.1:1/0")

    assert announcer(bare).tell([signals(bare)]) == 0
    assert announcer(away).tell([signals(away)] * 3) == 0


def test_a_day_tells_what_happened_in_it_and_goes_on_to_the_orders_itself(
    home: Path, bus: EventBus, redis_url: str
) -> None:
    report = whole_day.report_of(home, whole_day.MONTH[1], TP_REDIS_URL=redis_url)

    told = [one.fact for one in bus.hear(FIRST)]
    signalled = [fact for fact in told if isinstance(fact, SignalsGenerated)]
    executed = [fact for fact in told if isinstance(fact, OrdersExecuted)]
    filled = [fact for fact in told if isinstance(fact, PositionsUpdated)]
    assert [(str(fact.session), fact.orders_follow) for fact in signalled] == [
        (report["session"], True)
    ]
    assert [fact.orders for fact in executed] == [report["results"]["num_orders_planned"]]
    assert len(filled) == report["results"]["num_orders_filled"]
    assert told.index(signalled[0]) < told.index(executed[0])


def test_a_halt_is_told_and_without_redis_halts_all_the_same(
    home: Path, bus: EventBus, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("TP_REDIS_URL", redis_url)
    assert cli.run(["halt", "--reason", "odd fills", "--by", "ada"]) == 0
    monkeypatch.setenv("TP_REDIS_URL", "redis://127.0.0.1:1/0")
    assert cli.run(["reduce", "--reason", "odd fills", "--by", "bob"]) in {0, 2}

    (heard,) = bus.hear(FIRST)
    assert isinstance(heard.fact, RiskHalted)
    assert (heard.fact.state, heard.fact.who, heard.fact.reason) == ("halted", "ada", "odd fills")
