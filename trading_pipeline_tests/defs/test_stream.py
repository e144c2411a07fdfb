"""The stream in Dagster: it runs as a job, is kept alive by a sensor, and stays stopped."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest

from trading_pipeline.adapters.embedded_valkey import running
from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline.defs import stream
from trading_pipeline.defs.resources import resources
from trading_pipeline.settings import Settings
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin
from trading_pipeline_tests.alpaca_twin.streams import quote

FRIDAY = datetime(2026, 11, 20, 15, tzinfo=UTC)
SATURDAY = datetime(2026, 11, 21, 15, tzinfo=UTC)


@pytest.fixture
def twin() -> Iterator[AlpacaTwin]:
    with AlpacaTwin() as made:
        yield made


@pytest.fixture
def settings(redis_url: str, twin: AlpacaTwin, tmp_path: Path) -> Settings:
    return Settings.load(
        home=tmp_path,
        redis_url=redis_url,
        alpaca={"key_id": KEY, "secret_key": SECRET},
        stream={"beat_seconds": 0.05},
        feed={"url": twin.data_stream_url},
    )


def definitions(settings: Settings, **options: Any) -> dg.Definitions:
    found = stream.jobs_and_sensors(settings, **options)
    return dg.Definitions.merge(dg.Definitions(resources=resources(settings)), found)


def execute(settings: Settings, job: str, **options: Any) -> dg.ExecuteInProcessResult:
    made = definitions(settings).resolve_job_def(job)
    return made.execute_in_process(raise_on_error=False, **options)


def store_of(settings: Settings) -> QuoteStore:
    assert settings.redis_url
    return QuoteStore(RedisLink(settings.redis_url.get_secret_value()))


def switch(settings: Settings, job: str, reason: str) -> None:
    name = {"stop_market_data": "switch_off", "start_market_data": "switch_on"}[job]
    config = {"ops": {name: {"config": {"reason": reason, "by": "ada"}}}}
    assert execute(settings, job, run_config=config).success


def test_the_run_streams_tells_of_itself_and_ends_when_it_is_switched_off(
    settings: Settings, twin: AlpacaTwin
) -> None:
    store = store_of(settings)
    store.subscribe(["A"])

    def meanwhile() -> None:
        while not twin.quotes.subscriptions:
            time.sleep(0.02)
        twin.call(twin.quotes.send([quote("A", 100, 101, datetime.now(UTC))]))
        while not store.everything() or store.heartbeat().get("symbols") != "1":
            time.sleep(0.02)
        switch(settings, "stop_market_data", "lunch")

    other = Thread(target=meanwhile)
    other.start()
    done = execute(settings, "market_data_stream")
    other.join()

    (made,) = done.get_asset_materialization_events()
    told = made.materialization.metadata
    assert done.success
    assert (told["quotes"].value, told["in_redis"].value) == (1, 1)
    assert told["ended"].value == "It is to be off, by ada: lunch"
    assert (
        done.get_asset_observation_events()[0]
        .asset_observation_data.asset_observation.metadata["symbols"]
        .value
        == 1
    )
    assert store.heartbeat()["run_id"] == done.run_id
    switch(settings, "start_market_data", "back")
    assert store.desired().on


def test_a_feed_that_is_refused_for_good_is_switched_off_and_not_started_again(
    settings: Settings,
) -> None:
    wrong = settings.model_copy(
        update={"alpaca": settings.alpaca.model_copy(update={"secret_key": None})}
    )
    store_of(settings).subscribe(["A"])

    assert not execute(wrong, "market_data_stream").success

    desired = store_of(settings).desired()
    assert (desired.on, desired.by) == (False, "the feed")
    found = stream.MarketDataStream(settings, lambda: FRIDAY).decision([])
    assert (found.start, "Alpaca needs a key" in found.why) == (False, True)


def tick(settings: Settings, instance: dg.DagsterInstance) -> Any:
    found = definitions(settings, clock=lambda: FRIDAY)
    sensor = found.resolve_sensor_def("market_data_supervisor")
    market = stream.MarketDataStream(settings, lambda: FRIDAY)
    with dg.build_sensor_context(instance, resources={"market_data": market}) as context:
        return sensor.evaluate_tick(context)


def test_the_supervisor_asks_for_a_run_and_not_for_a_second_one(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = tick(settings, instance)
        job = stream.market_data_stream
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        second = tick(settings, instance)

    assert len(first.run_requests) == 1
    assert first.run_requests[0].run_key is None, "a key would be started once and never again"
    assert (second.run_requests, second.skip_message) == ([], "A run is starting.")


def test_without_a_redis_url_the_stream_uses_that_of_the_data_folder(settings: Settings) -> None:
    bare = settings.model_copy(update={"redis_url": None})
    folder = bare.data_dir / "redis"
    market = stream.MarketDataStream(bare, lambda: SATURDAY)
    assert "closed" in market.decision([]).why
    assert running(folder) is None, "for nothing to be asked, nothing is started"

    switch(bare, "stop_market_data", "lunch")
    assert running(folder) is None, "the run is over, and what it said is kept"
    market = stream.MarketDataStream(bare, lambda: FRIDAY)
    assert market.decision([]).why == "To be off, by ada: lunch"
    assert running(folder) == market.kept.link().url, "who watches holds it"
    switch(bare, "start_market_data", "back")
    assert market.decision([]).start
    market.kept.release()
    assert running(folder) is None


def test_a_silent_run_is_failed_for_it(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        job = stream.market_data_stream
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        (found,) = stream.launched(instance, datetime.now(UTC))
        stream.bury(instance, found.run_id)
        again = instance.get_run_by_id(run.run_id)

    assert found.run_id == run.run_id
    assert again
    assert again.status is dg.DagsterRunStatus.FAILURE


def test_with_a_key_the_supervisor_is_on_and_without_one_it_is_off(
    settings: Settings, tmp_path: Path
) -> None:
    def status(of: Settings) -> dg.DefaultSensorStatus:
        return definitions(of).resolve_sensor_def("market_data_supervisor").default_status

    assert status(settings) is dg.DefaultSensorStatus.RUNNING
    assert status(Settings.load(home=tmp_path)) is dg.DefaultSensorStatus.STOPPED


def test_ticks_and_live_pnl_can_be_asked_for(settings: Settings) -> None:
    result = dg.materialize(
        [stream.ticks, stream.live_pnl],
        resources={**resources(settings), "market_data": stream.MarketDataStream(settings)},
    )

    quotes, pnl = (
        result.asset_materializations_for_node(name)[0].metadata for name in ("ticks", "live_pnl")
    )
    assert quotes["dagster/row_count"].value == 0
    assert (pnl["holdings"].value, pnl["real_time"].value) == (0, 0)
