"""What trading and holding cost beyond slippage and commission: spread, impact, borrow, capacity.

All are off by default, so that a backtest trades at the same prices as the simulated broker.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from math import isfinite, sqrt
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.accounting.book import Book, CashEntry, EntryKind
from trading_pipeline.core.execution.costs import BASIS_POINTS, CENT, CostModel
from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.market.calendar import session_open
from trading_pipeline.core.market.corporate_actions import Convention, adjust

MONEY_YEAR: Final = Decimal(360)
"""Days a year by which rates of interest are counted."""

LIQUIDITY_SESSIONS: Final = 20
"""Sessions over which value traded and volatility are measured."""


class Frictions(BaseModel):
    """Costs that depend on the market and on how long a position is held."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spread_bps: Decimal = Field(
        default=Decimal(0), ge=0, le=1_000, description="bid to ask, basis points; half is paid"
    )
    impact: float = Field(
        default=0.0, ge=0, le=10, description="impact = this · volatility · √(order / value traded)"
    )
    max_participation: Decimal | None = Field(
        default=None, gt=0, le=1, description="share of the session's volume an order fills at most"
    )
    borrow_rate: Decimal = Field(
        default=Decimal(0), ge=0, le=1, description="a year's fee on the value of shorts"
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
    """Return the liquidity of every symbol as known at the close of each session.

    `bars` are raw. Means and deviations are over the last 20 bars; before that there is none.
    """
    moved = (pl.col("close") / pl.col("close").shift() - 1).over("symbol")
    window = LIQUIDITY_SESSIONS
    traded = adjust(bars, actions, convention=convention).sort("symbol", "session")
    # what traded is counted in the dollars and shares of its own day
    value = pl.col("close") / pl.col("price_factor") * pl.col("volume") / pl.col("volume_factor")
    table = traded.with_columns(moved=moved, value=value).select(
        "session",
        "symbol",
        pl.col("value").rolling_mean(window).over("symbol"),
        pl.col("moved").rolling_std(window).over("symbol"),
    )
    found: dict[date, dict[str, Liquidity]] = {}
    for session, symbol, dollars, volatility in table.drop_nulls().iter_rows():
        if isfinite(dollars) and isfinite(volatility) and dollars > 0:
            known = Liquidity(dollars=dollars, volatility=volatility)
            found.setdefault(session, {})[symbol] = known
    return found


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


def fillable(order: Order, volume: Decimal | None, frictions: Frictions) -> Decimal:
    """Return how many shares of the order the session's volume lets fill, whole ones."""
    if frictions.max_participation is None:
        return order.quantity
    most = (volume or Decimal(0)) * frictions.max_participation
    return min(order.quantity, most.to_integral_value(ROUND_DOWN))


def financing(
    book: Book,
    closes: Mapping[str, Decimal],
    *,
    since: date,
    session: date,
    frictions: Frictions,
) -> Iterator[CashEntry]:
    """Yield the borrow fees and the interest from the close of `since` to `session`, to the cent.

    Both are counted by calendar days over 360. Interest is a fee below 0.
    """
    years = Decimal((session - since).days) / MONEY_YEAR
    for symbol, position in sorted(book.positions.items()):
        if position.quantity < 0 and symbol in closes:
            owed = position.quantity * closes[symbol] * frictions.borrow_rate * years
            yield from _entry("borrow", session, owed, symbol)
    yield from _entry("interest", session, max(book.cash, Decimal(0)) * frictions.cash_rate * years)


def _entry(
    what: str, session: date, amount: Decimal, symbol: str | None = None
) -> Iterator[CashEntry]:
    cents = amount.quantize(CENT, ROUND_HALF_UP)
    if cents:
        yield CashEntry(
            entry_id=f"{what}-{session}" + (f"-{symbol}" if symbol else ""),
            kind=EntryKind.FEE,
            session=session,
            amount=cents,
            symbol=symbol,
            at=session_open(session),
        )
