"""The stream of quotes as a queue: each entry is handed out until it is acknowledged."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from trading_pipeline.adapters.live_store.keys import NAMESPACE, Keys
from trading_pipeline.adapters.live_store.link import RedisLink

GROUP: Final = "ticks"
CONSUMER: Final = "parquet"
READ: Final = 500
"""Entries a question asks for."""


class Entry(NamedTuple):
    """One flush: its id `<milliseconds>-<number>`, what it holds, and the rows.

    `rows` is None when it left the stream before it was read: its quotes are lost.
    """

    id: str
    kind: str
    rows: list[list[Any]] | None

    @property
    def milliseconds(self) -> int:
        """When Redis took it, since 1970 UTC."""
        return int(self.id.partition("-")[0])


class TickQueue:
    """For one consumer at a time; raises TransientError when Redis does not answer.

    `missed` counts the entries that left the stream before they were handed out even once.
    """

    def __init__(self, link: RedisLink, *, namespace: str = NAMESPACE) -> None:
        """Name the place; nothing connects yet."""
        self._link = link
        self._key = Keys(namespace).quotes
        self.missed = 0

    def entries(self) -> Iterator[Entry]:
        """Yield what was handed out and never acknowledged, then what is new, until there is none.

        In the order of arrival. An entry is handed out again until `acknowledge` has its id.
        """
        self._join()
        after, new, before = "0", 0, self._passed()
        while after:
            found = self._read(after)
            new += len(found) if after == ">" else 0
            yield from found
            if after != ">":  # those that a killed consumer left behind
                after = found[-1].id if found else ">"
            elif not found:
                after = ""
        self.missed += max(self._passed() - before - new, 0)

    def acknowledge(self, ids: Sequence[str]) -> None:
        """Take entries out of the queue and, up to the last of them, out of the stream."""
        if not ids:
            return
        stamp, _, number = ids[-1].partition("-")

        def settle(redis: Any) -> None:
            redis.xack(self._key, GROUP, *ids)
            redis.xtrim(self._key, minid=f"{stamp}-{int(number) + 1}", approximate=False)

        self._link.ask(settle)

    def waiting(self) -> int:
        """How many entries the stream holds."""
        return int(self._link.ask(lambda redis: redis.xlen(self._key)))

    def _join(self) -> None:
        from redis.exceptions import ResponseError  # noqa: PLC0415 - heavy: on first use

        def join(redis: Any) -> None:
            try:
                redis.xgroup_create(self._key, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

        self._link.ask(join)

    def _passed(self) -> int:
        """How many entries there have been up to the last one that was handed out."""
        groups = self._link.ask(lambda redis: redis.xinfo_groups(self._key))
        read = {group["name"]: group["entries-read"] for group in groups}
        return int(read.get(GROUP.encode()) or 0)

    def _read(self, after: str) -> list[Entry]:
        import msgpack  # noqa: PLC0415 - heavy: on first use

        said = self._link.ask(
            lambda redis: redis.xreadgroup(GROUP, CONSUMER, {self._key: after}, count=READ)
        )
        return [_entry(name, fields, msgpack.unpackb) for _, part in said for name, fields in part]


def _entry(name: bytes, fields: dict[bytes, bytes], unpack: Callable[[bytes], Any]) -> Entry:
    if not fields:
        return Entry(name.decode(), "quotes", None)
    return Entry(name.decode(), fields[b"kind"].decode(), unpack(fields[b"rows"]))
