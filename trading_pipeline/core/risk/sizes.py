"""Checks of how large an order may be, and what it may make of the account."""

from decimal import Decimal

from trading_pipeline.core.risk.correlation import Correlations
from trading_pipeline.core.risk.holdings import sign
from trading_pipeline.core.risk.step import Step
from trading_pipeline.core.risk.view import Finding


def order_value(step: Step) -> Finding | None:
    """One order is worth at most `max_order_value`."""
    return step.over("The order", step.order.quantity * step.price, step.limits.max_order_value)


def order_quantity(step: Step) -> Finding | None:
    """One order has at most `max_order_quantity` shares."""
    return _shares("The order", step.order.quantity, step.limits.max_order_quantity)


def price_collar(step: Step) -> Finding | None:
    """An order's price is at most `max_price_deviation` away from the mark."""
    share, price = step.limits.max_price_deviation, step.order.reference_price
    distance = abs(price - step.price)
    if distance <= share * step.price:  # NaN compares as an error, never as a pass
        return None
    return Finding(
        sentence=f"The price {price} of the order is {distance / step.price:.1%} from the mark "
        f"{step.price}: the limit is {share:.1%}.",
        value=distance / step.price,
        limit=share,
    )


def volume_share(step: Step) -> Finding | None:
    """A symbol's orders are at most `max_volume_share` of its average volume a session."""
    volumes, share, symbol = step.view.average_volumes, step.limits.max_volume_share, step.order
    if volumes is None:
        return None
    volume = volumes.get(symbol.symbol, Decimal(0))
    if step.after.ordered <= share * volume:
        return None
    return Finding(
        sentence=f"The orders of {symbol.symbol} come to {step.after.ordered:,} shares: the limit "
        f"is {share:.1%} of the {volume:,.0f} that trade in a session.",
        value=step.after.ordered,
        limit=share * volume,
    )


def position_quantity(step: Step) -> Finding | None:
    """One position has at most `max_position_quantity` shares."""
    what = f"The {step.order.symbol} position"
    return _shares(what, step.position, step.limits.max_position_quantity)


def position_value(step: Step) -> Finding | None:
    """One position is worth at most `max_position_value`."""
    what = f"The {step.order.symbol} position"
    return step.over(what, step.position_value, step.limits.max_position_value)


def position_share(step: Step) -> Finding | None:
    """One position is worth at most `max_position_share` of NAV."""
    what = f"The {step.order.symbol} position"
    return step.over_nav(what, step.position_value, step.limits.max_position_share)


def gross_exposure(step: Step) -> Finding | None:
    """All positions together are worth at most `max_gross_exposure` times NAV."""
    share = step.limits.max_gross_exposure
    return step.over_nav("All positions together", step.totals.gross, share)


def net_exposure(step: Step) -> Finding | None:
    """Longs less shorts are worth at most `max_net_exposure` times NAV, either way."""
    net = max(step.totals.net_high, -step.totals.net_low)
    return step.over_nav("Longs less shorts", net, step.limits.max_net_exposure)


def long_exposure(step: Step) -> Finding | None:
    """All long positions are worth at most `max_long_exposure` times NAV."""
    share = step.limits.max_long_exposure
    return step.over_nav("All long positions", step.totals.long, share)


def short_exposure(step: Step) -> Finding | None:
    """All short positions are worth at most `max_short_exposure` times NAV."""
    share = step.limits.max_short_exposure
    return step.over_nav("All short positions", step.totals.short, share)


def sector_exposure(step: Step) -> Finding | None:
    """One sector's positions are worth at most `max_sector_exposure` times NAV."""
    holdings = step.holdings
    if not holdings.sector_of:
        return None
    sector = holdings.sector(step.order.symbol)
    value = holdings.sectors[sector] + step.totals.gross - holdings.totals.gross
    return step.over_nav(f"The sector {sector}", value, step.limits.max_sector_exposure)


def borrowing(step: Step) -> Finding | None:
    """Cash is at most `max_borrowing` times NAV below zero, should no open sale fill."""
    return step.over_nav("Borrowed cash", -step.totals.cash, step.limits.max_borrowing)


def buying_power(step: Step) -> Finding | None:
    """The basket's orders that do not reduce fit into the buying power the broker grants."""
    power = step.view.buying_power
    what = "What the basket opens"
    return None if power is None else step.over(what, step.totals.bought, power)


def concentration(step: Step) -> Finding | None:
    """Σ (position / NAV)² is at most `max_concentration`."""
    nav, limit = step.holdings.nav, step.limits.max_concentration
    if nav > 0 and step.totals.squares <= limit * nav * nav:
        return None
    found = step.totals.squares / (nav * nav) if nav else None
    return Finding(
        sentence=f"The concentration would be {found:.3f}: the limit is {limit}."
        if found is not None
        else "The book is worth nothing.",
        value=found,
        limit=limit,
    )


def turnover(step: Step) -> Finding | None:
    """The orders of a session are worth at most `max_turnover` times NAV."""
    value = step.view.turnover + step.totals.turnover
    return step.over_nav("All orders of the session", value, step.limits.max_turnover)


def minute_rate(step: Step) -> Finding | None:
    """At most `max_orders_per_minute` orders of a session leave within a minute."""
    count = step.view.orders_in_minute + step.totals.orders
    return _count("in this minute", count, step.limits.max_orders_per_minute)


def session_rate(step: Step) -> Finding | None:
    """At most `max_orders_per_session` orders leave for one session."""
    count = step.view.orders_in_session + step.totals.orders
    return _count("for this session", count, step.limits.max_orders_per_session)


def mean_correlation(step: Step) -> Finding | None:
    """The correlations of all pairs held come to at most `max_mean_correlation` on average."""
    held, symbol, limit = step.holdings.correlations, step.order.symbol, step.limits
    if held is None:
        return None
    found, most = held.mean_with(symbol, sign(step.after)), limit.max_mean_correlation
    if found <= float(most):
        return None
    return _correlation(step, held, "The mean correlation of all pairs", (found, most))


def pair_correlation(step: Step) -> Finding | None:
    """The position's correlation with any other one is at most `max_pair_correlation`."""
    held, symbol, limit = step.holdings.correlations, step.order.symbol, step.limits
    if held is None:
        return None
    most = limit.max_pair_correlation
    found = held.highest_above(float(most), symbol, sign(step.after))
    if found is None:
        return None
    what = f"The highest correlation of {symbol} with a holding"
    return _correlation(step, held, what, (found, most))


def _shares(what: str, value: Decimal, limit: Decimal) -> Finding | None:
    if value <= limit:
        return None
    sentence = f"{what} would have {value:,} shares: the limit is {limit:,}."
    return Finding(sentence=sentence, value=value, limit=limit)


def _count(when: str, count: int, limit: int) -> Finding | None:
    if count <= limit:
        return None
    sentence = f"It would be order number {count} {when}: the limit is {limit}."
    return Finding(sentence=sentence, value=Decimal(count), limit=Decimal(limit))


def _correlation(
    step: Step, held: Correlations, what: str, compared: tuple[float, Decimal]
) -> Finding:
    found, limit = compared
    sentence = f"{what} would be {found:.2f}: the limit is {limit}."
    if unknown := held.unknown_with(step.order.symbol):
        sentence += (
            f" That of {', '.join(unknown)} counts as 1: it is not known without a return in each "
            f"of the last {step.limits.correlation_look_back} sessions."
        )
    return Finding(sentence=sentence, value=Decimal(repr(found)), limit=limit)
