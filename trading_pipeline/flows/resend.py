"""Send anew what a broker refused or let expire: a person's decision, on record before it goes."""

import logging
from datetime import datetime

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.execution.revision import revise
from trading_pipeline.errors import SettingsError

_log = logging.getLogger(__name__)


def resend(ledger: Ledger, client_order_id: str, *, now: datetime) -> Order:
    """Append a planned order for what is left of one that has ended, and return it.

    It belongs to the same decision: running the session again judges and sends it, if there is
    still time. Raises SettingsError for an id that is not in the ledger, IllegalTransitionError for
    an order that has not ended, TradingError when another process has just done the same.
    """
    found = ledger.orders(client_order_ids=[client_order_id])
    if not found:
        raise SettingsError(f"There is no order {client_order_id}: `status` lists the ids.")
    order = found[0]
    siblings = ledger.orders(strategy=order.strategy, session=order.session)
    revision = revise(
        order,
        taken={one.client_order_id for one in siblings},
        sequence=1 + max(one.sequence for one in siblings),
    )
    ledger.append_revision(revision, at=now)
    _log.info("order revised", extra={"order": client_order_id, "as": revision.client_order_id})
    return revision
