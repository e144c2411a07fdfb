"""A back-up on disk: a folder of plain files, and a manifest of them with their checksums.

::

    <folder>/manifest.json     what is in it, of when; written last
    <folder>/ledger/…          the ledger's tables
    <folder>/lake/…            the files of the lake
    <folder>/models/…          the release bundles, and links to the ones in use
    <folder>/account/…         the simulated broker's account

It is made beside its place and renamed when it is whole, so a folder of that name is a back-up.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from trading_pipeline.errors import DataError, SettingsError

MANIFEST: Final = "manifest.json"


def _below(name: str) -> str:
    """A name that stays within the folder it is taken for: a back-up may come from anywhere."""
    if {"", ".", ".."}.intersection(name.split("/")):
        raise ValueError("no name of a back-up's file")
    return name


Name = Annotated[str, AfterValidator(_below)]


class Manifest(BaseModel):
    """What a back-up holds: rows by table of the ledger, SHA-256 by file, targets by link."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    made_at: datetime
    product: str
    revision: str
    rows: dict[str, int]
    files: dict[Name, str]
    links: dict[Name, Name]

    def of(self, part: str) -> dict[str, str]:
        """The checksums of one part's files, by their names within it."""
        head = f"{part}/"
        return {k.removeprefix(head): v for k, v in self.files.items() if k.startswith(head)}


@contextmanager
def making(place: Path) -> Iterator[Path]:
    """Give a folder to fill, and put it in its place unless something fails.

    SettingsError when there is anything at the place, or it cannot be written.
    """
    if place.exists():
        raise SettingsError(f"There is something at {place} already: name a place that is free.")
    beside = place.with_name(f".{place.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        beside.chmod(0o700)  # it holds everything there is to know about the account
        yield beside
        beside.replace(place)
    except OSError as error:
        raise SettingsError(f"{place} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def seal(
    folder: Path, *, made_at: datetime, product: str, ledger: tuple[str, dict[str, int]]
) -> Manifest:
    """Write the manifest of all that lies in the folder, and make it survive a loss of power."""
    revision, rows = ledger
    files, links = dict[str, str](), dict[str, str]()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            links[name] = str(path.readlink())
        elif path.is_file():
            files[name] = digest(path.read_bytes())
            _sync(path)
    made = Manifest(
        made_at=made_at, product=product, revision=revision, rows=rows, files=files, links=links
    )
    path = folder / MANIFEST
    path.write_text(made.model_dump_json(indent=1))
    _sync(path)
    return made


def opened(folder: Path) -> Manifest:
    """Return the manifest of a back-up whose every file is what it was.

    SettingsError when it is no back-up, DataError when a file is damaged, missing or foreign.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise SettingsError(f"{folder} is no back-up: it has no {MANIFEST}.") from error
    except ValidationError as error:
        raise SettingsError(f"{folder / MANIFEST} is not what a back-up has.") from error
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"The back-up {folder} is damaged: {name} is missing.")
        if digest(path.read_bytes()) != expected:
            raise DataError(f"The back-up {folder} is damaged: {name} is not what was written.")
    return manifest


def digest(content: bytes) -> str:
    """The SHA-256 of the content, in hex."""
    return hashlib.sha256(content).hexdigest()


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite file as of one moment, while others may write to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as ours,
        closing(sqlite3.connect(target)) as theirs,
    ):
        ours.backup(theirs)
        theirs.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with its links; locks and hidden files stay behind."""
    if source.is_dir():
        ignored = shutil.ignore_patterns(".*", "*.tmp", "*.lock")
        shutil.copytree(source, target, symlinks=True, ignore=ignored)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
