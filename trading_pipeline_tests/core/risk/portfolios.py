"""Made-up books, orders and views of three symbols at 100 dollars, with limits that never bind."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from trading_pipeline.core.accounting.book import Book, Position
from trading_pipeline.core.execution.order import Order, OrderState, Side, move
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.core.risk.view import RiskView

WIDE = RiskLimits(
    max_order_value=Decimal(10**9),
    max_order_quantity=Decimal(10**9),
    max_price_deviation=Decimal(1),
    max_volume_share=Decimal(1),
    max_position_quantity=Decimal(10**9),
    max_position_value=Decimal(10**9),
    max_position_share=Decimal(10),
    max_gross_exposure=Decimal(20),
    max_net_exposure=Decimal(20),
    max_long_exposure=Decimal(20),
    max_short_exposure=Decimal(20),
    max_sector_exposure=Decimal(20),
    max_borrowing=Decimal(20),
    max_concentration=Decimal(400),
    max_turnover=Decimal(100),
    max_orders_per_minute=10**9,
    max_orders_per_session=10**9,
    max_sessions_behind=20,
    max_mean_correlation=Decimal(1),
    max_pair_correlation=Decimal(1),
)


def order(symbol: str, shares: int, *, reference_price: str = "100", number: int = 1) -> Order:
    return Order(
        client_order_id=f"{symbol}{shares}-{number}",
        strategy="alpha_baseline",
        session=date(2013, 1, 2),
        sequence=number,
        symbol=symbol,
        side=Side.BUY if shares > 0 else Side.SELL,
        quantity=Decimal(abs(shares)),
        reference_price=Decimal(reference_price),
        target_weight=0.5,
    )


def at_broker(symbol: str, shares: int, *, number: int = 1) -> Order:
    """An order the broker has accepted and not filled."""
    sent = move(order(symbol, shares, number=number), OrderState.SUBMITTING)
    return move(sent, OrderState.ACCEPTED, broker_order_id=f"b-{number}")


def lost(symbol: str, shares: int, *, number: int = 1) -> Order:
    """An order of another decision of which nobody can tell whether the broker has it."""
    sent = move(order(symbol, shares, number=number), OrderState.SUBMITTING)
    return replace(move(sent, OrderState.UNKNOWN), strategy="momentum")


def book_of(cash: int, **shares: int) -> Book:
    positions = {
        symbol: Position(symbol=symbol, quantity=Decimal(held), cost=Decimal(held) * 90)
        for symbol, held in shares.items()
    }
    return Book(cash=Decimal(cash), positions=positions)


def view(
    book: Book,
    *,
    limits: RiskLimits = WIDE,
    state: TradingState = TradingState.ACTIVE,
    marks: Mapping[str, str] | None = None,
    **more: Any,
) -> RiskView:
    prices = marks if marks is not None else {"AAPL": "100", "IBM": "100", "MSFT": "100"}
    return RiskView(
        state=state,
        state_reason="the operator said so.",
        book=book,
        marks={symbol: Decimal(price) for symbol, price in prices.items()},
        limits=limits,
        **more,
    )
