"""A project folder whose first day is done, made once a session and copied for each test."""

from pathlib import Path

import pytest

from trading_pipeline_tests.defs import whole_day


@pytest.fixture(scope="session")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the day of `whole_day.FIRST` has been run; not to be changed."""
    home = whole_day.make_checkout(tmp_path_factory.mktemp("first") / "home")
    whole_day.report_of(home, whole_day.FIRST)
    return home


@pytest.fixture
def home(first_day: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to run further days in."""
    return whole_day.copy_state(first_day, tmp_path / "home")
