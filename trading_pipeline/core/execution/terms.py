"""On what terms an order trades: whether a price lets it, at what it pays, and for how long."""

from dataclasses import dataclass
from decimal import Decimal

from trading_pipeline.core.execution.order import Order, OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The type, the time in force and the prices of an order of one side."""

    side: Side
    order_type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.DAY
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None

    @property
    def at_close(self) -> bool:
        """Whether it trades in the closing auction; all others trade at the open here."""
        return self.time_in_force is TimeInForce.CLS

    @property
    def stays(self) -> bool:
        """Whether it waits for another session when this one did not fill it."""
        return self.time_in_force is TimeInForce.GTC

    def pays(self, price: Decimal, slipped: Decimal) -> Decimal | None:
        """Return what it pays a share when the market trades at `price`, or None: it does not.

        A stop is triggered at its price or beyond; a limit trades at its price or better, and
        slippage, which makes `slipped` of the price, never takes it past its limit.
        """
        if self.stop_price is not None and self.side.sign * (price - self.stop_price) < 0:
            return None
        if self.limit_price is None:
            return slipped
        if self.side.sign * (self.limit_price - price) < 0:
            return None
        better = min if self.side is Side.BUY else max
        return better(slipped, self.limit_price)


def terms_of(order: Order) -> Terms:
    """Return the terms on which an order trades."""
    return Terms(
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
    )
