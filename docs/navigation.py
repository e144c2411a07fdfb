"""The navigation of the site: what `index.md` links to, under its headings and in its order.

MkDocs calls this as a hook. So a new page needs one line, in the index, where readers of the plain
files look for it too; a page without one is a warning, and every warning fails the build.
"""

import re
from pathlib import Path
from typing import Any

_SECTION = re.compile(r"^## (?P<title>.+)\n(?P<body>(?:(?!^## ).*\n?)*)", re.MULTILINE)
_PAGE = re.compile(r"\]\((?P<path>[\w./-]+\.md)\)")


def navigation(index: str) -> list[str | dict[str, list[str]]]:
    """Return MkDocs' `nav`; titles are the pages' own headings."""
    found: list[str | dict[str, list[str]]] = ["index.md"]
    for section in _SECTION.finditer(index):
        pages = dict.fromkeys(_PAGE.findall(section["body"]))
        found.append({section["title"]: list(pages)})
    return found


def on_config(config: Any) -> Any:
    """Give MkDocs its navigation before it reads the pages."""
    config.nav = navigation((Path(config.docs_dir) / "index.md").read_text())
    return config
