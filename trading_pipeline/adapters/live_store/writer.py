"""The one writer of quotes: holds a lease, and writes each flush at most once.

A flush is one script on the server: it checks that the lease is still ours, so that a process that
was stopped for a minute and wakes up cannot write between the quotes of its successor, and that the
flush is not one whose answer was lost. Then it sets the latest quote of each symbol, appends one
entry to the stream and publishes one copy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trading_pipeline.adapters.live_store.keys import NAMESPACE, Keys
from trading_pipeline.adapters.live_store.link import RedisLink
from trading_pipeline.core.market.quotes import Batch

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE_SECONDS: Final = 10.0
PRICE_SECONDS: Final = 300
"""For which the latest quotes are kept after the last flush; readers judge each by its age."""

MEGABYTES: Final = 192
LOOKS: Final = 30
"""Every which look at the size of the stream is at all of it and not at a few of its nodes."""

_TAKE: Final = """
local held = redis.call('GET', KEYS[1])
if held then return held end
local lease = redis.call('INCR', KEYS[2]) .. ':' .. ARGV[1]
redis.call('SET', KEYS[1], lease, 'PX', ARGV[2])
return lease
"""

_WRITE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('GET', KEYS[2]) == ARGV[2] then return 2 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', 3600000)
for first = 8, #ARGV, 4000 do
  redis.call('HSET', KEYS[3], unpack(ARGV, first, math.min(first + 3999, #ARGV)))
end
if #ARGV > 7 then redis.call('EXPIRE', KEYS[3], ARGV[3]) end
local head = {'kind', ARGV[4], 'epoch', ARGV[5], 'count', ARGV[6]}
redis.call('XADD', KEYS[4], '*', 'rows', ARGV[7], unpack(head))
redis.call('PUBLISH', KEYS[4], ARGV[7])
return 1
"""

_BEAT: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[2], 86400)
return 1
"""

_TRIM: Final = """
local limit, dropped, samples = tonumber(ARGV[1]), 0, ARGV[2]
local used = redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', samples) or 0
if samples ~= '0' and used > limit / 2 then
  samples, used = '0', redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0)
end
local length = redis.call('XLEN', KEYS[1])
while samples == '0' and used > limit and length > 0 do
  local keep = math.floor(length * limit / used * 0.9)
  dropped = dropped + redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', keep)
  used = redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0) or 0
  length = redis.call('XLEN', KEYS[1])
end
return dropped
"""

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of the stream: whether it runs, and symbols besides its own.

    `last_event` is the id of the newest fact: another one means that positions may have changed.
    """

    on: bool
    reason: str
    manual: frozenset[str]
    last_event: str = ""


class QuoteWriter:
    """Writes quotes while it holds the lease; for one event loop. All times are in seconds.

    Every method raises TransientError when Redis does not answer.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        namespace: str = NAMESPACE,
        lease_seconds: float = LEASE_SECONDS,
        price_seconds: int = PRICE_SECONDS,
        megabytes: int = MEGABYTES,
    ) -> None:
        """Name the place; the first call connects. `megabytes` bound the stream of quotes."""
        self._link = link
        self._keys = Keys(namespace)
        self._lease_ms = int(lease_seconds * 1000)
        self._price_seconds = price_seconds
        self._bytes = megabytes * 1_000_000
        self._lease = self._owner = ""
        self._number = 0
        self._looks = 0
        self._opened: Redis | None = None
        self._scripts: dict[str, Any] = {}

    async def acquire(self, owner: str) -> str | None:
        """Take the lease; return None, or the lease of the process that holds it.

        `owner` names this process and no other.
        """
        keys = [self._keys.lease, self._keys.term]
        lease = (await self._run(_TAKE, keys, [owner, self._lease_ms])).decode()
        if lease.partition(":")[2] != owner:
            return lease
        self._lease, self._owner = lease, owner
        return None

    async def retake(self) -> bool:
        """Take the lease again that Redis has forgotten; False when another process has it."""
        return await self.acquire(self._owner) is None

    async def write(self, batch: Batch, *, again: bool = False) -> bool:
        """Write a flush; False when the lease is lost and nothing was written.

        `again` gives the last one once more, whose answer did not come: it is written once.
        """
        import msgpack  # noqa: PLC0415 - heavy: on first use

        self._number += not again
        keys = [self._keys.lease, self._keys.batch, self._keys.prices, self._keys.quotes]
        marker = f"{self._owner}:{self._number}"
        head = [self._lease, marker, self._price_seconds, batch.kind, batch.epoch]
        rows = [len(batch.rows), msgpack.packb(batch.rows)]
        latest = batch.latest.items()
        prices = [part for name, quote in latest for part in (name, msgpack.packb(quote))]
        return bool(await self._run(_WRITE, keys, [*head, *rows, *prices]))

    async def beat(self, facts: Mapping[str, str]) -> bool:
        """Renew the lease and tell how the stream is; False when the lease is lost."""
        told = [text for pair in facts.items() for text in pair]
        keys = [self._keys.lease, self._keys.heartbeat]
        return bool(await self._run(_BEAT, keys, [self._lease, self._lease_ms, *told]))

    async def wishes(self) -> Wishes:
        """Read what people want."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - heavy: on first use

        try:
            batch = self._redis().pipeline(transaction=False)
            batch.hgetall(self._keys.desired)
            batch.smembers(self._keys.manual)
            batch.xrevrange(self._keys.events, count=1)
            desired, manual, events = await batch.execute()
        except (RedisError, OSError) as error:
            raise self._link.silence(error) from error
        said = {name.decode(): value.decode() for name, value in desired.items()}
        return Wishes(
            on=said.get("state", "on") == "on",
            reason=f"{said.get('by', '')}: {said.get('reason', '')}",
            manual=frozenset(symbol.decode() for symbol in manual),
            last_event=events[0][0].decode() if events else "",
        )

    async def trim(self) -> int:
        """Drop the oldest entries of a stream that takes too much memory; return how many."""
        samples = 5 if self._looks % LOOKS else 0
        self._looks += 1
        return int(await self._run(_TRIM, [self._keys.quotes], [self._bytes, samples]))

    async def release(self) -> None:
        """Give the lease back when it is ours, and close the connection."""
        try:
            if self._lease:
                await self._run(_RELEASE, [self._keys.lease], [self._lease])
        finally:
            self._lease = ""
            if self._opened is not None:
                await self._opened.aclose()
            self._opened, self._scripts = None, {}

    async def _run(self, text: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        from redis.exceptions import RedisError  # noqa: PLC0415 - heavy: on first use

        if text not in self._scripts:
            self._scripts[text] = self._redis().register_script(text)
        try:
            return await self._scripts[text](keys=keys, args=arguments)
        except (RedisError, OSError) as error:
            raise self._link.silence(error) from error

    def _redis(self) -> "Redis":
        if self._opened is None:
            self._opened = self._link.opened_for_loop()
        return self._opened
