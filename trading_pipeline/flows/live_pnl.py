"""Live P&L: the book at the best price there is of each holding, and which price that is.

A holding is worth the mid of its last quote while that is fresh, else its last close, else what it
cost. The book is folded once and again when an entry comes; a look is one read of all quotes and
one pass over the holdings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book
from trading_pipeline.core.accounting.pnl import Mark, Pnl, PositionPnl, mark
from trading_pipeline.core.market.calendar import FIRST_SESSION, last_closed_session
from trading_pipeline.core.market.quotes import Quote
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.day import closes
from trading_pipeline.flows.trade import CLOSE

REAL_TIME: Final = "real-time"
"""The source of a mark that is the mid of a fresh quote."""

VERSION: Final = 1
"""Of the JSON document."""

Quotes = Callable[[Sequence[str]], Mapping[str, Quote]]
"""The last sound quotes of symbols; raises TransientError when nobody answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePosition:
    """A holding at its best price; dollars are exact.

    `source` is `real-time`, `close of <session>` or `cost`. `age` is that of its last quote in
    seconds, also where it is too old to be the price; None without a quote. `percent` is the
    unrealized gain in percent of what the open shares cost.
    """

    position: PositionPnl
    age: float | None
    percent: Decimal | None

    @property
    def is_live(self) -> bool:
        """Whether the price is a fresh quote's."""
        return self.position.source == REAL_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePnl:
    """The account at `at` (aware UTC); `warning` says why there are no quotes at all, if so."""

    at: datetime
    pnl: Pnl
    positions: tuple[LivePosition, ...]
    warning: str | None = None

    @property
    def live(self) -> int:
        """How many holdings have a real-time price."""
        return sum(position.is_live for position in self.positions)

    @property
    def percent(self) -> Decimal | None:
        """The unrealized gain in percent of what all open shares cost; None without any."""
        invested = sum((abs(p.cost) for p in self.pnl.open_positions), Decimal(0))
        return _percent(self.pnl.unrealized, invested)

    def document(self) -> dict[str, Any]:
        """The JSON form: money as text, exactly."""
        totals = {name: str(getattr(self.pnl, name)) for name in _TOTALS}
        return {
            "version": VERSION,
            "timestamp": self.at.isoformat(),
            **totals,
            "percent": _text(self.percent),
            "positions_open": len(self.positions),
            "positions_real_time": self.live,
            "warning": self.warning,
            "positions": [_row(position) for position in self.positions],
        }


class LiveBook:
    """The book as it is now and its last closes; `look` as often as one likes."""

    def __init__(self, ledger: Ledger, lake: Lake, quotes: Quotes, *, stale_seconds: float) -> None:
        """Name where everything is; `refresh` reads the book."""
        self._ledger, self._lake, self._quotes = ledger, lake, quotes
        self._stale = stale_seconds
        self._book = Book()
        self._closes: Mapping[str, Mark] = {}
        self._held: list[str] = []

    def refresh(self, now: datetime) -> None:
        """Read the ledger, and the last closes of what is held."""
        self._book = book_of(self._ledger)
        positions = self._book.positions.values()
        self._held = sorted(each.symbol for each in positions if each.quantity)
        self._closes = last_closes(self._ledger, self._lake, self._held, now)

    def look(self, now: datetime) -> LivePnl:
        """Value the book at the best prices there are now."""
        warning = None
        try:
            quotes = self._quotes(self._held)
        except TransientError as error:
            quotes, warning = dict[str, Quote](), str(error)
        ages = {symbol: quote.age(now) for symbol, quote in quotes.items()}
        marks = {**self._closes, **self._fresh(quotes, ages)}
        pnl = mark(self._book, marks, now.date())
        positions = [
            LivePosition(
                position=each,
                age=ages.get(each.symbol),
                percent=_percent(each.unrealized, abs(each.cost)),
            )
            for each in pnl.open_positions
        ]
        return LivePnl(at=now, pnl=pnl, positions=tuple(positions), warning=warning)

    def _fresh(self, quotes: Mapping[str, Quote], ages: Mapping[str, float]) -> dict[str, Mark]:
        return {
            symbol: Mark(price=mid, source=REAL_TIME)
            for symbol, quote in quotes.items()
            if ages[symbol] <= self._stale and (mid := quote.mid) is not None
        }


def last_closes(
    ledger: Ledger, lake: Lake, symbols: Sequence[str], now: datetime
) -> dict[str, Mark]:
    """Return the newest close known of each symbol, named `close of <session>`.

    The lake's, else that of the last snapshot; a symbol without either is absent.
    """
    found: dict[str, Mark] = {}
    for pnl in ledger.snapshots(1):
        priced = {p.symbol: p.price for p in pnl.open_positions if p.price and p.symbol in symbols}
        found |= {name: _close(price, pnl.session) for name, price in priced.items()}
    held = lake.held("clean_bars", FIRST_SESSION, last_closed_session(now)) if symbols else None
    if held:
        newest = max(held)
        for name, close in closes(lake, symbols, newest).items():
            day = close.source.removeprefix(f"{CLOSE} of ")
            found[name] = Mark(
                price=close.price, source=f"close of {newest if day == CLOSE else day}"
            )
    return found


def _close(price: Decimal, session: date) -> Mark:
    return Mark(price=price, source=f"close of {session}")


def _percent(gain: Decimal, cost: Decimal) -> Decimal | None:
    return (gain / cost * 100).quantize(Decimal("0.01")) if cost else None


_TOTALS: Final = ("nav", "cash", "realized", "unrealized", "total", "fees", "gross", "net")


def _row(found: LivePosition) -> dict[str, Any]:
    each = found.position
    return {
        "symbol": each.symbol,
        "quantity": str(each.quantity),
        "average_cost": _text(each.average_cost),
        "price": _text(each.price),
        "source": each.source,
        "quote_age_seconds": None if found.age is None else round(found.age, 3),
        "value": str(each.value),
        "unrealized": str(each.unrealized),
        "percent": _text(found.percent),
        "realized": str(each.realized),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
