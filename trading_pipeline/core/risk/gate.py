"""The risk gate: ordered pre-trade checks, folded over the basket.

Each order is judged against the holdings as they would stand after the orders already let through:
judged one by one, two orders could together break a limit that each respects. Orders still open at
the broker are taken at their worst: see `holdings`.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, localcontext

from trading_pipeline.core.accounting.book import EXACT
from trading_pipeline.core.execution.order import Order, OrderState, move
from trading_pipeline.core.risk.checks import CHECKS, STATE_CHECKS
from trading_pipeline.core.risk.holdings import Holdings
from trading_pipeline.core.risk.step import Step
from trading_pipeline.core.risk.view import Block, RiskView, Verdict
from trading_pipeline.errors import IllegalTransitionError

__all__ = ["CHECKS", "STATE_CHECKS", "RiskView", "gate", "judge", "planned_anew"]


def gate(orders: Iterable[Order], view: RiskView) -> list[Order]:
    """Return the orders, in their order, those that must not go moved to BLOCKED.

    A blocked order bears the check's name as `code` and its sentence as `reason`. The orders must
    be PLANNED: any other state raises IllegalTransitionError.
    """
    return [verdict.order for verdict in judge(orders, view)]


def judge(orders: Iterable[Order], view: RiskView) -> list[Verdict]:
    """Return a verdict an order, in their order: `gate` with the numbers of each block."""
    with localcontext(EXACT):
        holdings = Holdings(view)
        return [_judge(order, holdings) for order in orders]


def planned_anew(order: Order) -> Order:
    """Return an open order as if it were planned now, for the shares that are not filled."""
    return replace(
        order,
        state=OrderState.PLANNED,
        quantity=order.remaining_quantity,
        filled_quantity=Decimal(0),
    )


def _judge(order: Order, holdings: Holdings) -> Verdict:
    if order.state is not OrderState.PLANNED:
        raise IllegalTransitionError(
            f"Order {order.client_order_id} is {order.state}: expected planned, before the gate."
        )
    step = Step(order, holdings)
    for check in STATE_CHECKS if step.is_reducing else CHECKS:
        if found := check(step):
            code = check.__name__
            block = Block(code=code, sentence=found.sentence, value=found.value, limit=found.limit)
            moved = move(order, OrderState.BLOCKED, code=code, reason=found.sentence)
            return Verdict(order=moved, block=block)
    holdings.let_through(order, step.after, step.totals)
    return Verdict(order=order, block=None)
