"""The files of a lake, one by one and whole, for back-ups: from a folder or from a bucket."""

from collections.abc import Iterator
from contextlib import suppress

from trading_pipeline.adapters.lake.bucket import ObjectPath
from trading_pipeline.adapters.lake.files import LakePath

_ENDING = ".parquet"


def names(root: LakePath) -> list[str]:
    """Return what the lake holds, as `<table>/sessions/<session>.parquet` and the like, sorted."""
    if isinstance(root, ObjectPath):
        pages = root.bucket.store.list(prefix=f"{root.key}/")
        found = (each["path"].removeprefix(f"{root.key}/") for page in pages for each in page)
        return sorted(name for name in found if name.endswith(_ENDING))
    paths = root.rglob(f"*{_ENDING}")
    return sorted(path.relative_to(root).as_posix() for path in paths if path.is_file())


def contents(root: LakePath) -> Iterator[tuple[str, bytes]]:
    """Yield each file's name and bytes, while others may write.

    A session that a writer merges meanwhile is in its year's file. That is put in place before the
    session's own file goes, so it is found when the names are asked for once more.
    """
    done: set[str] = set()
    while new := [name for name in names(root) if name not in done]:
        for name in new:
            done.add(name)
            with suppress(FileNotFoundError):
                yield name, read(root, name)


def read(root: LakePath, name: str) -> bytes:
    """Return a file's bytes; FileNotFoundError when it is gone."""
    if isinstance(root, ObjectPath):
        return root.bucket.store.get(f"{root.key}/{name}").bytes().to_bytes()
    return (root / name).read_bytes()


def put(root: LakePath, name: str, content: bytes) -> None:
    """Put a file in its place, whole or not at all."""
    if isinstance(root, ObjectPath):
        (root / name).write(content)
        return
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_bytes(content)
    beside.replace(path)
