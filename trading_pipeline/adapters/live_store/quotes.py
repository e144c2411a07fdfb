"""What anyone may ask of the stream and tell it: marks, its heartbeat, its desired state."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trading_pipeline.adapters.live_store.keys import NAMESPACE, Keys
from trading_pipeline.adapters.live_store.link import RedisLink
from trading_pipeline.core.market.quotes import Quote


@dataclass(frozen=True, slots=True)
class Desired:
    """Whether the stream should run, who said so and why."""

    on: bool = True
    by: str = ""
    reason: str = ""


class QuoteStore:
    """Reads what the stream writes; every method raises TransientError when Redis is silent."""

    def __init__(self, link: RedisLink, *, namespace: str = NAMESPACE) -> None:
        """Name the place; nothing connects yet."""
        self._link = link
        self._keys = Keys(namespace)

    def latest(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Return the last sound quote of each symbol, in one round trip; others are absent."""
        if not symbols:
            return {}
        return self._quotes(symbols, self._ask("hmget", self._keys.prices, list(symbols)))

    def everything(self) -> dict[str, Quote]:
        """Return the last sound quote of every symbol there is one of."""
        found = self._ask("hgetall", self._keys.prices)
        return self._quotes([name.decode() for name in found], list(found.values()))

    def heartbeat(self) -> dict[str, str]:
        """Return what the stream last told of itself; empty when none has run for a day."""
        return _texts(self._ask("hgetall", self._keys.heartbeat))

    def holder(self) -> str | None:
        """Return the lease of the process that streams now, or None."""
        lease = self._ask("get", self._keys.lease)
        return lease.decode() if lease else None

    def desired(self) -> Desired:
        """Return whether the stream should run; it should, until someone says otherwise."""
        said = _texts(self._ask("hgetall", self._keys.desired))
        return Desired(said.get("state", "on") == "on", said.get("by", ""), said.get("reason", ""))

    def desire(self, *, on: bool, by: str, reason: str, now: datetime) -> None:
        """Say whether the stream should run, for good."""
        state = {"state": "on" if on else "off", "by": by, "reason": reason}
        pairs = [part for pair in {**state, "at": now.isoformat()}.items() for part in pair]
        self._ask("execute_command", "HSET", self._keys.desired, *pairs)

    def manual(self) -> list[str]:
        """Return the symbols that people subscribed to, sorted."""
        return sorted(symbol.decode() for symbol in self._ask("smembers", self._keys.manual))

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Ask for the quotes of these symbols, whatever is held."""
        self._ask("sadd", self._keys.manual, *symbols)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Take such a wish back; symbols that are held stay subscribed."""
        self._ask("srem", self._keys.manual, *symbols)

    def _ask(self, word: str, *arguments: Any) -> Any:
        return self._link.ask(lambda redis: getattr(redis, word)(*arguments))

    @staticmethod
    def _quotes(symbols: Sequence[str], values: Sequence[bytes | None]) -> dict[str, Quote]:
        import msgpack  # noqa: PLC0415 - heavy: on first use

        pairs = zip(symbols, values, strict=True)
        return {name: Quote(*msgpack.unpackb(value)) for name, value in pairs if value}


def _texts(found: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in found.items()}
