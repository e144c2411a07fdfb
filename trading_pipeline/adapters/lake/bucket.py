"""A lake in an S3 bucket: keys with the part of pathlib.Path that the lake uses, and its lock.

An object is replaced whole or not at all by nature. A writer's place is an object that can be
created once; one that is older than any write takes was left by a killed process and is taken over.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from threading import get_ident
from typing import Any, Final, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from trading_pipeline.errors import SettingsError, TransientError

SCHEME: Final = "s3://"
LEASE: Final = timedelta(minutes=5)
"""How long a writer's place is held at most: longer than any write takes."""

_PAUSE: Final = 0.05


class BucketAccess(BaseModel):
    """How a bucket is reached; without keys, as AWS's own tools are: environment or instance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="an S3 server other than AWS"
    )
    region: str = Field(default="us-east-1", description="the bucket's region")
    key_id: SecretStr | None = Field(default=None, description="the key's id")
    secret_key: SecretStr | None = Field(default=None, description="the key's secret")

    def options(self) -> dict[str, str]:
        """The same for polars and for obstore, by their common names."""
        given = {
            "aws_region": self.region,
            "aws_endpoint_url": self.endpoint,
            "aws_access_key_id": self.key_id and self.key_id.get_secret_value(),
            "aws_secret_access_key": self.secret_key and self.secret_key.get_secret_value(),
            "aws_allow_http": "true" if (self.endpoint or "").startswith("http:") else None,
        }
        return {name: value for name, value in given.items() if value}


@dataclass(slots=True)
class Held:
    """A writer's place of this process: by which thread, its object's tag, and how often."""

    thread: int
    tag: str
    times: int = 1


@dataclass
class Bucket:
    """A bucket and how it is reached."""

    name: str
    access: BucketAccess
    lease: timedelta = LEASE
    held: dict[str, Held] = field(default_factory=dict[str, Held])

    @cached_property
    def store(self) -> Any:
        """The objects, by obstore."""
        from obstore.store import S3Store  # noqa: PLC0415 - heavy: on first use

        options: Any = self.access.options()
        allow_http = options.pop("aws_allow_http", None) is not None
        return S3Store(self.name, config=options, client_options={"allow_http": allow_http})


class ObjectPath:
    """A key in a bucket, used as a path; folders are only prefixes and always there."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self.bucket, self.key = bucket, key.strip("/")

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.bucket, f"{self.key}/{name}")

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket.name}/{self.key}"

    def __lt__(self, other: "ObjectPath") -> bool:
        return self.key < other.key

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def suffix(self) -> str:
        """The ending of the last part, its dot included."""
        _, dot, ending = self.name.rpartition(".")
        return f"{dot}{ending}" if dot else ""

    @property
    def parent(self) -> Self:
        """The prefix without the last part."""
        return type(self)(self.bucket, self.key.rpartition("/")[0])

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the key."""
        return tuple(self.key.split("/"))

    @property
    def options(self) -> dict[str, str]:
        """How polars reaches the bucket."""
        return self.bucket.access.options()

    def exists(self) -> bool:
        """Whether there is an object of this key."""
        try:
            self.bucket.store.head(self.key)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """True: a prefix is there without being made."""
        return True

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a prefix is there without being made."""

    def iterdir(self) -> Iterator[Self]:
        """The objects right below this prefix."""
        found = self.bucket.store.list_with_delimiter(f"{self.key}/")
        return (type(self)(self.bucket, each["path"]) for each in found["objects"])

    def tag(self) -> str:
        """What changes with the object's content; FileNotFoundError where there is none."""
        return str(self.bucket.store.head(self.key)["e_tag"])

    def tags(self) -> dict[str, str]:
        """The tags of the objects right below this prefix, by key."""
        found = self.bucket.store.list_with_delimiter(f"{self.key}/")
        return {each["path"]: str(each["e_tag"]) for each in found["objects"]}

    def unlink(self) -> None:
        """Remove the object."""
        self.bucket.store.delete(self.key)

    def write(self, content: bytes) -> None:
        """Put the content in the object's place, whole or not at all."""
        self.bucket.store.put(self.key, content)

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Hold this key as a lock; the thread that holds it may take it again."""
        mine = self.bucket.held.get(self.key)
        if mine is not None and mine.thread == get_ident():
            mine.times += 1
        else:
            mine = Held(get_ident(), self._acquired(patience))
            self.bucket.held[self.key] = mine
        try:
            yield
        finally:
            mine.times -= 1
            if not mine.times:
                del self.bucket.held[self.key]
                self._released(mine.tag)

    def _acquired(self, patience: float) -> str:
        """Create the object, or take over one that was left; return its tag."""
        # heavy: on first use
        from obstore.exceptions import AlreadyExistsError, PreconditionError  # noqa: PLC0415

        until, body, mode = time.monotonic() + patience, uuid4().hex.encode(), "create"
        while True:
            with suppress(AlreadyExistsError, PreconditionError, FileNotFoundError):
                return self.bucket.store.put(self.key, body, mode=mode)["e_tag"]
            if time.monotonic() > until:
                raise TransientError(
                    f"{self} has been held by another process for {patience:g} s; one that was"
                    f" killed holds it for {self.bucket.lease.total_seconds():g} s."
                )
            time.sleep(_PAUSE)
            left = self._left_by_the_dead()
            mode = {"e_tag": left} if left else "create"

    def _left_by_the_dead(self) -> str | None:
        """The tag of a lock older than any write takes, by the server's own clock."""
        beside = f"{self.key}.{uuid4().hex}"
        try:
            found = self.bucket.store.head(self.key)
            self.bucket.store.put(beside, b"")
            now = self.bucket.store.head(beside)["last_modified"]
            self.bucket.store.delete(beside)
        except FileNotFoundError:
            return None
        return found["e_tag"] if now - found["last_modified"] > self.bucket.lease else None

    def _released(self, tag: str) -> None:
        """Remove the lock, unless another process has taken it over."""
        with suppress(FileNotFoundError):
            if self.bucket.store.head(self.key)["e_tag"] == tag:
                self.unlink()


def location(place: Path | str, access: BucketAccess | None = None) -> Path | ObjectPath:
    """The root of a lake: a folder, or `s3://bucket/prefix`; SettingsError for another URL."""
    if isinstance(place, Path) or "://" not in place:
        return Path(place)
    bucket, _, key = place.removeprefix(SCHEME).partition("/")
    if not place.startswith(SCHEME) or not bucket or not key.strip("/"):
        raise SettingsError(f"{place} is no place for a lake: a folder or s3://bucket/prefix is.")
    return ObjectPath(Bucket(bucket, access or BucketAccess()), key)


def mirror(root: ObjectPath, folder: Path, tables: Iterable[str]) -> Path:
    """Bring a folder to what the bucket holds of the tables; only what changed is fetched."""
    for table in tables:
        for part in ("sessions", "years"):
            _mirrored(root / table / part, folder / table / part)
    return folder


def _mirrored(prefix: ObjectPath, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    store = prefix.bucket.store
    found = {
        each["path"].rpartition("/")[2]: each
        for each in store.list_with_delimiter(f"{prefix.key}/")["objects"]
    }
    for path in folder.iterdir():
        if path.name not in found:
            path.unlink()
    for name, each in found.items():
        path, stamp = folder / name, each["last_modified"].timestamp()
        if path.exists() and (path.stat().st_size, path.stat().st_mtime) == (each["size"], stamp):
            continue
        beside = path.with_suffix(".tmp")
        beside.write_bytes(store.get(each["path"]).bytes())
        os.utime(beside, (stamp, stamp))
        beside.replace(path)
