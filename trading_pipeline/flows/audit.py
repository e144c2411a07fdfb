"""Look once more, after the fact, at orders that have left: would the gate let them go?"""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import OPEN, OrderState
from trading_pipeline.core.risk.gate import gate, planned_anew
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.day import closes
from trading_pipeline.flows.risk_view import view_of

_GONE = OPEN - {OrderState.PLANNED}


def audit(
    ledger: Ledger, lake: Lake, decided: tuple[str, date], *, limits: RiskLimits, now: datetime
) -> list[str]:
    """Return a sentence for each order of (strategy, session) that is out and breaks a limit.

    What may still fill is judged anew, at the session's closes and beside all else that is open. An
    order that is filled, or gone, is no risk any more; a stop that came later is not held against
    those that had left, and neither is how many there were.
    """
    strategy, session = decided
    mine = ledger.orders(strategy=strategy, session=session, states=_GONE)
    if not mine:
        return []
    held = [p.symbol for p in book_of(ledger, session).positions.values() if p.quantity]
    marks = closes(lake, [*held, *(order.symbol for order in mine)], session)
    prices = {symbol: mark.price for symbol, mark in marks.items()}
    view = view_of(ledger, limits=limits, marks=prices, now=now, besides=decided)
    names = {order.client_order_id for order in mine}
    view = replace(
        view,
        state=TradingState.ACTIVE,
        open_orders=[o for o in view.open_orders if o.client_order_id not in names],
        orders_in_minute=0,
        orders_in_session=0,
        turnover=Decimal(0),
    )
    judged = gate([planned_anew(order) for order in mine], view)
    return [f"{each.client_order_id}: {each.reason}" for each in judged if each.code]
