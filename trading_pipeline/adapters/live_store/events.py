"""Facts on a durable stream, with copies on channels for whoever watches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from trading_pipeline.adapters.live_store.keys import NAMESPACE, Keys
from trading_pipeline.adapters.live_store.link import RedisLink
from trading_pipeline.core.events import Fact, read, written

KEPT: Final = 100_000
"""Facts the stream holds, roughly: months of trading."""

FIRST: Final = "0-0"
"""The cursor before every fact."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact with its id in the stream, which is the cursor of whoever has heard it."""

    id: str
    name: str
    fact: Fact | None


class EventBus:
    """Tells and hears facts; every method raises TransientError when Redis does not answer."""

    def __init__(self, link: RedisLink, *, namespace: str = NAMESPACE) -> None:
        """Name the place; nothing connects yet."""
        self._link = link
        self._key = Keys(namespace).events

    def tell(self, fact: Fact) -> str:
        """Append a fact, publish a copy on the channel of its name, and return its id."""
        text = written(fact)

        def told(redis: Any) -> bytes:
            with redis.pipeline(transaction=True) as batch:
                batch.xadd(self._key, {"name": fact.name, "fact": text}, maxlen=KEPT)
                batch.publish(fact.name, text)
                return batch.execute()[0]

        return self._link.ask(told).decode()

    def hear(self, cursor: str, count: int = 100) -> list[Heard]:
        """Return up to `count` facts after the cursor, the oldest first."""
        found = self._link.ask(lambda redis: redis.xrange(self._key, f"({cursor}", count=count))
        return list(_heard(found))

    def newest(self) -> str:
        """Return the id of the newest fact there has been, FIRST before any."""
        state = self._state()
        return state["last-generated-id"].decode() if state else FIRST

    def missed(self, cursor: str) -> bool:
        """Whether facts after the cursor may have left the stream before they were heard."""
        state = self._state()
        if not state or state["entries-added"] == state["length"]:
            return False
        oldest = state["first-entry"][0].decode() if state["first-entry"] else self.newest()
        return _order(oldest) > _order(cursor)

    def _state(self) -> dict[str, Any]:
        """What Redis knows of the stream; empty before the first fact."""
        return self._link.ask(
            lambda redis: redis.xinfo_stream(self._key) if redis.exists(self._key) else {}
        )


def _heard(entries: Any) -> Iterator[Heard]:
    for name, fields in entries:
        kind = fields.get(b"name", b"").decode()
        yield Heard(name.decode(), kind, read(kind, fields.get(b"fact", b"")))


def _order(entry_id: str) -> tuple[int, int]:
    stamp, _, number = entry_id.partition("-")
    return int(stamp), int(number)
