"""Rows in the form LightGBM learns from, kept on disk for the next training of the same rows.

::

    <folder>/<key>/{train.bin, valid.bin, bins.json}

The key is a digest of every value in both windows, of the features' version and of all that bins
depend on, so other data never meet old bins. LightGBM ends the process on some damaged files: it
reads none before its checksum is verified. What cannot be used is made again.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from trading_pipeline.core.models.binning import Binned, Recipe, bin_rows
from trading_pipeline.core.models.dataset import Dataset
from trading_pipeline.core.models.scaling import Scaling

if TYPE_CHECKING:
    import lightgbm as lgb

MANIFEST, TRAIN, VALID = "bins.json", "train.bin", "valid.bin"
MIB: Final = 2**20
DAY: Final = 86_400.0
"""Seconds."""

_log = logging.getLogger(__name__)


class _Bins(BaseModel):
    """What an entry must be: the SHA-256 of its files, and how the rows were scaled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: str
    valid: str
    scaling: Scaling | None


class BinCache:
    """A folder of binned rows, the longest unused removed when it grows past its limit."""

    def __init__(self, folder: Path, *, limit_mib: float) -> None:
        """Name the folder, which the first entry makes, and how much it may hold."""
        self._folder, self._limit = folder, limit_mib * MIB

    def bin_rows(self, train: Dataset, valid: Dataset, recipe: Recipe) -> Binned:
        """Return the rows in bins, from disk where they are held whole; else make and keep them.

        A folder that cannot be written to is logged and costs only the time of making them again.
        """
        place = self._folder / _key(train, valid, recipe)
        found = _read(place, recipe, len(train.rows))
        if found is not None:
            return found
        made = bin_rows(train, valid, recipe)
        try:
            self._write(place, made)
        except OSError as error:
            _log.warning("bins were not kept", extra={"place": str(place), "error": str(error)})
        return made

    def _write(self, place: Path, made: Binned) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=_UNDONE) as name:
            beside = Path(name) / "entry"
            beside.mkdir()
            _save(made.train, beside / TRAIN)
            _save(made.valid, beside / VALID)
            bins = _Bins(
                train=_sha256(beside / TRAIN), valid=_sha256(beside / VALID), scaling=made.scaling
            )
            (beside / MANIFEST).write_text(bins.model_dump_json())
            shutil.rmtree(place, ignore_errors=True)  # a damaged one
            with suppress(FileExistsError, OSError):  # another process has made the same
                beside.rename(place)
        self._make_room(place)

    def _make_room(self, newest: Path) -> None:
        """Remove the longest unused entries until the rest fits; the newest always stays.

        What a process that was killed has left behind goes after a day.
        """
        entries = [path for path in self._folder.iterdir() if not path.name.startswith(_UNDONE)]
        for path in self._folder.glob(f"{_UNDONE}*"):
            if _changed_at(path) < _changed_at(newest) - DAY:
                shutil.rmtree(path, ignore_errors=True)
        left = sum(map(_size, entries))
        for path in sorted(set(entries) - {newest}, key=_used_at):
            if left <= self._limit:
                return
            left -= _size(path)
            shutil.rmtree(path, ignore_errors=True)


_UNDONE: Final = ".undone-"


def _key(train: Dataset, valid: Dataset, recipe: Recipe) -> str:
    """What bins depend on; the seed draws the sample of rows that they are found on."""
    import lightgbm as lgb  # heavy: on first use

    said = {
        "rows": [train.digest(), valid.digest()],
        "features": [train.feature_version, *train.features],
        "windows": [str(day) for one in (train, valid) for day in _ends(one)],
        "scaling": [recipe.normalization.features, recipe.normalization.clip],
        "seed": recipe.params.seed,
        "splittable": None if recipe.shared else recipe.params.min_data_in_leaf,
        "lightgbm": lgb.__version__,
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def _ends(window: Dataset) -> tuple[object, object]:
    days = window.rows["session"]
    return (days[0], days[-1]) if len(days) else (None, None)


def _read(place: Path, recipe: Recipe, rows: int) -> Binned | None:
    """The entry, None when there is none or when a file of it is not what was written."""
    try:
        bins = _Bins.model_validate_json((place / MANIFEST).read_bytes())
        whole = (_sha256(place / TRAIN), _sha256(place / VALID)) == (bins.train, bins.valid)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        _log.warning("bins cannot be read", extra={"place": str(place), "error": str(error)})
        return None
    if not whole:
        _log.warning("bins are damaged", extra={"place": str(place)})
        return None
    import lightgbm as lgb  # heavy: on first use

    native = recipe.native(rows)
    train = lgb.Dataset(place / TRAIN, params=native).construct()
    valid = lgb.Dataset(place / VALID, params=native, reference=train).construct()
    with suppress(OSError):
        os.utime(place / MANIFEST)
    return Binned(train, valid, bins.scaling, recipe)


def _save(dataset: "lgb.Dataset", path: Path) -> None:
    import lightgbm as lgb  # heavy: on first use

    try:
        dataset.save_binary(path)
    except lgb.basic.LightGBMError as error:
        raise OSError(f"LightGBM could not write {path}: {error}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(entry: Path) -> int:
    with suppress(OSError):
        return sum(file.stat().st_size for file in entry.iterdir())
    return 0


def _used_at(entry: Path) -> float:
    return _changed_at(entry / MANIFEST)


def _changed_at(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
