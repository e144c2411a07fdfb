"""Facts: they say when and what, survive the wire, and are never half read."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pydantic import ValidationError

from trading_pipeline.core.events import (
    FACTS,
    PositionsUpdated,
    RiskHalted,
    SignalsGenerated,
    read,
    written,
)

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
VALUES = {
    "at": NOW,
    "strategy": "s",
    "session": date(2026, 11, 20),
    "symbols": ("A",),
    "run_id": "r",
    "orders_follow": True,
}


def test_every_fact_is_named_in_the_past_tense_and_found_by_its_name() -> None:
    assert list(FACTS) == [
        "signals.generated",
        "orders.executed",
        "positions.updated",
        "risk.halted",
        "model.promoted",
    ]


def test_a_fact_is_read_as_it_was_written() -> None:
    fact = PositionsUpdated(
        at=NOW,
        symbol="A",
        side="buy",
        quantity_change=Decimal("0.100000001"),
        price=Decimal("190.0100"),
        strategy="s",
        fill_id="f",
    )

    assert read(fact.name, written(fact)) == fact


@pytest.mark.parametrize(
    "change", [{"at": NOW.replace(tzinfo=None)}, {"symbols": ()}, {"session": "soon"}]
)
def test_a_fact_without_a_zone_or_a_symbol_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SignalsGenerated(**VALUES | change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"), [("moon.landed", "{}"), ("risk.halted", "{"), ("risk.halted", "{}")]
)
def test_what_is_no_fact_of_ours_is_none(name: str, text: str) -> None:
    assert read(name, text) is None


def test_a_field_of_a_later_version_is_passed_over() -> None:
    fact = RiskHalted(at=NOW, state="halted", who="ada", reason="odd")

    assert read("risk.halted", written(fact).replace("{", '{"new": 1, ', 1)) == fact
