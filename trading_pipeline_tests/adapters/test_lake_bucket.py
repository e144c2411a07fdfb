"""The same lake in an S3 bucket, on a real server over HTTP."""

import http.client
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.catalog import LAKE_TABLES, Catalog
from trading_pipeline.adapters.lake import BucketAccess, Lake, location, mirror
from trading_pipeline.adapters.lake.bucket import ObjectPath
from trading_pipeline.errors import DataError, SettingsError, TransientError
from trading_pipeline.flows.clean import clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline_tests.factories import random_bars, sessions_from
from trading_pipeline_tests.flows.market_days import BARS, NOW, RULES, SESSIONS, SYMBOLS, frames

DAYS = sessions_from(count=30)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - heavy: it loads boto3 and Flask

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def root(endpoint: str, request: pytest.FixtureRequest) -> ObjectPath:
    host, _, port = endpoint.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.request("PUT", "/lake")
    assert connection.getresponse().status in {200, 409}
    access = BucketAccess(endpoint=endpoint, key_id="key", secret_key="secret")  # type: ignore[arg-type]
    place = location(f"s3://lake/{request.node.name}", access)
    assert isinstance(place, ObjectPath)
    return place


def both(root: ObjectPath, folder: Path) -> tuple[Lake, Lake]:
    return Lake(root), Lake(folder)


def test_a_bucket_holds_what_a_folder_holds(root: ObjectPath, tmp_path: Path) -> None:
    bars = random_bars(("AAA", "BBB"), DAYS)
    for lake in both(root, tmp_path):
        lake.write("clean_bars", bars, DAYS, symbols=["AAA", "BBB"])
        lake.write("clean_bars", bars.filter(session=DAYS[3]), [DAYS[3]], symbols=["AAA", "BBB"])
        lake.write("clean_bars", bars.clear(), [DAYS[4]], symbols=["BBB"])
        assert lake.held("clean_bars", DAYS[0], DAYS[-1], symbols=["AAA"]) == set(DAYS)
    there, here = (lake.read("clean_bars", DAYS[0], DAYS[-1]) for lake in both(root, tmp_path))
    assert_frame_equal(there, here)
    assert there.height == bars.height - 1
    assert there.filter(session=DAYS[4])["symbol"].to_list() == ["AAA"]


def test_what_is_replaced_while_it_is_read_is_read_again(root: ObjectPath) -> None:
    lake, names = Lake(root), ("AAA", "BBB")
    bars = random_bars(names, DAYS)
    done, seen = Event(), set[float]()

    def rewrite() -> None:
        for version in range(1, 1000):
            if done.is_set():
                return
            changed = bars.with_columns(volume=pl.lit(float(version)).cast(bars["volume"].dtype))
            lake.write("clean_bars", changed, DAYS, symbols=names)

    bars = bars.with_columns(volume=pl.lit(0).cast(bars["volume"].dtype))
    lake.write("clean_bars", bars, DAYS, symbols=names)
    writer = Thread(target=rewrite)
    writer.start()
    try:
        until = monotonic() + 60
        while len(seen) < 4 and monotonic() < until:
            with suppress(TransientError):  # rewritten faster than it can be read
                found = lake.read("clean_bars", DAYS[0], DAYS[-1])["volume"].unique()
                assert len(found) == 1
                seen.add(found[0])
    finally:
        done.set()
        writer.join()
    assert len(seen) >= 4


def test_ingest_clean_and_sql_work_on_a_bucket(root: ObjectPath, tmp_path: Path) -> None:
    found = []
    for lake in both(root, tmp_path / "lake"):
        ask = {"symbols": SYMBOLS, "sessions": SESSIONS, "now": NOW}
        ingest_bars(lake, frames(BARS), **ask)
        ingest_actions(lake, frames(BARS), **ask)
        found.append(clean(lake, symbols=SYMBOLS, sessions=SESSIONS, rules=RULES).clean)
    assert_frame_equal(*found)
    copied = mirror(root, tmp_path / "mirror", LAKE_TABLES)
    with Catalog(copied) as catalog:
        assert catalog.query("SELECT count(*) FROM clean_bars").item() == found[0].height
    Lake(root).write("clean_bars", BARS.clear(), SESSIONS)
    mirror(root, copied, LAKE_TABLES)
    with Catalog(copied) as catalog:
        assert catalog.query("SELECT count(*) FROM clean_bars").item() == 0


def test_two_writers_of_a_bucket_lose_nothing(root: ObjectPath) -> None:
    bars = random_bars(("AAA", "BBB", "CCC", "DDD"), DAYS[:3])

    def put(symbol: str) -> None:
        own = Lake(location(str(root), root.bucket.access))
        mine = bars.filter(symbol=symbol)
        own.write("clean_bars", mine, DAYS[:3], symbols=[symbol])

    writers = [Thread(target=put, args=[symbol]) for symbol in bars["symbol"].unique()]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert_frame_equal(Lake(root).read("clean_bars", DAYS[0], DAYS[2]), bars)


def test_a_lock_is_waited_for_and_one_left_by_the_dead_is_taken_over(root: ObjectPath) -> None:
    bars = random_bars(("AAA",), DAYS[:1])
    lock = root / "clean_bars" / "locks" / f"{DAYS[0].year}.lock"
    lock.write(b"killed")
    with pytest.raises(TransientError, match="held by another process"):
        Lake(root, patience=0.1).write("clean_bars", bars, DAYS[:1])
    root.bucket.lease = timedelta(seconds=-1)
    Lake(root, patience=60).write("clean_bars", bars, DAYS[:1])
    assert not lock.exists()
    assert Lake(root).read("clean_bars", DAYS[0], DAYS[0]).height == 1


def test_a_damaged_object_is_named(root: ObjectPath) -> None:
    lake = Lake(root)
    lake.write("clean_bars", random_bars(("AAA",), DAYS[:2]), DAYS[:2])
    path = root / "clean_bars" / "sessions" / f"{DAYS[1]}.parquet"
    path.write(b"PAR1 but no more")
    with pytest.raises(DataError, match=rf"{path} is damaged"):
        lake.read("clean_bars", DAYS[0], DAYS[1])
    lake.write("clean_bars", random_bars(("AAA",), DAYS[:2]), DAYS[:2])
    assert lake.read("clean_bars", DAYS[0], DAYS[1]).height == 2


@pytest.mark.parametrize("url", ["s3://", "s3://bucket", "gs://bucket/lake", "s3:///lake"])
def test_another_place_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="no place for a lake"):
        location(url)


def test_a_folder_stays_a_folder(tmp_path: Path) -> None:
    assert location(str(tmp_path)) == tmp_path
