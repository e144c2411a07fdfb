"""Checks of whether an order may go at all, of any size."""

from decimal import Decimal

from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.core.risk.step import Step
from trading_pipeline.core.risk.view import Finding


def trading_state(step: Step) -> Finding | None:
    """HALTED stops every order; REDUCING every one that does not only shrink a position."""
    view = step.view
    if view.is_tripped or not _is_stopped(step):
        return None
    return Finding(sentence=f"Trading is {view.state}: {view.state_reason}")


def breaker(step: Step) -> Finding | None:
    """The same, where it was the breaker that stopped trading."""
    view = step.view
    if not view.is_tripped or not _is_stopped(step):
        return None
    return Finding(sentence=f"The breaker made trading {view.state}: {view.state_reason}")


def _is_stopped(step: Step) -> bool:
    state = step.view.state
    if state is TradingState.REDUCING:
        return not step.is_reducing
    return state is not TradingState.ACTIVE


def tradable(step: Step) -> Finding | None:
    """The broker trades the symbol."""
    assets, symbol = step.view.assets, step.order.symbol
    if assets is None or (symbol in assets and assets[symbol].tradable):
        return None
    return Finding(sentence=f"The broker does not trade {symbol}.")


def known_orders(step: Step) -> Finding | None:
    """While it cannot be told whether an order reached the broker, its symbol waits."""
    order = step.order
    decision = (order.strategy, order.session)
    for other in step.view.open_orders:
        is_unknown = other.state is OrderState.UNKNOWN and other.symbol == order.symbol
        if is_unknown and (other.strategy, other.session) != decision:
            return Finding(
                sentence=f"Order {other.client_order_id}, {other.side} {other.quantity:f} "
                f"{other.symbol}, may or may not have reached the broker."
            )
    return None


def fractionable(step: Step) -> Finding | None:
    """A fraction of a share is ordered only where the broker takes one."""
    assets, order = step.view.assets, step.order
    if assets is None or order.quantity == order.quantity.to_integral_value():
        return None
    if order.symbol in assets and assets[order.symbol].fractionable:
        return None
    sentence = f"The broker takes no fraction of a share of {order.symbol}: {order.quantity}."
    return Finding(sentence=sentence, value=order.quantity)


def known_prices(step: Step) -> Finding | None:
    """Without a price of every holding and of the order's symbol, no size can be known."""
    if step.price and not step.holdings.unpriced:
        return None
    missing = {*step.holdings.unpriced}
    if not step.view.has_price(step.order.symbol):
        missing.add(step.order.symbol)
    return (
        Finding(sentence=f"There is no price of {', '.join(sorted(missing))}.") if missing else None
    )


def fresh_price(step: Step) -> Finding | None:
    """The mark is at most `max_sessions_behind` sessions old."""
    ages, symbol, limit = step.view.sessions_behind, step.order.symbol, step.limits
    if ages is None:
        return None
    age = ages.get(symbol)
    if age is not None and age <= limit.max_sessions_behind:
        return None
    found = "of unknown age" if age is None else f"{age} sessions old"
    return Finding(
        sentence=f"The price of {symbol} is {found}: the limit is {limit.max_sessions_behind}.",
        value=None if age is None else Decimal(age),
        limit=Decimal(limit.max_sessions_behind),
    )


def trusted_data(step: Step) -> Finding | None:
    """The symbol's data was not set aside and is not under suspicion."""
    why = step.view.suspects.get(step.order.symbol)
    return None if why is None else Finding(sentence=f"{step.order.symbol} is suspect: {why}")


def restricted(step: Step) -> Finding | None:
    """A symbol of the restricted list may only be reduced."""
    symbol = step.order.symbol
    if symbol not in step.holdings.restricted:
        return None
    return Finding(sentence=f"{symbol} is on the restricted list: it may only be reduced.")


def shortable(step: Step) -> Finding | None:
    """An order that may end short is of a symbol that the broker lends."""
    assets, symbol = step.view.assets, step.order.symbol
    if assets is None or step.order.side.sign > 0 or step.after.sure_low >= 0:
        return None
    if symbol in assets and assets[symbol].shortable:
        return None
    return Finding(sentence=f"The broker lends no shares of {symbol}.")
