"""What a training needs, counted from its rules."""

import pytest
from pydantic import ValidationError

from trading_pipeline.core.features.labels import LABEL_HORIZON
from trading_pipeline.core.models.rules import TrainingRules


def test_the_sessions_needed_are_the_windows_the_gaps_and_the_labels_still_open() -> None:
    rules = TrainingRules(train_sessions=100, valid_sessions=30, test_sessions=10, folds=4)

    assert rules.labeled_sessions == 100 + 30 + 4 * 10 + 2 * LABEL_HORIZON
    assert rules.sessions == rules.labeled_sessions + LABEL_HORIZON


def test_the_default_fits_five_years_of_history_with_room_for_the_look_back() -> None:
    assert TrainingRules().sessions <= 1_260 - 130


def test_the_embargo_is_never_shorter_than_what_a_label_reaches() -> None:
    with pytest.raises(ValidationError):
        TrainingRules(embargo_sessions=LABEL_HORIZON - 1)


def test_a_misspelt_rule_is_refused() -> None:
    with pytest.raises(ValidationError):
        TrainingRules.model_validate({"train_session": 100})
