"""Pages of a long fetch on disk, so that one which failed goes on where it stopped."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

Page = dict[str, Any]
Ask = Callable[[Mapping[str, Any]], Page]


class Spool:
    """Slices of a fetch, each a folder of its pages, kept until the whole fetch is taken.

    Pages fetched on another day are not gone on with: what they say may have been restated.
    """

    def __init__(self, folder: Path, day: date) -> None:
        """Name the folder of all fetches, and the day of this one; older days are removed."""
        self._folder, self._day = folder, str(day)

    def pages(self, query: Mapping[str, Any], ask: Ask) -> Iterator[Page]:
        """Yield every page of a query: those held, then the rest as they are asked for and kept."""
        folder = self._folder / self._day / _name(query)
        folder.mkdir(parents=True, exist_ok=True)
        kept, token = _kept(folder), None
        for path in kept:
            page = json.loads(path.read_text())
            yield page
            if (token := page.get("next_page_token")) is None:
                return
        if kept:
            _log.info("fetch goes on", extra={"page": len(kept) + 1})
        for number in count(len(kept) + 1):
            page = ask({**query, **({"page_token": token} if token else {})})
            _keep(folder / f"{number:06d}.json", page)
            yield page
            if (token := page.get("next_page_token")) is None:
                return

    def taken(self) -> None:
        """Forget the pages: whoever asked has them all."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _kept(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".json")


def _keep(path: Path, page: Page) -> None:
    """Write a page whole or not at all."""
    beside = path.with_suffix(".tmp")
    with beside.open("w") as file:
        json.dump(page, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _name(query: Mapping[str, Any]) -> str:
    return sha256(json.dumps(query, sort_keys=True, default=str).encode()).hexdigest()[:24]
