"""Whose quotes are wanted: what is held, what is ordered, and what a person asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.execution.order import OPEN

SOURCES: Final = ("positions", "orders", "manual")
"""Why a symbol is wanted, the most important first: what the account owns must have a price."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The symbols each source wants; one may be wanted by several, and goes when none does."""

    by_source: Mapping[str, frozenset[str]]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Each symbol once: positions, then orders, then manual ones, each sorted."""
        listed = [symbol for name in SOURCES for symbol in sorted(self.by_source.get(name, ()))]
        return tuple(dict.fromkeys(listed))

    @property
    def counts(self) -> dict[str, int]:
        """How many symbols each source wants."""
        return {name: len(self.by_source.get(name, ())) for name in SOURCES}

    def within(self, limit: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those that the plan's limit allows, and those left out."""
        return self.symbols[:limit], self.symbols[limit:]


def wanted(ledger: Ledger, manual: Iterable[str]) -> Wanted:
    """Read what is held and on order now, and add the manual wishes."""
    positions = replay(Book(), ledger.entries()).positions.values()
    return Wanted(
        {
            "positions": frozenset(held.symbol for held in positions if held.quantity),
            "orders": frozenset(order.symbol for order in ledger.orders(states=OPEN)),
            "manual": frozenset(manual),
        }
    )
