"""Release bundles on disk.

::

    <models_dir>/<strategy>/versions/3-1a2b3c4d/{model.txt, manifest.json}   never changed
    <models_dir>/<strategy>/current -> versions/3-1a2b3c4d                   the champion
    <models_dir>/<strategy>/candidates/4-5e6f7a8b/…                          not promoted yet
    <models_dir>/<strategy>/challenger -> candidates/4-5e6f7a8b              predicts in the shadow
    <models_dir>/<strategy>/activations.jsonl                                what was changed when

A bundle is whole when its manifest, written last, is there; then the link is replaced in one step.
A reader follows the link once and stays with what it found. Only bundles that were promoted or kept
for replays are among the versions.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from trading_pipeline.adapters.model_store.records import Action, Activation, Cause
from trading_pipeline.core.models.release import Manifest, Release, bundle_name, verify
from trading_pipeline.errors import (
    ModelCorruptError,
    ModelNotFoundError,
    SettingsError,
    TransientError,
)

MODEL_FILE, MANIFEST_FILE = "model.txt", "manifest.json"
ACTIVATIONS_FILE = "activations.jsonl"
CHAMPION_LINK, CHALLENGER_LINK = "current", "challenger"
VERSIONS, CANDIDATES = "versions", "candidates"
NOTHING = "deactivated"
"""What the champion's link names when no model may trade."""
PATIENCE = 120.0
"""Seconds to wait for another process that promotes."""


