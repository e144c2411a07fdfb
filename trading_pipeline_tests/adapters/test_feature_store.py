"""Features in a real Redis: what was put is got to the last bit, and nothing that fails is felt."""

import socket
from collections.abc import Iterator
from datetime import date
from time import monotonic

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from redis import Redis

from trading_pipeline.adapters.feature_store import FeatureSet, FeatureStore

SESSION = date(2013, 2, 28)
KIND = FeatureSet("alpha_baseline", "alpha158-1", tuple(f"F{number}" for number in range(158)))
SYMBOLS = [f"S{number:03}" for number in range(500)]


def features(symbols: list[str], seed: int = 1) -> pl.DataFrame:
    values = np.random.default_rng(seed).standard_normal((len(symbols), 158)).astype(np.float32)
    frame = pl.DataFrame(values, schema=dict.fromkeys(KIND.names, pl.Float32))
    holes = pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("F7"))
    keys = pl.DataFrame({"symbol": symbols}).with_columns(
        pl.lit(SESSION).alias("session"), pl.lit(KIND.version).alias("feature_version")
    )
    return keys.hstack(frame.with_columns(holes.alias("F7")))


@pytest.fixture
def store(redis_url: str) -> FeatureStore:
    return FeatureStore(redis_url, patience=10)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def test_what_was_put_is_what_is_got(store: FeatureStore) -> None:
    rows = features(SYMBOLS)

    store.put(KIND, SESSION, rows)

    assert store.get(KIND, SESSION, SYMBOLS).equals(rows)


@given(row=arrays.arrays(np.float32, 158, elements=st.floats(width=32, allow_nan=False)))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_float_comes_back_to_the_last_bit(store: FeatureStore, row: np.ndarray) -> None:
    frame = features(["A"]).with_columns(
        pl.lit(float(value), pl.Float32).alias(name)
        for name, value in zip(KIND.names, row, strict=True)
    )

    store.put(KIND, SESSION, frame)

    found = store.get(KIND, SESSION, ["A"]).select(KIND.names).to_numpy()[0]
    assert found.tobytes() == row.tobytes()


def test_a_symbol_that_is_not_held_is_a_miss_and_the_others_keep_their_order(
    store: FeatureStore,
) -> None:
    rows = features(["B", "A"])
    store.put(KIND, SESSION, rows)

    found = store.get(KIND, SESSION, ["A", "C", "B"])

    assert found["symbol"].to_list() == ["A", "B"]
    assert found.sort("symbol").equals(rows.sort("symbol"))


@pytest.mark.parametrize(
    "other",
    [
        FeatureSet("momentum", KIND.version, KIND.names),
        FeatureSet(KIND.strategy, "alpha158-2", KIND.names),
    ],
)
def test_another_strategy_or_version_of_features_finds_nothing(
    store: FeatureStore, other: FeatureSet
) -> None:
    store.put(KIND, SESSION, features(["A"]))

    assert store.get(other, SESSION, ["A"]).is_empty()
    assert store.get(KIND, date(2013, 2, 27), ["A"]).is_empty()


def test_the_key_names_strategy_session_and_symbol_under_one_namespace(
    store: FeatureStore, redis: Redis
) -> None:
    store.put(KIND, SESSION, features(["A"]))

    (key,) = redis.keys()
    assert key == b"trading_pipeline:alpha158-1:features:alpha_baseline:2013-02-28:A"
    assert 0 < redis.ttl(key) <= 3_600
    assert redis.strlen(key) == 8 + 158 * 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: b"",
        lambda value: value[:-1],
        lambda value: value + b"\0",
        lambda value: value[:100] + bytes([value[100] ^ 1]) + value[101:],
        lambda value: b'{"F0": 1.0}',
    ],
)
def test_a_damaged_entry_is_a_miss_and_is_mended_by_the_next_put(
    store: FeatureStore, redis: Redis, damage
) -> None:
    rows = features(["A", "B"])
    store.put(KIND, SESSION, rows)
    key = store.key(KIND, SESSION, "A")
    redis.set(key, damage(redis.get(key)))

    assert store.get(KIND, SESSION, ["A", "B"])["symbol"].to_list() == ["B"]

    store.put(KIND, SESSION, rows)
    assert store.get(KIND, SESSION, ["A", "B"]).equals(rows)


def test_an_entry_of_another_type_is_no_error(store: FeatureStore, redis: Redis) -> None:
    redis.rpush(store.key(KIND, SESSION, "A"), "x")

    assert store.get(KIND, SESSION, ["A"]).is_empty()


def test_what_was_dropped_is_gone(store: FeatureStore) -> None:
    store.put(KIND, SESSION, features(["A", "B"]))

    store.drop(KIND, SESSION, ["A"])

    assert store.get(KIND, SESSION, ["A", "B"])["symbol"].to_list() == ["B"]


def test_an_entry_ends_with_its_time(redis_url: str, redis: Redis) -> None:
    FeatureStore(redis_url, ttl=7, patience=10).put(KIND, SESSION, features(["A"]))

    assert 0 < redis.ttl(redis.keys()[0]) <= 7


def test_nothing_asked_is_nothing_found(store: FeatureStore) -> None:
    assert store.get(KIND, SESSION, []).columns == features([]).columns
    store.put(KIND, SESSION, features([]))
    store.drop(KIND, SESSION, [])


def test_without_redis_a_thousand_calls_cost_one_short_wait(closed: str) -> None:
    store = FeatureStore(closed)
    store.get(KIND, SESSION, ["A"])
    rows = features(["A"])

    started = monotonic()
    for _ in range(500):
        assert store.get(KIND, SESSION, ["A"]).is_empty()
        store.put(KIND, SESSION, rows)

    assert monotonic() - started < 20


def test_a_redis_that_never_answers_is_waited_for_once_not_once_a_symbol() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        store = FeatureStore(address, patience=0.05, rest=600)

        for symbol in SYMBOLS:
            assert store.get(KIND, SESSION, [symbol]).is_empty()
        store.put(KIND, SESSION, features(SYMBOLS))

        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_redis_that_comes_back_is_used_again(redis_url: str, closed: str) -> None:
    store = FeatureStore(closed, rest=0.0, patience=10)
    store.put(KIND, SESSION, features(["A"]))

    store._url, store._opened = redis_url, None
    store.put(KIND, SESSION, features(["A"]))

    assert store.get(KIND, SESSION, ["A"]).height == 1


@pytest.fixture
def closed() -> str:
    """A place where no Redis is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"redis://127.0.0.1:{server.getsockname()[1]}/0"
