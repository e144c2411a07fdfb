"""A day killed at any step and run again ends as one clean run does."""

from pathlib import Path

import pytest

from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.definitions import build
from trading_pipeline.settings import Settings
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.whole_day import FIRST, books, killed_run, report_of

SESSION = next_session(FIRST)
DATA = (
    "raw_bars",
    "corporate_actions",
    "quality_gate",
    "universe",
    "features",
    "model",
    "predictions",
    "shadow_predictions",
    "signals",
    "target_weights",
)
"""Steps that write what can be computed again."""

BOOKS = ("reconciliation", "orders", "fills", "accounts", "risk", "report")
"""Steps that write what cannot, and what comes after."""


@pytest.fixture(scope="session")
def clean_books(
    first_day: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[object, ...]]]:
    """The books after one clean run of the session."""
    home = whole_day.copy_state(first_day, tmp_path_factory.mktemp("clean") / "home")
    report_of(home, SESSION)
    return books(home)


def test_these_are_all_the_steps_of_a_day(first_day: Path) -> None:
    day = build(Settings.load(home=first_day)).resolve_job_def("paper_run")
    assert {node.name for node in day.nodes} == {*DATA, *BOOKS}


@pytest.mark.soak
@pytest.mark.parametrize("step", BOOKS)
def test_a_day_killed_after_a_step_and_run_again_equals_one_clean_run(
    home: Path, clean_books: dict[str, list[tuple[object, ...]]], step: str
) -> None:
    assert killed_run(home, SESSION, step) == -9
    again = report_of(home, SESSION)
    assert again["status"] == "success"
    assert books(home) == clean_books


@pytest.mark.parametrize("steps", [DATA, BOOKS])
def test_a_day_killed_after_each_of_its_steps_in_turn_equals_one_clean_run(
    home: Path, clean_books: dict[str, list[tuple[object, ...]]], steps: tuple[str, ...]
) -> None:
    for step in steps:
        assert killed_run(home, SESSION, step) == -9, step
    again = report_of(home, SESSION)
    assert again["status"] == "success"
    assert books(home) == clean_books
