"""The stream of quotes: all of them, in order, once, by one process, whatever Redis does."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgpack
import pytest

from trading_pipeline.adapters.alpaca_stream import AlpacaFeed, FeedRules
from trading_pipeline.adapters.live_store import QuoteWriter
from trading_pipeline.core.market.quotes import Batch, Quote
from trading_pipeline.errors import RejectedError, TransientError
from trading_pipeline.flows.stream import Stream
from trading_pipeline.flows.stream_parts import Host, Source
from trading_pipeline.flows.stream_report import age_of
from trading_pipeline.flows.stream_rules import StreamRules
from trading_pipeline.flows.subscriptions import Wanted
from trading_pipeline_tests.alpaca_twin import KEY, SECRET
from trading_pipeline_tests.alpaca_twin.flood import Flood, names
from trading_pipeline_tests.flows.streams import Rig, quote, run, until, watched
from trading_pipeline_tests.servers import Valkey

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


@pytest.fixture
def mortal() -> Iterator[Valkey]:
    """A Valkey of this test's own, to be killed."""
    server = Valkey()
    try:
        yield server.start()
    finally:
        server.stop()


def kill(server: Valkey) -> None:
    assert server._process
    server._process.kill()
    server._process.wait()


def revive(server: Valkey) -> None:
    server._launch()
    assert server._wait_until_ready(10)


@pytest.mark.parametrize("reader", ["alpaca", "fast"])
def test_every_quote_of_the_socket_is_in_redis_once_and_in_order(
    redis_url: str, reader: str
) -> None:
    rig = Rig(redis_url)

    def stream(url: str) -> Stream:
        rules = FeedRules.model_validate({"url": url, "symbol_limit": 50, "reader": reader})
        source = Source(
            feed=lambda listener: AlpacaFeed(rules, (KEY, SECRET), listener),
            writer=QuoteWriter(rig.link),
            wanted=lambda _: Wanted({"positions": frozenset(names(20))}),
        )
        host = Host(owner="one", clock=time.time_ns, is_open=lambda _: True)
        return Stream(source, host, StreamRules())

    async def check(made: Stream) -> None:
        await until(lambda: len(made.feed.subscribed) == 20)
        flood.begin(rate=5_000, seconds=0.4, symbols=20)
        assert await asyncio.to_thread(flood.sent) == 2_000
        await until(lambda: made.flusher.written == 2_000)

    with Flood() as flood:
        done = run(lambda: stream(flood.url), check)

    rows = [Quote(*row) for row in rig.rows()]
    assert [row.bid_size for row in rows] == list(range(2_000))
    assert rig.store.latest(names(20)) == {row.symbol: row for row in rows[-20:]}
    assert (done.received, done.overflow, done.bad, done.epochs) == (2_000, 0, 0, 1)


def test_a_flush_is_one_entry_one_copy_and_the_latest_of_each_symbol(redis_url: str) -> None:
    rig = Rig(redis_url)
    ear = rig.redis.pubsub()
    ear.subscribe("trading_pipeline:quotes")
    told = [quote("A", 1), quote("B", 2), quote("A", 3)]

    async def check(stream: Stream) -> None:
        for each in told:
            stream.flusher.take(each)
        await until(lambda: stream.flusher.written == 3)

    run(rig.stream, check)

    assert rig.redis.xlen("trading_pipeline:quotes") == 1
    assert rig.store.everything() == {"A": told[2], "B": told[1]}
    assert rig.redis.ttl("trading_pipeline:prices") in range(290, 301)
    copies = [ear.get_message(timeout=30) for _ in range(2)]
    assert copies[1] is not None
    assert [Quote(*row) for row in msgpack.unpackb(copies[1]["data"])] == told


def test_a_faulty_quote_is_kept_and_counted_and_is_no_price(redis_url: str) -> None:
    rig = Rig(redis_url)
    good, zero = quote("A", 1), quote("A", 2, bid=0.0)
    crossed = quote("A", 3, bid=101.0)

    async def check(stream: Stream) -> None:
        for each in (good, zero, crossed):
            stream.flusher.take(each)
        await until(lambda: stream.flusher.written == 3)

    done = run(rig.stream, check)

    assert rig.store.latest(["A"]) == {"A": good}
    assert done.faults == {"zero": 1, "crossed": 1}
    assert len(rig.rows()) == 3


def test_the_heartbeat_names_symbols_without_a_fresh_quote(redis_url: str) -> None:
    rig = Rig(redis_url)
    rig.wanted = {"positions": frozenset("ABC")}

    async def check(stream: Stream) -> None:
        await until(lambda: rig.feeds and rig.feed.subscribed)
        stream.flusher.take(quote("A", 1))
        stream.flusher.take(quote("B", 2, at=time.time_ns() - 61_000_000_000))
        stream.flusher.take(quote("C", 3, bid=0.0))
        await until(lambda: rig.store.heartbeat().get("stale") == "B,C")

    run(rig.stream, check)


