"""Features of recent sessions in Redis: a copy that is quick to get and may be gone at any time.

A value is a head of eight bytes (a checksum and a count) and the features as little-endian float32,
NaN for null. Whatever is not exactly that is a miss and is filled again. When Redis does not answer
it is left alone for a while, so that a run without it is slower by milliseconds, once.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import compress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numpy as np
import polars as pl

from trading_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from redis import Redis

NAMESPACE: Final = "trading_pipeline"
TTL_SECONDS: Final = 3_600
PATIENCE_SECONDS: Final = 0.05
"""For a connection and for an answer: Redis is beside us or of no use."""
REST_SECONDS: Final = 5.0
"""For which Redis is not asked again after it did not answer."""

_HEAD: Final = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Whose features and which: the strategy, the features' version and their names in order."""

    strategy: str
    version: str
    names: tuple[str, ...]


class FeatureStore:
    """Features by strategy, session and symbol, behind one Redis URL."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = NAMESPACE,
        ttl: int = TTL_SECONDS,
        patience: float = PATIENCE_SECONDS,
        rest: float = REST_SECONDS,
    ) -> None:
        """Name the place; the first call connects. All times are in seconds."""
        self._url = url
        self._namespace = namespace
        self._ttl = ttl
        self._patience = patience
        self._rest = rest
        self._asleep_until = 0.0
        self._opened: Redis | None = None

    def get(self, kind: FeatureSet, session: date, symbols: Sequence[str]) -> pl.DataFrame:
        """Return the rows that are held whole, in the order asked; a missing row is a miss.

        Columns: symbol, session, feature_version, then the features. One round trip for all.
        """
        begin = self.key(kind, session, "")
        keys = [begin + symbol for symbol in symbols]
        values = self._ask(lambda redis: redis.mget(keys)) if keys else None
        whole = [_is_whole(value, len(kind.names)) for value in values or ()]
        return _frame(
            list(compress(symbols, whole)), list(compress(values or (), whole)), kind, session
        )

    def put(self, kind: FeatureSet, session: date, features: pl.DataFrame) -> None:
        """Hold the rows of one session for a while, in place of what was held for the symbols."""
        if self._is_resting():
            return
        columns = [pl.col(name).cast(pl.Float32) for name in kind.names]
        rows = features.select(columns).to_numpy()
        values = {
            self.key(kind, session, symbol): _packed(row)
            for symbol, row in zip(features["symbol"], rows, strict=True)
        }
        if values:
            self._ask(lambda redis: self._set(redis, values))

    def drop(self, kind: FeatureSet, session: date, symbols: Sequence[str]) -> None:
        """Forget the rows of these symbols."""
        keys = [self.key(kind, session, symbol) for symbol in symbols]
        if keys:
            self._ask(lambda redis: redis.unlink(*keys))

    def key(self, kind: FeatureSet, session: date, symbol: str) -> str:
        """The key of one row: no other version of the features can be found under it."""
        its = f"features:{kind.strategy}:{session}:{symbol}"
        return f"{self._namespace}:{kind.version}:{its}"

    def _set(self, redis: "Redis", values: Mapping[str, bytes]) -> None:
        with redis.pipeline(transaction=False) as batch:
            for key, value in values.items():
                batch.set(key, value, ex=self._ttl)
            batch.execute()

    def _ask(self, question: Any) -> Any:
        """The answer, None when Redis does not give one or is left alone at the moment."""
        if self._is_resting():
            return None
        from redis.exceptions import RedisError  # noqa: PLC0415 - heavy: on first use

        try:
            return question(self._redis())
        except (RedisError, OSError):
            self._asleep_until = monotonic() + self._rest
            return None

    def _is_resting(self) -> bool:
        return monotonic() < self._asleep_until

    def _redis(self) -> "Redis":
        if self._opened is None:
            from redis import Redis  # noqa: PLC0415 - heavy: on first use
            from redis.backoff import NoBackoff  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415

            try:
                self._opened = Redis.from_url(
                    self._url,
                    socket_connect_timeout=self._patience,
                    socket_timeout=self._patience,
                    retry=Retry(NoBackoff(), 0),
                )
            except ValueError as error:
                raise SettingsError("TP_REDIS_URL is not a URL: redis://… is expected.") from error
        return self._opened


def _packed(row: "np.ndarray[Any, np.dtype[np.float32]]") -> bytes:
    body = row.astype("<f4").tobytes()
    return _HEAD.pack(crc32(body), len(row)) + body


def _is_whole(value: Any, count: int) -> bool:
    """Whether a value is what was packed here, so many features."""
    if not isinstance(value, bytes) or len(value) != _HEAD.size + 4 * count:
        return False
    return _HEAD.unpack_from(value) == (crc32(memoryview(value)[_HEAD.size :]), count)


def _frame(
    symbols: list[str], values: list[bytes], kind: FeatureSet, session: date
) -> pl.DataFrame:
    """The rows of whole values, all at once: a head is as wide as two features."""
    head, count = _HEAD.size // 4, len(kind.names)
    packed = np.frombuffer(b"".join(values), "<f4").reshape((len(values), head + count))
    rows = pl.Series(packed[:, head:].ravel()).fill_nan(None).reshape((len(values), count))
    keys = pl.DataFrame({"symbol": symbols}, schema={"symbol": pl.String})
    return keys.with_columns(
        pl.lit(session).alias("session"), pl.lit(kind.version).alias("feature_version")
    ).hstack(rows.arr.to_struct(list(kind.names)).struct.unnest())
