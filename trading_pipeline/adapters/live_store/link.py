"""A connection to Redis by URL: a small pool, short patience, errors of ours.

`redis://:password@host:6379/0`, with TLS `rediss://…`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from trading_pipeline.errors import SettingsError, TransientError

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

PATIENCE_SECONDS: Final = 1.0
"""For a connection and for an answer: nothing of the day waits longer for Redis."""

CONNECTIONS: Final = 10

_NO_URL: Final = (
    "TP_REDIS_URL is not a URL: redis://… or rediss://… is expected, a / in a password as %2F."
)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Health:
    """What a Redis that answers says of itself; memory in bytes, 0 as a limit for none."""

    server: str
    used_memory: int
    memory_limit: int
    clients: int


class RedisLink:
    """Redis behind one URL; the first question connects. Safe to share among threads."""

    def __init__(self, url: str, *, patience: float = PATIENCE_SECONDS) -> None:
        """Name the place; SettingsError when it is not a URL of Redis. `patience` in seconds.

        `place` is host and port, without the password.
        """
        self.url, self.place = url, _place(url)
        self._patience = patience
        self._client: Redis | None = None

    def ask(self, question: "Callable[[Redis], Any]") -> Any:
        """Return what Redis answers; TransientError when it does not."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - heavy: on first use

        try:
            return question(self._opened())
        except (RedisError, OSError) as error:
            raise self.silence(error) from error
        except ValueError:
            raise SettingsError(_NO_URL) from None

    def silence(self, error: Exception) -> TransientError:
        """What to raise when Redis fails with `error`."""
        return TransientError(f"Redis at {self.place} does not answer: {error}.")

    def health(self) -> Health:
        """Ask Redis how it is; TransientError when it does not say."""
        info = self.ask(lambda redis: redis.info())
        name = "valkey" if "valkey_version" in info else "redis"
        return Health(
            server=f"{name} {info.get(f'{name}_version', '')}",
            used_memory=int(info.get("used_memory", 0)),
            memory_limit=int(info.get("maxmemory", 0)),
            clients=int(info.get("connected_clients", 0)),
        )

    def opened_for_loop(self) -> "AsyncRedis":
        """A client for an event loop, with one connection of its own."""
        from redis.asyncio import Redis as AsyncRedis  # noqa: PLC0415 - heavy: on first use
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        return AsyncRedis.from_url(
            self.url,
            socket_connect_timeout=self._patience,
            socket_timeout=self._patience,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=False,
        )

    def close(self) -> None:
        """Give the connections back; the next question connects anew."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _opened(self) -> "Redis":
        if self._client is None:
            from redis import Redis  # noqa: PLC0415 - heavy: on first use
            from redis.backoff import NoBackoff  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415

            self._client = Redis.from_url(
                self.url,
                socket_connect_timeout=self._patience,
                socket_timeout=self._patience,
                max_connections=CONNECTIONS,
                retry=Retry(NoBackoff(), 1),  # a pooled connection may have died unseen
            )
        return self._client


def _place(url: str) -> str:
    """Host and port, without the password; SettingsError, which repeats nothing, for no URL."""
    try:
        address = urlsplit(url)
        place = f"{address.hostname or 'localhost'}:{address.port or 6379}"
    except ValueError:
        raise SettingsError(_NO_URL) from None
    if address.scheme not in {"redis", "rediss", "unix"}:
        raise SettingsError(_NO_URL)
    return place
