"""The feed of live quotes against the twin: it reads all, and knows what to do when it cannot."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from trading_pipeline.adapters.alpaca_stream import AlpacaFeed, FeedRules, gap_bars
from trading_pipeline.core.market.quotes import Listener, Quote
from trading_pipeline.errors import AdapterError, RejectedError, TransientError
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin, Fault
from trading_pipeline_tests.alpaca_twin.streams import quote

AT = datetime(2026, 11, 20, 15, 0, 0, 123456, UTC)


class Heard:
    """What a feed told."""

    def __init__(self) -> None:
        self.quotes: list[Quote] = []
        self.epochs: list[int] = []
        self.problems: list[str] = []
        self.open = True

    def listener(self) -> Listener:
        return Listener(
            self.quotes.append, self.epochs.append, self.problems.append, lambda: self.open
        )


@pytest.fixture
def twin() -> Iterator[AlpacaTwin]:
    with AlpacaTwin() as made:
        yield made


Check = Callable[[AlpacaFeed], Awaitable[None]]


def feed_while(
    twin: AlpacaTwin,
    heard: Heard,
    check: Check,
    symbols: tuple[str, ...] = ("A", "B"),
    keys: tuple[str, str] = (KEY, SECRET),
    **changes: object,
) -> AlpacaFeed:
    """Run a feed until `check` is done, or until it ends by itself, which raises."""
    values = {"url": twin.data_stream_url, "first_delay": 0.05, "longest_delay": 0.2} | changes

    async def work() -> AlpacaFeed:
        feed = AlpacaFeed(FeedRules.model_validate(values), keys, heard.listener())
        await feed.want(symbols)
        running, checking = asyncio.ensure_future(feed.run()), asyncio.ensure_future(check(feed))
        done, waiting = await asyncio.wait(
            {running, checking}, timeout=60, return_when=asyncio.FIRST_COMPLETED
        )
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert done, f"nothing happened for a minute: {heard.problems}"
        for task in done:
            task.result()
        return feed

    return asyncio.run(work())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def tell(twin: AlpacaTwin, *symbols: str, bid: float = 100.0, ask: float = 100.02) -> None:
    """Have the twin send a frame with a quote a symbol."""
    await asyncio.to_thread(
        twin.call, twin.quotes.send([quote(symbol, bid, ask, AT) for symbol in symbols])
    )


@pytest.mark.parametrize("reader", ["alpaca", "fast"])
def test_a_quote_arrives_as_it_was_sent(twin: AlpacaTwin, reader: str) -> None:
    heard = Heard()

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: feed.subscribed == {"A", "B"})
        await tell(twin, "A", "B", "C")
        await until(lambda: len(heard.quotes) == 2)

    feed_while(twin, heard, check, reader=reader)

    first, second = heard.quotes
    assert first == Quote("A", 1795186800123456000, 100.0, 100.02, 1.0, 4.0, "U", 1)
    assert first.made_at == AT
    assert (second.symbol, heard.epochs, heard.problems) == ("B", [1], [])


@pytest.mark.parametrize("reader", ["alpaca", "fast"])
def test_an_unreadable_quote_costs_neither_the_rest_of_its_frame_nor_the_connection(
    twin: AlpacaTwin, reader: str
) -> None:
    heard = Heard()

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: feed.subscribed)
        broken = quote("A", 1, 2, AT)
        del broken["bp"]
        frame = [broken, quote("A", 1, 2, AT) | {"ap": "much"}, quote("B", 1, 2, AT)]
        await asyncio.to_thread(twin.call, twin.quotes.send(frame))
        await until(lambda: heard.quotes)

    feed = feed_while(twin, heard, check, reader=reader)

    assert [found.symbol for found in heard.quotes] == ["B"]
    assert (feed.bad, twin.quotes.connections) == (2, 1)


@pytest.mark.parametrize("reader", ["alpaca", "fast"])
@pytest.mark.parametrize("code", [None, 1011])
def test_after_a_lost_connection_the_same_symbols_come_again_in_a_new_epoch(
    twin: AlpacaTwin, reader: str, code: int | None
) -> None:
    heard = Heard()

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: feed.subscribed)
        await tell(twin, "A")
        await until(lambda: heard.quotes)
        await asyncio.to_thread(twin.call, twin.quotes.break_off(code))
        await until(lambda: feed.epoch == 2 and feed.subscribed)
        await tell(twin, "B")
        await until(lambda: len(heard.quotes) == 2)

    feed_while(twin, heard, check, reader=reader)

    assert [(found.symbol, found.epoch) for found in heard.quotes] == [("A", 1), ("B", 2)]
    assert heard.epochs == [1, 2]
    assert len(heard.problems) == 1


@pytest.mark.parametrize("reader", ["alpaca", "fast"])
def test_a_silent_socket_is_left_while_the_market_is_open(twin: AlpacaTwin, reader: str) -> None:
    heard = Heard()
    heard.open = False

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: feed.subscribed)
        await asyncio.sleep(0.4)
        assert feed.epoch == 1, "nobody quotes while the market is closed"
        heard.open = True
        await until(lambda: feed.epoch == 2)

    feed_while(twin, heard, check, reader=reader, silence_seconds=0.2)

    assert "No quote came" in heard.problems[0]


def test_a_server_that_does_not_say_a_word_is_left(twin: AlpacaTwin) -> None:
    heard = Heard()
    twin.quotes.welcomes = False

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: heard.problems)
        assert heard.problems == ["No welcome within 0.3 seconds; connecting again in 0 seconds"]
        twin.quotes.welcomes = True
        await until(lambda: feed.subscribed)

    feed_while(twin, heard, check, answer_seconds=0.3)

    assert heard.epochs == [1]


def test_a_feed_can_be_ended_also_when_its_reading_overhears_it(twin: AlpacaTwin) -> None:
    heard = Heard()

    async def work() -> None:
        feed = AlpacaFeed(FeedRules(url=twin.data_stream_url), (KEY, SECRET), heard.listener())
        read = feed._client.read

        async def overhears_one() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await read()
            await read()

        feed._client.read = overhears_one
        await feed.want(["A"])
        running = asyncio.ensure_future(feed.run())
        await until(lambda: feed.subscribed)
        running.cancel()
        await asyncio.wait_for(asyncio.wait({running}), 60)

    asyncio.run(work())


def test_refused_upgrades_are_tried_again_ever_more_slowly(twin: AlpacaTwin) -> None:
    heard = Heard()
    twin.quotes.refusals = 3

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: feed.subscribed)

    feed_while(twin, heard, check)

    assert heard.epochs == [1]
    assert len(heard.problems) == 3
    assert all("429" in problem for problem in heard.problems)


@pytest.mark.parametrize("reader", ["alpaca", "fast"])
def test_a_wrong_key_ends_the_feed_at_once(twin: AlpacaTwin, reader: str) -> None:
    heard = Heard()

    async def check(feed: AlpacaFeed) -> None:
        await asyncio.sleep(100)

    with pytest.raises(RejectedError, match="auth failed"):
        feed_while(twin, heard, check, keys=(KEY, "wrong"), reader=reader)
    assert twin.quotes.connections == 1


def test_one_connection_too_many_is_told_at_once_and_not_for_ever(twin: AlpacaTwin) -> None:
    heard = Heard()
    twin.quotes.connection_limit = 0

    async def check(feed: AlpacaFeed) -> None:
        await asyncio.sleep(100)

    with pytest.raises(RejectedError, match="connection limit"):
        feed_while(twin, heard, check, limited_attempts=3)
    assert twin.quotes.connections == 3
    assert "connection limit" in heard.problems[0]


def test_over_the_limit_of_the_plan_the_most_important_symbols_are_kept(twin: AlpacaTwin) -> None:
    heard = Heard()
    twin.quotes.symbol_limit = 2

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: feed.subscribed)

    feed = feed_while(twin, heard, check, symbols=("D", "C", "B", "A"), symbol_limit=30)

    assert (feed.subscribed, feed.limit) == ({"D", "C"}, 2)
    assert "refused 4 symbols" in heard.problems[0]


def test_symbols_over_the_known_limit_are_never_asked_for(twin: AlpacaTwin) -> None:
    heard = Heard()

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: feed.subscribed)

    feed = feed_while(twin, heard, check, symbols=("D", "C", "B"), symbol_limit=2)

    assert (feed.subscribed, heard.problems) == ({"D", "C"}, [])


@pytest.mark.parametrize("reader", ["alpaca", "fast"])
def test_subscriptions_change_while_quotes_come(twin: AlpacaTwin, reader: str) -> None:
    heard = Heard()

    async def check(feed: AlpacaFeed) -> None:
        await until(lambda: feed.subscribed == {"A", "B"})
        await feed.want(["B", "C"])
        await until(lambda: feed.subscribed == {"B", "C"})
        await tell(twin, "A", "B", "C")
        await until(lambda: len(heard.quotes) == 2)

    feed_while(twin, heard, check, reader=reader)

    assert [found.symbol for found in heard.quotes] == ["B", "C"]
    assert twin.quotes.connections == 1


def test_without_symbols_nothing_connects(twin: AlpacaTwin) -> None:
    async def check(feed: AlpacaFeed) -> None:
        await asyncio.sleep(0.2)
        await feed.want(["A"])
        await until(lambda: feed.subscribed)

    feed_while(twin, Heard(), check, symbols=())

    assert twin.quotes.connections == 1


def test_the_waits_double_up_to_five_minutes() -> None:
    waits = list(itertools.islice(FeedRules().delays(), 8))

    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]


def ask_bars(twin: AlpacaTwin) -> list[tuple[object, ...]]:
    span = (AT - timedelta(minutes=1), AT)
    return gap_bars(twin.url, (KEY, SECRET), feed="iex", symbols=["A", "B"], span=span)


def test_the_minutes_of_a_gap_are_fetched_page_by_page(twin: AlpacaTwin) -> None:
    prices = {"o": 1, "h": 4, "l": 0.5, "c": 2, "v": 10, "n": 1, "vw": 1.5}
    for symbol, minute in itertools.product("AB", (58, 59)):
        stamp = f"2026-11-20T14:{minute}:00Z"
        twin.market.bars.setdefault(symbol, []).append({"t": stamp, **prices})
    twin.market.page = 1

    assert ask_bars(twin) == [
        ("A", 1795186740000000000, 1.0, 4.0, 0.5, 2.0),
        ("B", 1795186740000000000, 1.0, 4.0, 0.5, 2.0),
    ]


def test_bars_that_do_not_come_are_an_error_of_ours(twin: AlpacaTwin) -> None:
    twin.faults.add(Fault("drop", where="GET /v2/stocks/bars"))
    with pytest.raises(TransientError):
        ask_bars(twin)
    twin.faults.add(Fault(403, where="GET /v2/stocks/bars"))
    with pytest.raises(AdapterError, match="403"):
        ask_bars(twin)
