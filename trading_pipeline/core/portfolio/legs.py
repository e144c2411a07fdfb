"""The legs of orders in an account that several strategies share.

A strategy plans on what is its own; a broker that does not net refuses an order that takes the
account's own position across zero. So it is the account's position that decides the legs.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from trading_pipeline.core.execution.order import Order, Side, client_order_id
from trading_pipeline.core.portfolio.rebalance import Plan, numbered


def by_account(planned: Plan, held: Mapping[str, Decimal]) -> Plan:
    """Return the plan with each symbol's orders in the legs that the account's shares call for.

    `held` are the account's signed shares as they will be when what is open has filled. What closes
    them is leg 1, what opens the other side leg 2; what does neither is one order. Sells go before
    buys, and on each side what closes before what opens.
    """
    wishes: defaultdict[tuple[str, Side], list[Order]] = defaultdict(list)
    for order in planned.orders:
        wishes[order.symbol, order.side].append(order)
    legs = [
        leg
        for (symbol, _), orders in wishes.items()
        for leg in _legs(orders, held.get(symbol, Decimal(0)))
    ]
    legs.sort(key=lambda leg: (leg[1].side is Side.BUY, leg[0]))
    return Plan(orders=numbered([order for _, order in legs]), skips=planned.skips)


def _legs(orders: Sequence[Order], held: Decimal) -> Iterator[tuple[bool, Order]]:
    """Yield one side's orders of a symbol anew, each with whether it opens."""
    total, sign = sum((order.quantity for order in orders), Decimal(0)), orders[0].side.sign
    closing = min(total, max(-held * sign, Decimal(0)))
    parts = [(False, closing), (True, total - closing)]
    for leg, (opens, quantity) in enumerate([part for part in parts if part[1]], start=1):
        order = orders[0]
        name = client_order_id(
            order.strategy, order.session, symbol=order.symbol, side=order.side, leg=leg
        )
        yield opens, replace(order, client_order_id=name, quantity=quantity)
