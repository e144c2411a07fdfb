"""What a check of a session's data found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """A named verdict on a session's data.

    `sentence` says what was found, of which symbols, and what was expected; `numbers` holds the
    figures behind it. A check that is `blocking` and did not pass ends the day before any order.
    """

    name: str
    passed: bool
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    blocking: bool = True

    @property
    def stops_the_day(self) -> bool:
        """Whether nothing may be traded on this data."""
        return self.blocking and not self.passed


def listed(names: Sequence[str]) -> str:
    """The first five names and how many more there are, for a sentence."""
    shown = ", ".join(names[:_NAMED_AT_MOST])
    more = len(names) - _NAMED_AT_MOST
    return f"{shown} and {more} more" if more > 0 else shown
