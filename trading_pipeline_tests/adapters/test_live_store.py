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

    assert time.monotonic() - begun < 0.5
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
    ear.get_message(timeout=1)
    assert (bus.newest(), bus.hear(FIRST)) == (FIRST, [])

    ids = [bus.tell(SIGNALS), bus.tell(FILLED)]

    assert [(one.id, one.fact) for one in bus.hear(FIRST)] == [
        (ids[0], SIGNALS),
        (ids[1], FILLED),
    ]
    assert [one.fact for one in bus.hear(ids[0])] == [FILLED]
    assert (bus.hear(ids[1]), bus.newest()) == ([], ids[1])
    copy = ear.get_message(timeout=1)
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


def test_latest_quotes_of_100_symbols_are_one_quick_read(redis_url: str) -> None:
    redis, names = Redis.from_url(redis_url), [f"S{k}" for k in range(100)]
    row = ["A", 1, 100.0, 100.1, 1.0, 1.0, "U", 1]
    redis.hset("trading_pipeline:prices", mapping={n: msgpack.packb([n, *row[1:]]) for n in names})
    store = QuoteStore(RedisLink(redis_url))

    assert [found.symbol for found in store.latest(names).values()] == names
    taken = sorted(_timed(lambda: store.latest(names)) for _ in range(50))

    assert taken[len(taken) // 2] < 0.005


def _timed(work: object) -> float:
    begun = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begun
