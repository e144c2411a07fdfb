"""What shorts cost by the day, as entries.

Whoever lets a session happen to an account, the simulated broker or a backtest, books these.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.market.calendar import session_open


def borrow_fees(
    held: Mapping[str, Decimal],
    closes: Mapping[str, Decimal],
    *,
    costs: CostModel,
    since: date,
    session: date,
) -> Iterator[CashEntry]:
    """Yield what shorts of `held`, signed shares, cost from the close of `since` to `session`.

    They are valued at `closes`, in dollars; one without a close costs nothing.
    """
    for symbol, quantity in sorted(held.items()):
        if quantity >= 0 or symbol not in closes:
            continue
        fee = costs.borrow_fee(-quantity * closes[symbol], since=since, session=session)
        if fee:
            yield CashEntry(
                entry_id=f"sim-{EntryKind.BORROW}-{session}-{symbol}",
                kind=EntryKind.BORROW,
                session=session,
                amount=-fee,
                symbol=symbol,
                at=session_open(session),
            )
