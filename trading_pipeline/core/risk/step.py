"""One order on its turn: the account before it and after it, at the worst open orders can bring.

All values are at the view's marks, never at the price an order claims for itself.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cached_property

from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.risk.holdings import Holdings, Range, Totals
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.core.risk.view import Finding, RiskView


class Step:
    """One order on its turn, with the account before it and after it."""

    def __init__(self, order: Order, holdings: Holdings) -> None:
        self.order = order
        self.holdings = holdings
        self.view: RiskView = holdings.view
        self.limits: RiskLimits = holdings.limits
        before = holdings.range_of(order.symbol)
        self.after: Range = before.after(order.signed_quantity)
        self.is_reducing: bool = before.is_reduced_by(order.signed_quantity)

    @cached_property
    def price(self) -> Decimal:
        """The symbol's mark in dollars."""
        return self.holdings.price(self.order.symbol)

    @cached_property
    def change(self) -> Totals:
        """What the order does to the totals."""
        return self.holdings.change(self.order, self.after, is_reducing=self.is_reducing)

    @cached_property
    def totals(self) -> Totals:
        """The totals once the order is let through."""
        return self.holdings.totals.after(self.change)

    @property
    def position_value(self) -> Decimal:
        """The order's position at its largest, in dollars, unsigned."""
        return self.after.largest * self.price

    def over(self, what: str, value: Decimal, limit: Decimal) -> Finding | None:
        """Return a finding when `value` dollars are more than `limit` dollars."""
        if value <= limit:
            return None
        sentence = f"{what} would be worth {value:,.2f} dollars: the limit is {limit:,.2f}."
        return Finding(sentence=sentence, value=value, limit=limit)

    def over_nav(self, what: str, value: Decimal, share: Decimal) -> Finding | None:
        """Return a finding when `value` dollars are more than `share` of NAV."""
        return self.over(what, value, share * self.holdings.nav)


Check = Callable[[Step], Finding | None]
"""Returns why the order must not go, or None."""
