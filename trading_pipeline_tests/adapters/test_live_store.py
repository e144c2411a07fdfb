"""The live store in a real Redis: links, wishes and facts; and what happens when it is away."""

import time
from datetime import UTC, date, datetime
from decimal import Decimal

import msgpack
import pytest
from redis import Redis

from trading_pipeline.adapters.live_store import FIRST, EventBus, QuoteStore, RedisLink
from trading_pipeline.core.events import PositionsUpdated, SignalsGenerated
from trading_pipeline.errors import SettingsError, TransientError

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
SIGNALS = SignalsGenerated(
    at=NOW,
    strategy="s",
    session=date(2026, 11, 20),
    symbols=("A", "B"),
    run_id="r",
    orders_follow=False,
)
FILLED = PositionsUpdated(
    at=NOW,
    symbol="A",
    side="sell",
    quantity_change=Decimal("-1.5"),
    price=Decimal("100.10"),
    strategy="s",
    fill_id="f",
)


def test_a_redis_that_is_away_is_a_sentence_at_once_and_never_a_password() -> None:
    link = RedisLink("redis://:hidden@127.0.0.1:1/0")
    begun = time.monotonic()

    with pytest.raises(TransientError) as error:
        link.health()

    assert time.monotonic() - begun < 5
    assert "127.0.0.1:1" in str(error.value)
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("url", ["http://x", "localhost:6379", ""])
def test_what_is_no_url_of_redis_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match="redis://… or rediss://…"):
        RedisLink(url)


def test_a_wrong_password_is_an_error_of_ours(redis_url: str) -> None:
    wrong = redis_url.replace("@", "x@")
    with pytest.raises(TransientError):
        RedisLink(wrong).health()


def test_health_tells_the_server_and_its_memory(redis_url: str) -> None:
    found = RedisLink(redis_url).health()

    assert found.server.startswith("valkey 9")
    assert found.used_memory > 100_000
    assert found.clients >= 1


def test_the_link_survives_a_server_that_closed_its_connections(redis_url: str) -> None:
    link = RedisLink(redis_url)
    link.health()
    Redis.from_url(redis_url).client_kill_filter(_type="normal", skipme=True)

    assert link.health().clients >= 1


def test_wishes_are_kept_until_they_are_taken_back(redis_url: str) -> None:
    store = QuoteStore(RedisLink(redis_url))
    assert store.desired().on

    store.subscribe(["B", "A"])
    store.desire(on=False, by="ada", reason="lunch", now=NOW)

    again = QuoteStore(RedisLink(redis_url))
    assert again.manual() == ["A", "B"]
    assert (again.desired().on, again.desired().by) == (False, "ada")
    again.unsubscribe(["A"])
    assert store.manual() == ["B"]


def test_facts_are_heard_in_order_from_a_cursor_and_copied_to_their_channels(
    redis_url: str,
) -> None:
    bus, ear = EventBus(RedisLink(redis_url)), Redis.from_url(redis_url).pubsub()
    ear.subscribe("signals.generated")
    ear.get_message(timeout=30)
    assert (bus.newest(), bus.hear(FIRST)) == (FIRST, [])

    ids = [bus.tell(SIGNALS), bus.tell(FILLED)]

    assert [(one.id, one.fact) for one in bus.hear(FIRST)] == [
        (ids[0], SIGNALS),
        (ids[1], FILLED),
    ]
    assert [one.fact for one in bus.hear(ids[0])] == [FILLED]
    assert (bus.hear(ids[1]), bus.newest()) == ([], ids[1])
    copy = ear.get_message(timeout=30)
    assert copy is not None
    assert SignalsGenerated.model_validate_json(copy["data"]) == SIGNALS


def test_facts_that_left_the_stream_unheard_are_noticed(redis_url: str) -> None:
    bus = EventBus(RedisLink(redis_url))
    _, second = bus.tell(SIGNALS), bus.tell(FILLED)
    assert not bus.missed(FIRST)
    Redis.from_url(redis_url).xtrim("trading_pipeline:events", maxlen=1, approximate=False)

    assert bus.missed(FIRST)
    assert not bus.missed(second)


def test_what_nobody_can_read_is_heard_as_nothing(redis_url: str) -> None:
    bus, redis = EventBus(RedisLink(redis_url)), Redis.from_url(redis_url)
    for fields in (
        {"name": "moon.landed", "fact": "{}"},
        {"name": "signals.generated"},
        {"x": "y"},
    ):
        redis.xadd("trading_pipeline:events", fields)

    assert [one.fact for one in bus.hear(FIRST)] == [None, None, None]


def quoted(redis_url: str, count: int) -> list[str]:
    """Put a quote each of so many symbols into Redis."""
    redis, names = Redis.from_url(redis_url), [f"S{k}" for k in range(count)]
    row = ["A", 1, 100.0, 100.1, 1.0, 1.0, "U", 1]
    redis.hset("trading_pipeline:prices", mapping={n: msgpack.packb([n, *row[1:]]) for n in names})
    return names


def test_latest_quotes_of_100_symbols_are_one_question(redis_url: str) -> None:
    names, store = quoted(redis_url, 100), QuoteStore(RedisLink(redis_url))
    asked = Redis.from_url(redis_url)
    store.latest(names)
    asked.config_resetstat()

    assert [found.symbol for found in store.latest(names).values()] == names
    assert asked.info("commandstats")["cmdstat_hmget"]["calls"] == 1
    assert set(asked.info("commandstats")) == {
        "cmdstat_hmget",
        "cmdstat_info",
        "cmdstat_config|resetstat",
    }


@pytest.mark.soak
def test_latest_quotes_of_100_symbols_are_read_within_5_ms(redis_url: str) -> None:
    names, store = quoted(redis_url, 100), QuoteStore(RedisLink(redis_url))
    taken = []
    for _ in range(2_000):
        begun = time.perf_counter()
        store.latest(names)
        taken.append(time.perf_counter() - begun)

    print(f"p50 {sorted(taken)[1_000] * 1000:.2f} ms, p99 {sorted(taken)[1_980] * 1000:.2f} ms")
    assert sorted(taken)[1_980] < 0.005
