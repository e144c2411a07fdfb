"""Ask several outside things at once; no answer within the time allowed is an answer too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Any

from trading_pipeline.errors import TradingPipelineError
from trading_pipeline.logs import redacted


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said: a value, or in one sentence why there is none."""

    value: Any = None
    fault: str | None = None


def ask(questions: Mapping[str, Callable[[], object]], *, seconds: float) -> dict[str, Answer]:
    """Put every question in its own thread and return the answers by name, in the given order.

    Nothing a question raises gets out: it becomes the answer's fault. Questions still open after
    `seconds`, counted from the start of all, are left to themselves.
    """
    answers: dict[str, Answer] = {}
    ends_at = monotonic() + seconds
    threads = [
        Thread(target=_answer, args=(name, question, answers), daemon=True)
        for name, question in questions.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends_at - monotonic()))
    late = Answer(fault=f"No answer within {seconds:g} seconds.")
    return {name: answers.get(name, late) for name in questions}


def _answer(name: str, question: Callable[[], object], answers: dict[str, Answer]) -> None:
    try:
        answers[name] = Answer(question())
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it is what was asked
        answers[name] = Answer(fault=sentence(error))


def sentence(error: Exception) -> str:
    """Our own errors say it themselves; of any other, its kind and its first line; no secret."""
    if isinstance(error, TradingPipelineError):
        return redacted(str(error))
    first = redacted(next(iter(str(error).strip().splitlines()), ""))
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
