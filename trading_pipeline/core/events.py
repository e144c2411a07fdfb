"""Facts that others may want to act on: what happened, past tense, once.

A fact is a notification and never the record: what it tells of is in the lake, in the ledger or in
the model store. Losing one loses nothing but time.
"""

from datetime import date
from decimal import Decimal
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Fact(BaseModel):
    """Something that happened at `at`; `name` is its kind and its channel."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: ClassVar[str] = ""
    at: AwareDatetime


class SignalsGenerated(Fact):
    """A strategy has scored the symbols of a session, in the run `run_id`.

    `orders_follow` says that the same run goes on to the orders, so that nobody else has to.
    """

    name: ClassVar[str] = "signals.generated"
    strategy: str
    session: date
    symbols: tuple[str, ...] = Field(min_length=1)
    run_id: str
    orders_follow: bool


class OrdersExecuted(Fact):
    """The orders of a session were decided and sent, as far as they could be."""

    name: ClassVar[str] = "orders.executed"
    run_id: str
    strategy: str
    session: date
    orders: int = Field(ge=0)
    accepted: int = Field(ge=0)
    rejected: int = Field(ge=0)


class PositionsUpdated(Fact):
    """A fill changed a position: the signed shares it added, at which price."""

    name: ClassVar[str] = "positions.updated"
    symbol: str
    side: Literal["buy", "sell"]
    quantity_change: Decimal
    price: Decimal
    strategy: str
    fill_id: str


class RiskHalted(Fact):
    """Trading was stopped, or made to reduce only."""

    name: ClassVar[str] = "risk.halted"
    state: str
    who: str
    reason: str


class ModelPromoted(Fact):
    """Another model version trades from now on."""

    name: ClassVar[str] = "model.promoted"
    strategy: str
    model_version: str
    previous: str | None
    who: str


FACTS: Final[dict[str, type[Fact]]] = {
    kind.name: kind
    for kind in (SignalsGenerated, OrdersExecuted, PositionsUpdated, RiskHalted, ModelPromoted)
}
"""Every kind of fact by its name."""


def written(fact: Fact) -> str:
    """Return the fact as JSON."""
    return fact.model_dump_json()


def read(name: str, text: str | bytes) -> Fact | None:
    """Return the fact of that name; None for a name or a text that is not one of ours."""
    kind = FACTS.get(name)
    if kind is None:
        return None
    try:
        return kind.model_validate_json(text)
    except ValueError:
        return None
