"""What is posted to a book: fills, and facts of the account that no order of ours brought."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading_pipeline.core.execution.order import Fill
from trading_pipeline.errors import TradingError


class EntryKind(StrEnum):
    """What moved cash or shares without an order of ours."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    DIVIDEND = "dividend"
    SPLIT = "split"
    FEE = "fee"
    BORROW = "borrow"
    INTEREST = "interest"
    TRADE = "trade"
    TRANSFER = "transfer"
    SUCCESSION = "succession"


@dataclass(frozen=True, slots=True, kw_only=True)
class CashEntry:
    """One fact of the account that is not a fill of an order of ours.

    `amount` is the change of cash in dollars (negative for a withdrawal, a fee or a dividend owed
    on a short). `quantity` is the change of shares: of a split what the position has after it less
    what it had before, its `amount` being cash in lieu; of a trade made past this system, whose
    `amount` pays for the shares at `price` and for its fees; of a transfer, shares that come or go
    in kind and count as put in or taken out at `price`. `strategy` says whose it is, where it is
    one strategy's alone.

    Of a succession `quantity` takes the whole position away, or is 0 where the shares stay; with it
    come `new_quantity` shares of `new_symbol`, bearing `cost_share` (0 to 1) of what the position
    cost, and `amount` in cash.
    """

    entry_id: str
    kind: EntryKind
    session: date
    amount: Decimal
    symbol: str | None = None
    quantity: Decimal = Decimal(0)
    price: Decimal | None = None
    strategy: str | None = None
    new_symbol: str | None = None
    new_quantity: Decimal | None = None
    cost_share: Decimal | None = None
    at: datetime


Entry = Fill | CashEntry


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries, each id once, in the order in which they are posted.

    The order is: session; splits, dividends, all else, fills; time of the fill; id. Two different
    entries with one id raise TradingError.
    """
    return sorted(_unique(entries), key=_day_order)


def _key(entry: Entry) -> tuple[bool, str]:
    if isinstance(entry, Fill):
        return True, entry.fill_id
    return False, entry.entry_id


def _unique(entries: Iterable[Entry]) -> list[Entry]:
    seen: dict[tuple[bool, str], Entry] = {}
    for entry in entries:
        held = seen.setdefault(_key(entry), entry)
        if held is not entry and held != entry:
            raise TradingError(f"Two different entries bear the id {_key(entry)[1]}.")
    return list(seen.values())


_RANKS: Final = {EntryKind.SPLIT: 0, EntryKind.DIVIDEND: 1}


def _day_order(entry: Entry) -> tuple[date, int, str, str]:
    if isinstance(entry, Fill):
        return entry.session, 3, entry.filled_at.isoformat(), entry.fill_id
    return entry.session, _RANKS.get(entry.kind, 2), "", entry.entry_id
