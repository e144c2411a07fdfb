"""Where a backtest's result came from: what trading cost, by kind, and what each symbol earned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

import numpy as np
import polars as pl

from trading_pipeline.core.accounting.book import CashEntry, EntryKind
from trading_pipeline.core.backtest.costs import Market
from trading_pipeline.core.backtest.engine import Backtest
from trading_pipeline.core.execution.markets import prices
from trading_pipeline.core.execution.order import Fill
from trading_pipeline.core.market.calendar import previous_session

PARTICIPATION: Final = 0.05
"""The share of a session's value traded that an order should stay below."""

_NONE: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What trading and holding cost, in dollars; above 0 is a cost.

    `delay` is what prices moved from the close decided at to the open filled at, against the order;
    `slippage` what fills were worse than the open, impact and spread included.
    """

    commission: Decimal
    slippage: Decimal
    delay: Decimal
    borrow: Decimal
    interest: Decimal
    dividends: Decimal

    @property
    def total(self) -> Decimal:
        """Commission, slippage, borrow and interest: what a frictionless fill at the open saves."""
        return self.commission + self.slippage + self.borrow + self.interest


def paid(backtest: Backtest, bars: pl.DataFrame) -> Paid:
    """Return the costs of a backtest over raw `bars`; fills without an open there cost nothing."""
    opens = prices(bars, "open")
    reference = {order.client_order_id: order.reference_price for order in backtest.orders}
    slippage = delay = _NONE
    for fill in backtest.fills:
        opening = opens.get(fill.session, {}).get(fill.symbol)
        decided = reference.get(fill.client_order_id)
        if opening is not None and decided is not None:
            signed = fill.quantity * fill.side.sign
            slippage += signed * (fill.price - opening)
            delay += signed * (opening - decided)
    entries = [entry for entry in backtest.entries if isinstance(entry, CashEntry)]
    return Paid(
        commission=sum((fill.commission for fill in backtest.fills), _NONE),
        slippage=slippage,
        delay=delay,
        borrow=-_sum(entries, EntryKind.BORROW),
        interest=-_sum(entries, EntryKind.INTEREST),
        dividends=-_sum(entries, EntryKind.DIVIDEND),
    )


def by_symbol(backtest: Backtest) -> Mapping[str, Decimal]:
    """Return each symbol's gain after its fees, in dollars, the largest first."""
    rows = backtest.pnls[-1].positions
    gains = {row.symbol: row.total - row.fees for row in rows}
    return dict(sorted(gains.items(), key=lambda item: (-item[1], item[0])))


def capacity(backtest: Backtest, market: Market) -> float | None:
    """Return the capital at which one order in twenty exceeds PARTICIPATION of the value traded.

    Orders are taken to grow with capital; the value traded is the mean of 20 sessions before. None
    without a fill whose market is known.
    """
    shares = [share for fill in backtest.fills if (share := _participation(fill, market))]
    if not shares:
        return None
    capital = float(backtest.pnls[0].cash_in)
    return capital * PARTICIPATION / float(np.quantile(shares, 0.95))


def _participation(fill: Fill, market: Market) -> float | None:
    known = market.get(previous_session(fill.session), {}).get(fill.symbol)
    return float(fill.quantity * fill.price) / known.dollars if known else None


def _sum(entries: Sequence[CashEntry], kind: EntryKind) -> Decimal:
    return sum((each.amount for each in entries if each.kind is kind), _NONE)


def monthly(sessions: Sequence[date], returns: Sequence[float]) -> dict[tuple[int, int], float]:
    """Return the compound return by (year, month); `returns[i]` is earned in `sessions[i]`."""
    found: dict[tuple[int, int], float] = {}
    for session, value in zip(sessions, returns, strict=True):
        key = (session.year, session.month)
        found[key] = (1 + found.get(key, 0.0)) * (1 + value) - 1
    return found
