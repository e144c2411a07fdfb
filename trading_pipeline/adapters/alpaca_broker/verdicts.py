"""What an answer of Alpaca means: whether a request was done, refused, or nobody can tell.

Alpaca calls the HTTP status and its numeric code the contract; 40010001, 40310000 and 42210000
stand for many things, so the words decide between those.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

from trading_pipeline.errors import RejectedError


class Verdict(StrEnum):
    """What became of a request that was not answered by a 2xx."""

    DUPLICATE = "the order exists"
    TOO_MANY = "not done: too many requests"
    NOT_FOUND = "there is no such thing"
    UNAUTHORIZED = "the key is not accepted"
    REFUSED = "refused for good"
    AMBIGUOUS = "nobody can tell"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with what the body says, as far as it can be read."""

    status: int
    code: int | None
    message: str
    related: str = ""

    @property
    def sentence(self) -> str:
        """The answer for people and records: status, code, words and related ids."""
        number = f"{self.status}" if self.code is None else f"{self.status}, {self.code}"
        return f"{self.message} ({number}){self.related}"


class RefusalError(RejectedError):
    """Alpaca answered no; `verdict` says how, `answer` with which words."""

    def __init__(self, verdict: Verdict, answer: Answer) -> None:
        super().__init__(f"Alpaca refused: {answer.sentence}.")
        self.verdict = verdict
        self.answer = answer


_BY_STATUS: Final = {
    401: Verdict.UNAUTHORIZED,
    404: Verdict.NOT_FOUND,
    408: Verdict.AMBIGUOUS,
    429: Verdict.TOO_MANY,
}
_RELATED: Final = ("existing_order_id", "reject_reason", "related_orders")


def read_answer(status: int, text: str) -> Answer:
    """Return what a body says; one that is no JSON object is its own message."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return Answer(status, None, text.strip()[:200] or "no words")
    fields = cast("Mapping[str, Any]", body)
    code = fields.get("code")
    related = "".join(f" {name}: {fields[name]}" for name in _RELATED if fields.get(name))
    message = str(fields.get("message", "no words"))
    return Answer(status, code if isinstance(code, int) else None, message, related)


def judge(answer: Answer) -> Verdict:
    """Return the verdict: 4xx were not done, but for 408 and a duplicate; 5xx cannot be told."""
    words = answer.message.lower()
    if answer.status in {409, 422} and "client_order_id" in words and "unique" in words:
        return Verdict.DUPLICATE
    if answer.status in _BY_STATUS:
        return _BY_STATUS[answer.status]
    return Verdict.REFUSED if 400 <= answer.status < 500 else Verdict.AMBIGUOUS
