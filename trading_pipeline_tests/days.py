"""A made-up trading day for tests of what is reported: real orders, fills and book, few of each."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl

from trading_pipeline.core.accounting.book import Book, CashEntry, Entry, EntryKind, replay
from trading_pipeline.core.accounting.pnl import Mark, Pnl, mark
from trading_pipeline.core.execution.order import Fill, Order, OrderState, Side
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.flows.day_report import ModelUsed, Parameters
from trading_pipeline.flows.report import Day

SESSION, TRADE_SESSION = date(2013, 2, 28), date(2013, 3, 1)
STARTED_AT = datetime(2013, 3, 1, 14, 0, tzinfo=UTC)
STRATEGY = "alpha_baseline"
SCORES = {"IBM": 0.030, "GOOG": 0.016, "FB": 0.002, "MSFT": -0.012, "AAPL": -0.026}
WEIGHTS = {"IBM": 0.5, "GOOG": 0.5, "FB": 0.0, "MSFT": -0.5, "AAPL": -0.5}

PARAMETERS = Parameters(
    strategy=STRATEGY,
    symbols=tuple(sorted(SCORES)),
    capital=Decimal(100_000),
    max_position_size=Decimal(20_000),
    vendor="sample",
    broker="simulated",
    top_n=2,
    bottom_n=2,
    dry_run=False,
)


def order(
    symbol: str,
    side: str = "buy",
    quantity: int = 10,
    *,
    price: str = "100",
    state: OrderState = OrderState.PLANNED,
    fill_price: str | None = None,
    filled: int | None = None,
    reason: str | None = None,
) -> Order:
    """An order; with a `fill_price` it is filled whole, or for `filled` shares."""
    shares = quantity if filled is None else filled
    return Order(
        client_order_id=f"{SESSION:%Y%m%d}-{symbol}-{side}",
        strategy=STRATEGY,
        session=SESSION,
        sequence=1,
        symbol=symbol,
        side=Side(side),
        quantity=Decimal(quantity),
        reference_price=Decimal(price),
        target_weight=WEIGHTS.get(symbol, 0.0),
        state=state,
        filled_quantity=Decimal(shares if fill_price else 0),
        average_fill_price=Decimal(fill_price) if fill_price else None,
        reason=reason,
    )


def fill_of(order: Order, *, session: date = TRADE_SESSION, commission: str = "1.00") -> Fill:
    """The one fill of a filled order."""
    assert order.average_fill_price is not None
    return Fill(
        fill_id=f"fill-{order.client_order_id}",
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        side=order.side,
        quantity=order.filled_quantity,
        price=order.average_fill_price,
        commission=Decimal(commission),
        session=session,
        filled_at=datetime.combine(session, STARTED_AT.time(), UTC),
    )


def deposit(amount: int = 100_000, session: date = date(2013, 2, 1)) -> CashEntry:
    """Cash put in."""
    return CashEntry(
        entry_id=f"deposit-{session}",
        kind=EntryKind.DEPOSIT,
        session=session,
        amount=Decimal(amount),
        at=datetime.combine(session, STARTED_AT.time(), UTC),
    )


def book_of(*entries: Entry, session: date = TRADE_SESSION, **prices: str) -> Pnl:
    """The book of these entries, valued at these closes."""
    marks = {
        symbol: Mark(price=Decimal(price), source=f"close of {session}")
        for symbol, price in prices.items()
    }
    return mark(replay(Book(), entries), marks, session)


FILLED = (
    order("AAPL", "sell", 45, price="441.40", state=OrderState.FILLED, fill_price="438.2190"),
    order("GOOG", "buy", 24, price="801.20", state=OrderState.FILLED, fill_price="797.40"),
)
REJECTED = order(
    "IBM", price="200.83", state=OrderState.REJECTED, reason="no <shares> to borrow today"
)
BLOCKED = order(
    "MSFT", "sell", 719, price="27.80", state=OrderState.BLOCKED, reason="MSFT is over the limit"
)


def day(**changes: object) -> Day:
    """A day with two filled orders, one rejected and one blocked; `changes` replace fields."""
    fills = [fill_of(order) for order in FILLED]
    before = book_of(deposit(), session=SESSION)
    after = book_of(deposit(), *fills, AAPL="430.47", GOOG="806.19")
    frame = {"symbol": list(SCORES), "session": [SESSION] * 5, "strategy": [STRATEGY] * 5}
    usual: dict[str, object] = {
        "run_id": "5b0f8f0e-7a8e-4c1b-9d3c-1f8a5be2c001",
        "started_at": STARTED_AT,
        "finished_at": STARTED_AT.replace(second=4, microsecond=123_000),
        "session": SESSION,
        "trade_session": TRADE_SESSION,
        "parameters": PARAMETERS,
        "signals": pl.DataFrame({**frame, "score": list(SCORES.values()), "rank": [1, 2, 3, 4, 5]}),
        "target_weights": pl.DataFrame({**frame, "target_weight": list(WEIGHTS.values())}),
        "model": ModelUsed(version="3-1a2b3c4d", trained_through=date(2012, 12, 31)),
        "orders": (*FILLED, REJECTED, BLOCKED),
        "fills": fills,
        "skips": {"FB": "zero_weight"},
        "pnl": after,
        "snapshots": [before],
        "checks": [
            CheckOutcome(name="coverage", passed=True, sentence="5 of 5 symbols have a clean bar."),
            CheckOutcome(
                name="freshness", passed=False, sentence="FB is a session behind.", blocking=False
            ),
        ],
    }
    return Day(**(usual | changes))  # pyright: ignore[reportArgumentType]
