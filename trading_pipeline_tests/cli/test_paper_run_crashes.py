"""A day killed at any step and run again ends as one clean run does."""

from pathlib import Path

import pytest

from trading_pipeline.core.market.calendar import next_session
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.whole_day import FIRST, books, killed_run, report_of

SESSION = next_session(FIRST)
STEPS = (
    "raw_bars",
    "corporate_actions",
    "quality_gate",
    "features",
    "model",
    "predictions",
    "signals",
    "target_weights",
    "reconciliation",
    "orders",
    "fills",
    "accounts",
    "report",
)


@pytest.fixture(scope="session")
def clean_books(
    first_day: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[object, ...]]]:
    """The books after one clean run of the session."""
    home = whole_day.copy_state(first_day, tmp_path_factory.mktemp("clean") / "home")
    report_of(home, SESSION)
    return books(home)


@pytest.mark.parametrize("step", STEPS)
def test_a_day_killed_after_a_step_and_run_again_equals_one_clean_run(
    home: Path, clean_books: dict[str, list[tuple[object, ...]]], step: str
) -> None:
    assert killed_run(home, SESSION, step) == -9
    again = report_of(home, SESSION)
    assert again["status"] == "success"
    assert books(home) == clean_books
