"""The house keeps its own rules: layers, sizes, imports, mirrored tests, nothing of one machine."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "trading_pipeline"
TESTS = ROOT / "trading_pipeline_tests"
MIGRATIONS = Path("adapters/ledger/migrations")

HEAVY = (
    *("alpaca", "bokeh", "exchange_calendars", "lightgbm"),
    *("matplotlib", "mlflow", "pandas", "pandera"),
)
"""Modules that cost too much to import before they are needed."""

OF_THE_WHOLE = {
    *("test_architecture.py", "test_deployment.py", "test_docs.py", "test_site.py"),
    *("test_workflows.py", "test_audit.py"),
}
"""Tests of the project rather than of a module; those in `defs` run whole days."""

# Split, so that these lines do not find themselves.
REGISTRIES = "|".join(["py" + "pi", "pythonhosted", "npm" + "js", "deb" + "ian", "gh" + "cr"])
FORBIDDEN = {
    "the host of a package registry": re.compile(rf"\b(?:{REGISTRIES})\.(?:org|com|io)\b"),
    "a path of one machine": re.compile(r"(?<![\w.~$}/-])/(?:ro{2}t|home/\w+|wo[r]k|Users/\w+)/\w"),
}


def finish(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )


def modules(folder: Path) -> Iterator[Path]:
    return (path.relative_to(folder) for path in folder.rglob("*.py") if path.name[0] != "_")


def test_every_import_keeps_to_the_layers() -> None:
    judged = finish(str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache")

    assert judged.returncode == 0, judged.stdout[-3000:]


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    program = "import sys, trading_pipeline.definitions; print(*sys.modules)"
    loaded = finish(sys.executable, "-c", program)

    assert loaded.returncode == 0, loaded.stderr[-3000:]
    assert set(HEAVY) & set(loaded.stdout.split()) == set()


@pytest.mark.parametrize(("folder", "limit"), [(PACKAGE, 300), (TESTS, 400)])
def test_no_file_is_too_long_to_hold_one_idea(folder: Path, limit: int) -> None:
    """A file of tests may be longer: it is a list of small sentences."""
    lengths = {path: len(path.read_text().splitlines()) for path in folder.rglob("*.py")}

    assert {str(path): length for path, length in lengths.items() if length > limit} == {}


def files_of_tests() -> list[Path]:
    return [path for path in modules(TESTS) if path.stem.startswith("test_")]


def subjects(test: Path) -> list[Path]:
    """What a test may be about by its name: `ledger_guards` is about `ledger`."""
    words = test.stem.removeprefix("test_").split("_")
    return [test.with_name("_".join(words[: count + 1])) for count in range(len(words))]


def dotted(folder: Path) -> str:
    return ".".join(["trading_pipeline", *folder.parts])


def test_every_folder_of_the_package_has_tests_beside_it() -> None:
    """In a folder of the same name, or in the one above, as a package of one adapter has them."""
    folders = {path.parent for path in modules(PACKAGE)} - {MIGRATIONS, MIGRATIONS / "versions"}
    untested = [
        str(folder)
        for folder in folders
        if not any(
            test.parent in {folder, folder.parent} and dotted(folder) in (TESTS / test).read_text()
            for test in files_of_tests()
        )
    ]

    assert untested == []


def test_every_test_file_tests_what_it_lies_beside() -> None:
    """By its name, as `market/test_quality.py` does `market/quality.py`, or by what it imports."""
    known = {path.with_suffix("") for path in modules(PACKAGE)}
    homeless = [
        str(test)
        for test in files_of_tests()
        if str(test) not in OF_THE_WHOLE
        and test.parent != Path("defs")
        and not known & set(subjects(test))
        and dotted(test.parent) not in (TESTS / test).read_text()
    ]

    assert homeless == []


def committed() -> list[Path]:
    """Every file that is or would be committed."""
    listed = finish("git", "ls-files", "--cached", "--others", "--exclude-standard")
    if listed.returncode:
        pytest.skip("this is no git checkout, so it cannot be told what is committed")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_committed_file_names(what: str) -> None:
    found = []
    for path in committed():
        text = path.read_bytes().decode(errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in FORBIDDEN[what].finditer(text)]

    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("the host of a package registry", "see files.pythonhosted" + ".org/packages"),
        ("a path of one machine", "open('/" + "root/data')"),
        ("a path of one machine", "cd /" + "home/someone/checkout"),
    ],
)
def test_what_is_forbidden_would_be_found(what: str, text: str) -> None:
    assert FORBIDDEN[what].search(text)
