"""Keep orders away from a split: what is sized in old shares must not fill in new ones."""

import logging
from collections.abc import Collection
from datetime import date, datetime, timedelta

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.markets import actions_by_session
from trading_pipeline.core.execution.order import OPEN, OrderState, move
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.errors import AdapterError
from trading_pipeline.flows.ports import Broker, MarketData

_log = logging.getLogger(__name__)


def splitting(vendor: MarketData, symbols: Collection[str], session: date) -> frozenset[str]:
    """Return the symbols whose shares change in number at the open after `session`."""
    after = next_session(session)
    if not symbols:
        return frozenset()
    actions = vendor.corporate_actions(sorted(symbols), session + timedelta(days=1), after)
    splits, _ = actions_by_session(actions, after, after)
    return frozenset(splits.get(after, {}))


def clear_splits(
    ledger: Ledger, broker: Broker, vendor: MarketData, *, session: date, now: datetime
) -> frozenset[str]:
    """Take back open orders of symbols that split at the open after `session`; return the symbols.

    They, and whatever the books hold of them, are not traded by orders for that open. An order that
    the broker does not give back, or does not answer about, stays as it is.
    """
    orders = ledger.orders(states=OPEN)
    ahead = splitting(vendor, {order.symbol for order in orders}, session)
    for order in orders:
        if order.symbol not in ahead:
            continue
        if order.state is OrderState.PLANNED:
            reason = f"{order.symbol} splits at the open of {next_session(session)}."
            ledger.append_event(
                move(order, OrderState.CANCELED, code="split", reason=reason), at=now
            )
            continue
        try:
            broker.cancel(order.client_order_id)
        except AdapterError as error:
            facts = {"order": order.client_order_id, "why": str(error)}
            _log.warning("order not taken back ahead of a split", extra=facts)
    return ahead