def test_quotes_wait_while_redis_is_dead_and_come_in_order_when_it_is_back(
    mortal: Valkey,
) -> None:
    rig = Rig(mortal.url)

    async def check(stream: Stream) -> None:
        stream.flusher.take(quote("A", 0))
        await until(lambda: stream.flusher.written == 1)
        kill(mortal)
        for number in range(1, 101):
            stream.flusher.take(quote("A", number))
            await asyncio.sleep(0.002)
        revive(mortal)
        await until(lambda: stream.flusher.written == 101)

    done = run(rig.stream, check)

    assert [row[4] for row in rig.rows()] == list(range(1, 101)), "the first died with the server"
    assert (done.overflow, done.why) == (0, "The test is over.")


def test_what_does_not_fit_while_redis_is_dead_is_dropped_from_the_old_end_and_counted(
    mortal: Valkey,
) -> None:
    rig = Rig(mortal.url, rules={"buffer": 10})

    async def check(stream: Stream) -> None:
        await until(lambda: rig.feeds and rig.feed.epoch)
        kill(mortal)
        for number in range(25):
            stream.flusher.take(quote("A", number))
        await asyncio.sleep(0.1)
        revive(mortal)
        await until(lambda: stream.flusher.pending == 0)

    done = run(rig.stream, check)

    assert [row[4] for row in rig.rows()] == list(range(15, 25))
    assert (done.received, done.written, done.overflow) == (25, 10, 15)


def test_what_has_gathered_goes_in_one_flush_however_many_symbols_it_is_of(redis_url: str) -> None:
    rig = Rig(redis_url)
    told = [quote(f"S{number:04d}", number) for number in range(5_000)]

    async def check(stream: Stream) -> None:
        await until(lambda: rig.feeds and rig.feed.epoch)
        for each in told:
            stream.flusher.take(each)
        await until(lambda: stream.flusher.written == 5_000)

    run(rig.stream, check)

    assert rig.redis.xlen("trading_pipeline:quotes") == 1
    assert list(rig.store.latest([each.symbol for each in told]).values()) == told


def test_a_flush_whose_answer_was_lost_is_there_once(redis_url: str) -> None:
    rig = Rig(redis_url)

    async def work() -> None:
        writer = QuoteWriter(rig.link)
        assert await writer.acquire("one") is None
        batch = Batch([quote("A", 1)], 1)
        assert await writer.write(batch)
        assert await writer.write(batch, again=True)
        assert await writer.write(Batch([quote("A", 2)], 1))
        await writer.release()

    asyncio.run(work())

    assert [row[4] for row in rig.rows()] == [1, 2]


def test_a_writer_that_lost_its_lease_writes_nothing(redis_url: str) -> None:
    rig = Rig(redis_url)

    async def work() -> None:
        slow, quick = QuoteWriter(rig.link, lease_seconds=0.1), QuoteWriter(rig.link)
        assert await slow.acquire("slow") is None
        assert (await quick.acquire("quick") or "").endswith("slow")
        await asyncio.sleep(0.15)
        assert await quick.acquire("quick") is None
        batch = Batch([quote()], 1, latest={"A": quote()})
        assert not await slow.write(batch)
        assert not await slow.beat({"state": "streaming"})
        await slow.release()
        assert (rig.store.holder() or "").endswith("quick")
        await quick.release()

    asyncio.run(work())

    assert (rig.rows(), rig.store.everything(), rig.store.heartbeat()) == ([], {}, {})


def test_a_second_stream_is_refused_and_one_that_stands_by_takes_over(redis_url: str) -> None:
    first, second = Rig(redis_url), Rig(redis_url, owner="two")
    third = Rig(redis_url, owner="three", stand_by=True)

    async def work() -> None:
        one, waiting = first.stream(), third.stream()
        running = asyncio.ensure_future(one.run())
        await until(first.store.heartbeat)
        with pytest.raises(TransientError, match="streams already"):
            await second.stream().run()

        async def later(stream: Stream) -> None:
            await until(lambda: "streams already" in waiting.situation.problem)
            one.stop("Enough.")
            await until(lambda: third.feed.epoch)

        await watched(waiting, later)
        await running

    asyncio.run(work())

    assert not second.feed.epoch
    assert third.feed.epoch == 1


