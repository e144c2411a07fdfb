"""Back up what cannot be computed again, and restore it where there is nothing yet.

The ledger is read first: what the lake gains meanwhile is more than the ledger knows, which the
next run of the day finds and keeps. A restore writes nothing over anything: a file that is there
must be the one that was backed up, so one that was interrupted is completed by running it again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from trading_pipeline.adapters import backup_folder
from trading_pipeline.adapters.backup_folder import Manifest, digest
from trading_pipeline.adapters.databases import ensure_database
from trading_pipeline.adapters.lake import LakePath, copies
from trading_pipeline.adapters.ledger import transfer
from trading_pipeline.errors import SettingsError

_log = logging.getLogger(__name__)

LEDGER, LAKE, MODELS, ACCOUNT = "ledger", "lake", "models", "account"
_ACCOUNT_FILE: Final = "simulated_broker.db"

Progress = Callable[[str, int], None]
"""Told the part and how many of its files are done."""


def unwatched(_part: str, _count: int) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where what is kept lies: the ledger by URL, the lake, the release bundles, the account."""

    ledger_url: str
    lake: LakePath
    models: Path
    account: Path


def backup(
    places: Places, to: Path, *, now: datetime, product: str, progress: Progress = unwatched
) -> Manifest:
    """Make a back-up at `to`, whole or not at all, and return what is in it."""
    with backup_folder.making(to) as folder:
        (folder / LEDGER).mkdir()
        ledger = transfer.dump(places.ledger_url, folder / LEDGER)
        progress(LEDGER, len(ledger[1]))
        if places.account.is_file():
            backup_folder.copy_database(places.account, folder / ACCOUNT / _ACCOUNT_FILE)
        backup_folder.copy_tree(places.models, folder / MODELS)
        for count, (name, content) in enumerate(copies.contents(places.lake), start=1):
            copies.put(folder / LAKE, name, content)
            progress(LAKE, count)
        made = backup_folder.seal(folder, made_at=now, product=product, ledger=ledger)
    _log.info("backed up", extra={"place": str(to), "files": len(made.files)})
    return made


def restore(source: Path, places: Places, *, progress: Progress = unwatched) -> Manifest:
    """Restore a back-up where there is nothing yet; the ledger comes last, in one transaction.

    A PostgreSQL database that is named and not there is made. SettingsError, before anything else
    is written, when the ledger has rows or another file is in place.
    """
    manifest = backup_folder.opened(source)
    ensure_database(places.ledger_url)
    transfer.require_empty(places.ledger_url)
    parts: dict[str, LakePath] = {LAKE: places.lake, MODELS: places.models}
    parts[ACCOUNT] = places.account.parent
    missing = {part: _missing(manifest, part, root) for part, root in parts.items()}
    links = _missing_links(manifest, places.models)
    for part, names in missing.items():
        for count, name in enumerate(names, start=1):
            copies.put(parts[part], name, (source / part / name).read_bytes())
            progress(part, count)
    for link, target in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    transfer.load(places.ledger_url, source / LEDGER, manifest.revision)
    _log.info("restored", extra={"place": str(source), "files": len(manifest.files)})
    return manifest


def _missing(manifest: Manifest, part: str, root: LakePath) -> list[str]:
    """The files of a part that are not in place; SettingsError for one that is another."""
    missing: list[str] = []
    for name, expected in manifest.of(part).items():
        try:
            found = digest(copies.read(root, name))
        except FileNotFoundError:
            missing.append(name)
            continue
        if found != expected:
            raise SettingsError(
                f"{root / name} is there and is not the file of the back-up: nothing is "
                "overwritten, expected an empty place."
            )
    _require_nothing_else(manifest, part, root)
    return missing


def _require_nothing_else(manifest: Manifest, part: str, root: LakePath) -> None:
    """The lake may hold no session that the back-up does not know: the two would be mixed."""
    if part != LAKE:
        return
    if foreign := sorted(set(copies.names(root)) - manifest.of(LAKE).keys()):
        raise SettingsError(
            f"{root} holds {foreign[0]}, which the back-up does not: expected an empty lake."
        )


def _missing_links(manifest: Manifest, models: Path) -> dict[Path, str]:
    """The links that are not in place; SettingsError for one that leads elsewhere."""
    missing: dict[Path, str] = {}
    for name, target in manifest.links.items():
        link = models / name.removeprefix(f"{MODELS}/")
        if not link.is_symlink():
            missing[link] = target
        elif str(link.readlink()) != target:
            raise SettingsError(f"{link} leads elsewhere than in the back-up: expected no link.")
    return missing