class Bundles:
    """The folder of all strategies' bundles."""

    def __init__(self, models_dir: Path) -> None:
        """Name the folder; the first write makes it."""
        self._root = models_dir

    def newest(self, strategy: str, *, since: date, session: date) -> Release:
        """The newest bundle, champion or not, whose training has seen no day later than `session`.

        ModelNotFoundError without one whose training has seen `since`.
        """
        known = [m for m in self.manifests(strategy) if since <= m.trained_through <= session]
        if not known:
            raise ModelNotFoundError(
                f"No release of {strategy} was trained through a day from {since} to {session}: "
                f"train one as of {session}."
            )
        newest = max(known, key=lambda one: (one.trained_through, int(one.version)))
        return _read(self._folder(strategy) / VERSIONS / bundle_name(newest), strategy)

    def release(self, strategy: str, *, session: date | None = None) -> Release:
        """The champion, or for an older `session` the newest bundle that may decide on it."""
        champion = _read(self._linked(strategy, CHAMPION_LINK), strategy)
        seen = champion.manifest.trained_through
        if session is None or seen <= session:
            return champion
        try:
            return self.newest(strategy, since=date.min, session=session)
        except ModelNotFoundError:
            raise ModelNotFoundError(
                f"Every release of {strategy} has seen prices later than {session}, the champion "
                f"up to {seen}: train one as of {session}."
            ) from None

    def challenger(self, strategy: str) -> Release | None:
        """The challenger, None when there is none or when it is the champion."""
        link = self._folder(strategy) / CHALLENGER_LINK
        if not link.is_symlink() or link.readlink().name == self.champion_name(strategy):
            return None
        return _read(self._linked(strategy, CHALLENGER_LINK), strategy)

    def newest_seen(self, strategy: str) -> date:
        """The last session the champion or the challenger has seen; date.min without either."""
        seen = [date.min]
        for name in (CHAMPION_LINK, CHALLENGER_LINK):
            with suppress(ModelNotFoundError, ModelCorruptError):
                release = _read(self._linked(strategy, name), strategy)
                seen.append(release.manifest.trained_through)
        return max(seen)

    def previous(self, strategy: str) -> Release:
        """The bundle that traded before the present one; ModelNotFoundError without any."""
        now = self.champion_name(strategy)
        named = [one.bundle for one in self.activations(strategy) if one.bundle not in (None, now)]
        if not named:
            raise ModelNotFoundError(f"No other model of {strategy} has been active before.")
        return _read(self._folder(strategy) / VERSIONS / str(named[-1]), strategy)

    def activations(self, strategy: str) -> list[Activation]:
        """Every change of the champion, oldest first; a line that was cut off is left out."""
        path = self._folder(strategy) / ACTIVATIONS_FILE
        found: list[Activation] = []
        for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
            with suppress(ValidationError):
                found.append(Activation.model_validate_json(line))
        return found

    def manifests(self, strategy: str) -> list[Manifest]:
        """The manifests of all bundles, those that cannot be read left out."""
        found: list[Manifest] = []
        for path in sorted((self._folder(strategy) / VERSIONS).glob(f"*/{MANIFEST_FILE}")):
            with suppress(ValidationError):  # whoever opens that bundle is told of the damage
                found.append(Manifest.model_validate_json(path.read_bytes()))
        return found

    def champion_name(self, strategy: str) -> str | None:
        """The name of the bundle that trades, None without one."""
        link = self._folder(strategy) / CHAMPION_LINK
        name = link.readlink().name if link.is_symlink() else NOTHING
        return None if name == NOTHING else name

    def is_deactivated(self, strategy: str) -> bool:
        """Whether somebody said that no model of the strategy may trade."""
        link = self._folder(strategy) / CHAMPION_LINK
        return link.is_symlink() and link.readlink().name == NOTHING

    def write(self, release: Release, kind: str = VERSIONS) -> None:
        """Write the files of a bundle, the manifest last; the same bytes again mend a damage."""
        versions = self._folder(release.manifest.strategy) / kind
        folder = versions / bundle_name(release.manifest)
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / MODEL_FILE, release.text)
        _replace(folder / MANIFEST_FILE, release.manifest.model_dump_json(indent=2))
        _sync(folder)
        _sync(versions)

    def activate(self, release: Release, cause: Cause, action: Action = "activate") -> None:
        """Write a bundle and make it the champion, in one step, then note who did it."""
        strategy = release.manifest.strategy
        self._note_what_is_missing(strategy, cause)
        self.write(release)
        self._point(strategy, CHAMPION_LINK, Path(VERSIONS) / bundle_name(release.manifest))
        self._note(strategy, action, bundle_name(release.manifest), cause)

    def deactivate(self, strategy: str, cause: Cause) -> None:
        """Leave no champion, in one step, then note who did it."""
        self._note_what_is_missing(strategy, cause)
        self._point(strategy, CHAMPION_LINK, Path(NOTHING))
        self._note(strategy, "deactivate", None, cause)

    def challenge(self, release: Release) -> None:
        """Write a bundle beside the versions and make it the challenger."""
        self.write(release, CANDIDATES)
        name = Path(CANDIDATES) / bundle_name(release.manifest)
        self._point(release.manifest.strategy, CHALLENGER_LINK, name)

    @contextmanager
    def writing(self, strategy: str) -> Iterator[None]:
        """Hold the one promoter's place of a strategy; translate what the file system refuses."""
        folder = self._folder(strategy)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".lock", timeout=PATIENCE):
                yield
        except Timeout:
            raise TransientError(
                f"{strategy} has been promoted by another process for {PATIENCE:g} s."
            ) from None
        except OSError as error:
            raise SettingsError(f"{folder} cannot be written to: {error.strerror}.") from error

    def _folder(self, strategy: str) -> Path:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", strategy):
            raise SettingsError(
                f"{strategy!r} is no name of a strategy: lower-case letters, digits and _ are."
            )
        return self._root / strategy

    def _linked(self, strategy: str, name: str) -> Path:
        """The folder a link leads to, looked up once: it may lead elsewhere in a moment."""
        folder = self._folder(strategy)
        try:
            target = (folder / name).readlink()
        except FileNotFoundError:
            raise ModelNotFoundError(
                f"{strategy} has no release in {self._root}: train and promote a model."
            ) from None
        except OSError as error:
            raise ModelCorruptError(
                f"{folder / name} is not the link that a promotion makes: promote again."
            ) from error
        if target.name == NOTHING:
            raise ModelNotFoundError(
                f"The model of {strategy} was deactivated: activate a version, or roll back."
            )
        return folder / target

    def _point(self, strategy: str, name: str, target: Path) -> None:
        """Make a link lead to the target, in one step."""
        folder = self._folder(strategy)
        beside = folder / f"{name}.tmp"
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        beside.replace(folder / name)
        _sync(folder)

    def _note(self, strategy: str, action: Action, bundle: str | None, cause: Cause) -> None:
        line = Activation(
            at=cause.at, action=action, bundle=bundle, by=cause.by, reason=cause.reason
        ).model_dump_json()
        path = self._folder(strategy) / ACTIVATIONS_FILE
        cut_off = path.is_file() and not path.read_bytes().endswith(b"\n")
        with path.open("a") as file:
            file.write("\n" * cut_off + f"{line}\n")
            file.flush()
            os.fsync(file.fileno())

    def _note_what_is_missing(self, strategy: str, cause: Cause) -> None:
        """A process killed between the step and its note left the champion without one."""
        noted, now = self.activations(strategy), self.champion_name(strategy)
        if now and (not noted or noted[-1].bundle != now):
            self._note(strategy, "activate", now, Cause("unknown", cause.at, "found active"))


def _read(folder: Path, strategy: str) -> Release:
    try:
        manifest = (folder / MANIFEST_FILE).read_bytes()
        text = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise ModelCorruptError(
            f"The release {folder} of {strategy} is not whole ({error.strerror}): promote again."
        ) from error
    release = verify(manifest, text, where=str(folder))
    if release.manifest.strategy != strategy:
        raise ModelCorruptError(
            f"The release {folder} is one of {release.manifest.strategy}, not of {strategy}."
        )
    return release


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.tmp")
    with beside.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _sync(folder: Path) -> None:
    """Make what was renamed into the folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
