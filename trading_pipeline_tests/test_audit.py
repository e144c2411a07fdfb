"""The audit of what is locked finds what is wrong, and never takes silence for an answer."""

import importlib.util
import json
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Installed:
    """A distribution of which only the words about its licence count."""

    def __init__(self, name: str, **words: str) -> None:
        self.metadata = Message()
        self.metadata["Name"] = name
        for key, value in words.items():
            self.metadata[key.replace("_", "-")] = value


def test_every_locked_package_is_pinned_by_its_hash(audit: ModuleType) -> None:
    for name in ("requirements.lock", "requirements-tools.lock"):
        assert audit.unhashed((ROOT / name).read_text()) == []
    text = f"a==1 \\\n    {HASH}\n    # via b\nb==2\nc>=1 \\\n    {HASH}\n# end\n"
    assert audit.unhashed(text) == ["b==2", "c>=1"]


def test_no_installed_package_is_of_a_licence_that_binds_others(audit: ModuleType) -> None:
    assert audit.unlicensed(distributions()) == []


@pytest.mark.parametrize(
    ("words", "is_fine"),
    [
        ({"License_Expression": "Apache-2.0 OR BSD-2-Clause"}, True),
        ({"License": "MIT\n\nPermission is hereby granted"}, True),
        ({"Classifier": "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"}, True),
        ({"License_Expression": "AGPL-3.0-only"}, False),
        ({"License_Expression": "MIT AND GPL-2.0-only"}, False),
        ({"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"}, False),
        ({"License": "Business Source License 1.1"}, False),
        ({"License": "ask us"}, False),
        ({}, False),
    ],
)
def test_a_licence_is_judged_by_what_a_package_says_of_it(
    audit: ModuleType, words: dict[str, str], is_fine: bool
) -> None:
    assert (audit.unlicensed([Installed("x", **words)]) == []) is is_fine


YANKED = (
    'Resolved 1 package in 9ms\nwarning: `attrs==21.1.0` is yanked (reason: "not importable")\n'
)
TO_BUILD = (
    "error: No solution found when resolving dependencies\n  cause: docopt has no usable wheels"
)
OTHER = "error: Hash mismatch for `a==1`"
OFFLINE = "error: Request failed after 3 retries\n  cause: dns error"


@pytest.mark.parametrize(
    ("said", "code", "exit_code", "word"),
    [
        (YANKED, 0, 1, "attrs==21.1.0` is yanked"),
        (TO_BUILD, 1, 1, "no usable wheels"),
        (OTHER, 1, 1, "Hash mismatch"),
        (OFFLINE, 2, 3, "index could not be asked about x.lock"),
        ("Resolved 1 package", 0, 0, ""),
    ],
)
def test_what_an_index_says_is_read(
    audit: ModuleType, said: str, code: int, exit_code: int, word: str
) -> None:
    report = audit.Report()

    audit.judge_index(report, said, code, "x.lock")

    assert report.exit_code == exit_code
    assert word in " ".join(report.wrong + report.silent)


WEAK = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}
FINE = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("said", "exit_code", "word"),
    [
        ([FINE], 0, ""),
        ([FINE, WEAK, UNKNOWN], 1, "a 1: CVE-1"),
        ([FINE, UNKNOWN], 3, "Known weaknesses of 1 of 2 packages are open"),
        (None, 3, "could not be asked"),
    ],
)
def test_silence_of_the_advisory_service_is_no_answer(
    audit: ModuleType, said: list[Any] | None, exit_code: int, word: str
) -> None:
    report = audit.Report()

    audit.judge_advisories(report, "" if said is None else json.dumps({"dependencies": said}))

    assert report.exit_code == exit_code
    assert word in " ".join(report.wrong + report.silent)
