"""Breaks: what differs between our books and the broker's, its name, and what became of it."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class BreakKind(StrEnum):
    """What a difference comes from."""

    MISSED_FILL = "missed_fill"
    EXTERNAL_ORDER = "external_order"
    MANUAL_TRADE = "manual_trade"
    CORPORATE_ACTION = "corporate_action"
    FEE = "fee"
    TRANSFER = "transfer"
    UNKNOWN = "unknown"


class Subject(StrEnum):
    """What differs."""

    ORDER = "order"
    POSITION = "position"
    CASH = "cash"


class Resolution(StrEnum):
    """What became of a difference."""

    ADOPTED = "adopted"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A difference between our books and the broker's: dollars of cash, or shares of `symbol`.

    `reference` is the order's id, or that of the fact that was adopted.
    """

    subject: Subject
    kind: BreakKind
    resolution: Resolution
    symbol: str | None = None
    reference: str | None = None
    ours: Decimal
    theirs: Decimal
    explanation: str

    @property
    def difference(self) -> Decimal:
        """What the broker has beyond what we have."""
        return self.theirs - self.ours

    @property
    def is_held(self) -> bool:
        """Whether it stops orders: of its symbol, or of everything."""
        return self.resolution is Resolution.HELD

    @property
    def blocks_everything(self) -> bool:
        """Whether no order may go: cash that does not tie says that something is missing."""
        return self.is_held and self.symbol is None

    @property
    def figures(self) -> str:
        """What we have against what the broker has, in words."""
        what = {
            Subject.CASH: "dollars of cash",
            Subject.POSITION: f"shares of {self.symbol}",
            Subject.ORDER: f"shares of {self.symbol} on order {self.reference}",
        }
        return f"{self.ours:f} {what[self.subject]} against {self.theirs:f}"

    @property
    def sentence(self) -> str:
        """Both figures, and what explains the difference."""
        return f"{self.figures}: {self.explanation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What a comparison found. `session` is the newest one settled, `cause` why it was made."""

    session: date
    cause: str
    at: datetime
    orders: int
    positions: int
    cash: Decimal
    broker_cash: Decimal
    breaks: tuple[Break, ...] = ()

    @property
    def held(self) -> tuple[Break, ...]:
        """Differences that nothing has explained away."""
        return tuple(each for each in self.breaks if each.is_held)

    @property
    def adopted(self) -> tuple[Break, ...]:
        """Differences that an entry has made good."""
        return tuple(each for each in self.breaks if not each.is_held)

    @property
    def blocks_everything(self) -> bool:
        """Whether no order may go."""
        return any(each.blocks_everything for each in self.breaks)

    @property
    def blocked(self) -> dict[str, str]:
        """Why, by symbol that may not be traded."""
        found = {each.symbol: each.sentence for each in reversed(self.held) if each.symbol}
        return dict(sorted(found.items()))
