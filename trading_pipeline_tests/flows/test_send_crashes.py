"""Exactly one order and one acknowledged row, whatever the wire does and whenever we are killed."""

from itertools import product
from pathlib import Path

import pytest

from trading_pipeline_tests.flows.order_matrix import CRASHES, FAULTS, MUTANTS, outcome

SOME = [
    (fault, list(CRASHES)[place % len(CRASHES)]) for place, fault in enumerate(reversed(FAULTS))
]
"""Every fault and every point at least twice."""

TELLING = {
    "no write-ahead": [("none", "after the wire"), ("dropped after", "inside the answer")],
    "duplicate as rejection": [("dropped after, seen late", "no crash")],
    "id from the clock": [("none", "after the wire"), ("dropped after", "inside the answer")],
}
"""Cases that tell each mutant from the real thing."""


@pytest.fixture
def sqlite_template(request: pytest.FixtureRequest) -> Path:
    """An empty ledger, to be copied."""
    template: Path = request.getfixturevalue("_sqlite_ledger")
    return template


@pytest.mark.parametrize(("fault", "crash"), SOME)
def test_there_is_one_order_and_one_acknowledged_row(
    tmp_path: Path, sqlite_template: Path, fault: str, crash: str
) -> None:
    assert outcome(tmp_path, sqlite_template, fault, crash) == ""


@pytest.mark.parametrize("mutant", MUTANTS)
def test_each_mutant_fails_where_the_real_thing_does_not(
    tmp_path: Path, sqlite_template: Path, mutant: str
) -> None:
    for fault, crash in TELLING[mutant]:
        assert outcome(tmp_path, sqlite_template, fault, crash) == ""
        assert outcome(tmp_path, sqlite_template, fault, crash, mutant) != ""


@pytest.mark.soak
@pytest.mark.parametrize("variant", ["sound", *MUTANTS])
def test_the_whole_matrix(tmp_path: Path, sqlite_template: Path, variant: str) -> None:
    cases = list(product(FAULTS, CRASHES))
    wrong = {
        case: found
        for case in cases
        if (found := outcome(tmp_path, sqlite_template, *case, variant))
    }
    print(f"{variant}: {len(wrong)} of {len(cases)} cases fail")
    assert not wrong if variant == "sound" else wrong
