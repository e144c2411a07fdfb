"""What a backtest may take into account beyond the costs of the simulated broker.

All are off by default, so that a backtest trades at the same prices as the simulated broker.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from math import sqrt
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.accounting.book import Book, CashEntry, EntryKind
from trading_pipeline.core.accounting.borrow import borrow_fees
from trading_pipeline.core.execution.costs import BASIS_POINTS, CENT, MONEY_YEAR, CostModel
from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.market.calendar import session_open
from trading_pipeline.core.market.corporate_actions import Convention, adjust

LIQUIDITY_SESSIONS: Final = 20
"""Sessions over which value traded and volatility are measured."""


class Frictions(BaseModel):
    """Costs that depend on the market, and what cash earns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spread_bps: Decimal = Field(
        default=Decimal(0), ge=0, le=1_000, description="bid to ask, basis points; half is paid"
    )
    impact: float = Field(
        default=0.0, ge=0, le=10, description="impact = this · volatility · √(order / value traded)"
    )
    cash_rate: Decimal = Field(
        default=Decimal(0), ge=0, le=1, description="a year's interest on cash above 0"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidity:
    """A symbol's market over the last sessions: dollars traded and volatility, a session each."""

    dollars: float
    volatility: float


Market = Mapping[date, Mapping[str, Liquidity]]


def liquidity(bars: pl.DataFrame, actions: pl.DataFrame, *, convention: Convention) -> Market:
    """Return the liquidity of every symbol as known at the close of each session."""
    found: dict[date, dict[str, Liquidity]] = {}
    table = liquidity_table(bars, actions, convention=convention)
    for session, symbol, dollars, volatility in table.iter_rows():
        known = Liquidity(dollars=dollars, volatility=volatility)
        found.setdefault(session, {})[symbol] = known
    return found


def liquidity_table(
    bars: pl.DataFrame, actions: pl.DataFrame, *, convention: Convention
) -> pl.DataFrame:
    """Return session, symbol, dollars, volatility: the same as rows.

    `bars` are raw. Means and deviations are over the last 20 bars; before that there is none.
    """
    moved = (pl.col("close") / pl.col("close").shift() - 1).over("symbol")
    window = LIQUIDITY_SESSIONS
    traded = adjust(bars, actions, convention=convention).sort("symbol", "session")
    # what traded is counted in the dollars and shares of its own day
    value = pl.col("close") / pl.col("price_factor") * pl.col("volume") / pl.col("volume_factor")
    dollars, volatility = pl.col("dollars"), pl.col("volatility")
    return (
        traded.with_columns(moved=moved, value=value)
        .select(
            "session",
            "symbol",
            dollars=pl.col("value").rolling_mean(window).over("symbol"),
            volatility=pl.col("moved").rolling_std(window).over("symbol"),
        )
        .filter(dollars.is_finite() & volatility.is_finite() & (dollars > 0))
    )


def fill_price(
    order: Order,
    opening: Decimal,
    *,
    costs: CostModel,
    frictions: Frictions,
    known: Liquidity | None,
) -> Decimal:
    """Return what a fill costs a share: the open, worse by half the spread, impact and slippage.

    Impact is coefficient · volatility · √(value of the order / value traded in a session), the
    square-root law (Almgren et al., Direct Estimation of Equity Market Impact, 2005). Without known
    liquidity there is none. The price stays above 0.
    """
    worse = frictions.spread_bps / 2 / BASIS_POINTS
    if frictions.impact and known:
        share = float(order.quantity * opening) / known.dollars
        worse += Decimal(repr(frictions.impact * known.volatility * sqrt(share)))
    moved = opening * max(1 + order.side.sign * worse, Decimal("0.01"))
    return costs.fill_price(moved, order.side)


def financing(
    book: Book,
    closes: Mapping[str, Decimal],
    *,
    since: date,
    session: date,
    costs: CostModel,
    frictions: Frictions,
) -> Iterator[CashEntry]:
    """Yield the borrow fees and the interest from the close of `since` to `session`, to the cent.

    Both are counted by calendar days over 360. Interest earned is a fee below 0.
    """
    held = {symbol: position.quantity for symbol, position in book.positions.items()}
    yield from borrow_fees(held, closes, costs=costs, since=since, session=session)
    years = Decimal((session - since).days) / MONEY_YEAR
    earned = max(book.cash, Decimal(0)) * frictions.cash_rate * years
    if cents := earned.quantize(CENT, ROUND_HALF_UP):
        yield CashEntry(
            entry_id=f"interest-{session}",
            kind=EntryKind.INTEREST,
            session=session,
            amount=cents,
            at=session_open(session),
        )
