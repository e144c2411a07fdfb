"""Asking several things at once."""

from threading import Event
from time import monotonic

import pytest

from trading_pipeline.errors import TransientError
from trading_pipeline.flows.probe import Answer, ask


def fail(error: Exception) -> None:
    raise error


def test_answers_come_by_name_in_the_order_asked() -> None:
    answers = ask({"b": lambda: 1, "a": lambda: None}, seconds=5)

    assert list(answers.items()) == [("b", Answer(1)), ("a", Answer(None))]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (TransientError("Redis does not answer."), "Redis does not answer."),
        (ValueError("bad\nand more"), "ValueError: bad"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_what_a_question_raises_is_its_fault_and_nobody_elses(error, fault) -> None:
    answers = ask({"broken": lambda: fail(error), "fine": lambda: 2}, seconds=5)

    assert answers["broken"] == Answer(fault=fault)
    assert answers["fine"] == Answer(2)


def test_silence_is_a_fault_when_the_time_is_over() -> None:
    never = Event()
    before = monotonic()

    answers = ask({"silent": never.wait, "other": never.wait, "fine": lambda: 2}, seconds=0.2)

    assert monotonic() - before < 20
    assert answers["silent"].fault == "No answer within 0.2 seconds."
    assert answers["fine"] == Answer(2)
    never.set()
