"""What a check of a session's data found."""

from trading_pipeline.core.market.checks import CheckOutcome, listed


def _outcome(*, passed: bool, blocking: bool) -> CheckOutcome:
    return CheckOutcome(name="coverage", passed=passed, sentence="A sentence.", blocking=blocking)


def test_only_a_failed_blocking_check_stops_the_day() -> None:
    assert _outcome(passed=False, blocking=True).stops_the_day
    assert not _outcome(passed=False, blocking=False).stops_the_day
    assert not _outcome(passed=True, blocking=True).stops_the_day


def test_a_long_list_of_names_is_cut_and_counted() -> None:
    assert listed(["A", "B"]) == "A, B"
    assert listed([str(n) for n in range(8)]) == "0, 1, 2, 3, 4 and 3 more"
