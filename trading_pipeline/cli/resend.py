"""`trading-pipeline resend`: another attempt at an order that was refused or has expired."""

import json as jsons
from typing import Annotated

from cyclopts import Parameter

from trading_pipeline import logs
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page
from trading_pipeline.flows.resend import resend
from trading_pipeline.settings import Settings, utc_now


def resend_order(
    client_order_id: str, *, json: Annotated[bool, Parameter(negative="")] = False
) -> int:
    """Plan what is left of an order that has ended anew, under an id of its own.

    Nothing is sent yet: running the session again judges it by the risk limits and sends it, if its
    open has not passed.

    Examples:
        trading-pipeline resend tp-20120601-AAPL-0123456789abcdef01234567

    Args:
        client_order_id: The id of the order that was rejected, canceled, expired or blocked.
        json: Print a JSON object and nothing else.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    order = resend(services.open_ledger(settings), client_order_id, now=utc_now())
    page = Page()
    if json:
        found = {"client_order_id": order.client_order_id, "quantity": str(order.quantity)}
        page.console.out(jsons.dumps(found), highlight=False)
        return 0
    page.line("Planned", f"{order.side} {order.quantity:f} {order.symbol}")
    page.line("Id", order.client_order_id)
    page.line("To send it", f"trading-pipeline paper-run --session {order.session}")
    return 0
