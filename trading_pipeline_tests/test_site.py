"""The documentation as a site: every page is in it, links lead somewhere, nothing is fetched."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FETCHED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\s>]*")
LINK = re.compile(r"\b(?:href|src)=\"?([^\s\">]+)")
ANCHOR = re.compile(r"\bid=\"?([^\s\">]+)")


def build(to: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "mkdocs", "build", "--site-dir", to],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """The text of each page of the site, by where it lies."""
    folder = tmp_path_factory.mktemp("site").resolve()
    built = build(folder)
    assert built.returncode == 0, built.stderr
    return {path: path.read_text() for path in folder.rglob("*.html")}


def test_every_page_is_in_the_site_and_in_its_navigation(site: dict[Path, str]) -> None:
    folder = next(path.parent for path in site if path.name == "404.html")
    (index,) = (text for path, text in site.items() if path == folder / "index.html")
    wanted = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    pages = [str(path.with_suffix(".html")).replace("README", "index") for path in wanted]
    listed = set(LINK.findall(index.partition("</nav>")[0] + index.partition("<nav")[2]))

    assert [page for page in pages if folder / page not in site or page not in listed] == []


def test_every_link_of_the_site_leads_somewhere(site: dict[Path, str]) -> None:
    anchors = {path: set(ANCHOR.findall(text)) for path, text in site.items()}
    dead = []
    for page, text in site.items():
        for link in LINK.findall(text):
            path, _, mark = link.partition("#")
            if ":" in path or path.startswith("/") or page.name == "404.html":
                continue
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            if not target.exists() or (mark and mark not in anchors.get(target, {mark})):
                dead.append(f"{page.name}: {link}")

    assert dead == []


def test_a_page_of_the_site_fetches_nothing_from_elsewhere(site: dict[Path, str]) -> None:
    assert [hit for text in site.values() for hit in FETCHED.findall(text)] == []
    assert FETCHED.search('<script src="https://cdn.example/x.js">')