def test_a_stream_that_is_to_be_off_ends_and_does_not_start(redis_url: str) -> None:
    rig = Rig(redis_url)

    async def check(stream: Stream) -> None:
        await until(rig.store.heartbeat)
        rig.store.desire(on=False, by="ada", reason="odd quotes", now=NOW)
        await asyncio.sleep(100)

    done = run(rig.stream, check)

    assert done.why == "It is to be off, by ada: odd quotes"
    with pytest.raises(TransientError, match="odd quotes"):
        run(rig.stream, check)


def test_a_stream_ends_at_the_end_of_the_session(redis_url: str) -> None:
    rig = Rig(redis_url, until=datetime.now(UTC) + timedelta(seconds=0.5))

    async def check(stream: Stream) -> None:
        await asyncio.sleep(100)

    assert run(rig.stream, check).why == "The session is over."
    assert age_of(rig.store.heartbeat(), NOW) == float("inf"), "an ended stream is not alive"


def test_a_feed_that_is_refused_for_good_ends_the_stream_and_says_why(redis_url: str) -> None:
    rig = Rig(redis_url)

    async def check(stream: Stream) -> None:
        await until(rig.store.heartbeat)
        rig.feed.end.set_exception(RejectedError("Alpaca refused the stream: auth failed (402)."))
        await asyncio.sleep(100)

    with pytest.raises(RejectedError):
        run(rig.stream, check)
    assert rig.store.heartbeat()["state"].startswith("ended: Alpaca refused")
    assert rig.store.holder() is None


def test_subscriptions_follow_wishes_and_events_at_once(redis_url: str) -> None:
    rig = Rig(redis_url)

    async def check(stream: Stream) -> None:
        await until(lambda: rig.feed.asked == [["A"]])
        rig.store.subscribe(["Z"])
        await until(lambda: rig.feed.asked[-1] == ["A", "Z"])
        rig.wanted = {"positions": frozenset({"B"}), "orders": frozenset({"C", "Z"})}
        rig.redis.xadd("trading_pipeline:events", {"name": "positions.updated"})
        await until(lambda: rig.feed.asked[-1] == ["B", "C", "Z"])
        assert rig.store.heartbeat()["from_manual"] == "1"
        rig.store.unsubscribe(["Z"])
        await until(lambda: rig.store.heartbeat()["from_manual"] == "0")

    run(rig.stream, check)

    assert rig.feed.asked[-1] == ["B", "C", "Z"], "an order still wants it"
    assert rig.store.heartbeat()["from_orders"] == "2"


def test_a_ledger_that_does_not_answer_skips_the_look(redis_url: str) -> None:
    rig = Rig(redis_url, rules={"subscribe_seconds": 0.1})

    async def check(stream: Stream) -> None:
        await until(lambda: rig.feed.asked)
        rig.fault = TransientError("The ledger: no answer.")
        await until(lambda: "no answer" in stream.situation.problem)
        assert rig.feed.asked == [["A"]]
        rig.wanted, rig.fault = {"positions": frozenset({"B"})}, None
        await until(lambda: rig.feed.asked[-1] == ["B"])

    run(rig.stream, check)


def test_symbols_over_the_limit_are_named(redis_url: str) -> None:
    rig = Rig(redis_url)
    rig.wanted = {"positions": frozenset({"B"}), "orders": frozenset(names(30))}

    async def check(stream: Stream) -> None:
        await until(lambda: rig.store.heartbeat().get("left_out"))

    run(rig.stream, check)

    assert rig.store.heartbeat()["left_out"] == "S0029"


def test_the_minutes_a_lost_connection_missed_are_fetched_into_the_stream(redis_url: str) -> None:
    asked = []

    def bars(symbols: tuple[str, ...], since: datetime, to: datetime) -> list[tuple[object, ...]]:
        asked.append((symbols, to - since))
        return [("A", 1795186740000000000, 1.0, 4.0, 0.5, 2.0)]

    rig = Rig(redis_url, bars=bars)

    async def check(stream: Stream) -> None:
        await until(lambda: rig.feeds and rig.feed.asked)
        stream.flusher.take(quote("A", 1))
        await asyncio.sleep(0.2)
        rig.feed.connect()
        await until(lambda: rig.redis.xlen("trading_pipeline:quotes") == 2)

    done = run(rig.stream, check)

    (gap,), entries = done.gaps, list(rig.queue.entries())
    assert (gap.epoch, [entry.kind for entry in entries]) == (2, ["quotes", "bars"])
    assert entries[1].rows == [["A", 1795186740000000000, 1.0, 4.0, 0.5, 2.0]]
    ((symbols, missed),) = asked
    assert symbols == ("A",)
    assert timedelta(seconds=0.15) < missed < timedelta(seconds=2)
