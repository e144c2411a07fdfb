"""One order on its turn: the account before it and after it, at the worst open orders can bring.

All values are at the view's marks, never at the price an order claims for itself.
"""

from collections.abc import Callable
from decimal import Decimal

from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.risk.holdings import Holdings, Range, Totals
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.core.risk.view import Finding, RiskView


class Step:
    """One order on its turn, with the account before it and after it.

    `price` is the symbol's mark, 0 when there is none; `position` the most unsigned shares the
    order's symbol can come to, and `position_value` what they are worth in dollars.
    """

    def __init__(self, order: Order, holdings: Holdings) -> None:
        self.order = order
        self.holdings = holdings
        self.view: RiskView = holdings.view
        self.limits: RiskLimits = holdings.limits
        self.price: Decimal = holdings.price(order.symbol)
        before = holdings.range_of(order.symbol)
        signed = order.signed_quantity
        self.after: Range = before.after(signed)
        self.is_reducing: bool = before.is_reduced_by(signed)
        self.totals: Totals = holdings.totals_after(order, self.after, is_reducing=self.is_reducing)
        self.position: Decimal = self.after.largest
        self.position_value: Decimal = self.position * self.price

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
