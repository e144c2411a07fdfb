"""The states of an order and the table of legal moves between them.

An order is intent; the broker's answers are facts that move it. The state of an order in the ledger
is that of its last event, so a move that the table does not have is a broken record and raises.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class OrderState(StrEnum):
    """Where an order stands: SUBMITTING is written before the wire, UNKNOWN is an answer lost."""

    PLANNED = "planned"
    BLOCKED = "blocked"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Cause(StrEnum):
    """What may make a move."""

    ACT = "our own act"
    REPORT = "the broker's report"
    LOOK_UP = "a look-up at the broker"
    FILL = "a fill"


_S = OrderState

MOVES: Final[Mapping[tuple[OrderState, OrderState], Cause]] = MappingProxyType(
    {
        (_S.PLANNED, _S.BLOCKED): Cause.ACT,
        (_S.PLANNED, _S.SUBMITTING): Cause.ACT,
        (_S.PLANNED, _S.CANCELED): Cause.ACT,
        (_S.PLANNED, _S.EXPIRED): Cause.ACT,
        (_S.SUBMITTING, _S.UNKNOWN): Cause.ACT,
        (_S.SUBMITTING, _S.ACCEPTED): Cause.REPORT,
        (_S.SUBMITTING, _S.REJECTED): Cause.REPORT,
        (_S.SUBMITTING, _S.CANCELED): Cause.REPORT,
        (_S.SUBMITTING, _S.EXPIRED): Cause.REPORT,
        (_S.SUBMITTING, _S.PARTIALLY_FILLED): Cause.FILL,
        (_S.SUBMITTING, _S.FILLED): Cause.FILL,
        (_S.UNKNOWN, _S.SUBMITTING): Cause.LOOK_UP,
        (_S.UNKNOWN, _S.ACCEPTED): Cause.LOOK_UP,
        (_S.UNKNOWN, _S.REJECTED): Cause.LOOK_UP,
        (_S.UNKNOWN, _S.CANCELED): Cause.LOOK_UP,
        (_S.UNKNOWN, _S.EXPIRED): Cause.LOOK_UP,
        (_S.ACCEPTED, _S.REJECTED): Cause.REPORT,
        (_S.ACCEPTED, _S.CANCELED): Cause.REPORT,
        (_S.ACCEPTED, _S.EXPIRED): Cause.REPORT,
        (_S.ACCEPTED, _S.PARTIALLY_FILLED): Cause.FILL,
        (_S.ACCEPTED, _S.FILLED): Cause.FILL,
        (_S.PARTIALLY_FILLED, _S.CANCELED): Cause.REPORT,
        (_S.PARTIALLY_FILLED, _S.EXPIRED): Cause.REPORT,
        (_S.PARTIALLY_FILLED, _S.PARTIALLY_FILLED): Cause.FILL,
        (_S.PARTIALLY_FILLED, _S.FILLED): Cause.FILL,
        # a fill can cross our cancel, or be told after the close: the shares changed hands
        (_S.CANCELED, _S.CANCELED): Cause.FILL,
        (_S.CANCELED, _S.FILLED): Cause.FILL,
        (_S.EXPIRED, _S.EXPIRED): Cause.FILL,
        (_S.EXPIRED, _S.FILLED): Cause.FILL,
    }
)
"""Every legal move (state, to) and what may make it; anything else raises."""

TERMINAL: Final = frozenset({_S.BLOCKED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED})
"""States that only a late fill may still change."""

OPEN: Final = frozenset(OrderState) - TERMINAL
"""States of orders that may still be sent or filled."""
