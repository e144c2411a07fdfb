"""The gate's rules once more, by brute force: every way in which open orders can fill is tried.

Whole numbers and fractions, whole portfolios, nothing kept between orders.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import chain, combinations
from random import Random
from statistics import correlation
from typing import Any

import numpy as np

from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.core.risk.view import Asset, Returns, RiskView
from trading_pipeline_tests.core.risk.portfolios import WIDE, at_broker, book_of, lost, order, view

SYMBOLS = ("AAPL", "IBM", "MSFT")
SECTORS = {"AAPL": "tech", "IBM": "tech"}


def subsets(orders: Sequence[Order]) -> Iterator[tuple[Order, ...]]:
    return chain.from_iterable(combinations(orders, size) for size in range(len(orders) + 1))


def after(held: dict[str, int], orders: Sequence[Order]) -> dict[str, int]:
    held = dict(held)
    for one in orders:
        held[one.symbol] = held.get(one.symbol, 0) + int(one.signed_quantity)
    return held


def expected(basket: Sequence[Order], now: RiskView) -> list[str | None]:
    """The code of each order, None for one that goes."""
    passed: list[Order] = []
    found: list[str | None] = []
    for trade in basket:
        code = _code(trade, passed, now)
        found.append(code)
        if code is None:
            passed.append(trade)
    return found


def _code(trade: Order, passed: list[Order], now: RiskView) -> str | None:
    book = {p.symbol: int(p.quantity) for p in now.book.positions.values() if p.quantity}
    open_ = list(now.open_orders)
    shrinks = True
    for filled in subsets([*open_, *passed]):
        before = after(book, filled).get(trade.symbol, 0)
        then = before + int(trade.signed_quantity)
        shrinks &= before * then >= 0 and abs(then) < abs(before)
    if now.state is TradingState.HALTED or (now.state is TradingState.REDUCING and not shrinks):
        return "breaker" if now.is_tripped else "trading_state"
    asset = (now.assets or {}).get(trade.symbol)
    if now.assets is not None and not (asset and asset.tradable):
        return "tradable"
    if any(o.state == "unknown" and o.symbol == trade.symbol for o in now.open_orders):
        return "known_orders"
    if shrinks:
        return None
    for code, may_go in _rules(trade, passed, now, book):
        if not may_go:
            return code
    return None


def _rules(
    trade: Order, passed: list[Order], now: RiskView, book: dict[str, int]
) -> Iterator[tuple[str, bool]]:
    limits, symbol = now.limits, trade.symbol
    price = {name: int(mark) for name, mark in now.marks.items()}
    named = {s for s, q in book.items() if q} | {o.symbol for o in now.open_orders} | {symbol}
    yield "known_prices", named <= price.keys()
    if now.sessions_behind is not None:
        age = now.sessions_behind.get(symbol)
        yield "fresh_price", age is not None and age <= limits.max_sessions_behind
    yield "trusted_data", symbol not in now.suspects
    yield "restricted", symbol not in limits.restricted.split(",")
    if now.assets is not None and trade.signed_quantity < 0 and not now.assets[symbol].shortable:
        ways = [after(book, [*w, trade]) for w in subsets([*now.open_orders, *passed])]
        yield "shortable", all(way[symbol] >= 0 for way in ways)
    quantity = int(trade.quantity)
    yield "order_value", quantity * price[symbol] <= limits.max_order_value
    yield "order_quantity", quantity <= limits.max_order_quantity
    off = abs(Fraction(trade.reference_price) - price[symbol])
    yield "price_collar", off <= Fraction(limits.max_price_deviation) * price[symbol]
    mine = [o for o in (*now.open_orders, *passed, trade) if o.symbol == symbol]
    if now.average_volumes is not None:
        ordered = sum(int(o.quantity) for o in mine)
        volume = Fraction(now.average_volumes.get(symbol, Decimal(0)))
        yield "volume_share", ordered <= Fraction(limits.max_volume_share) * volume
    ways = [after(book, [*filled, *passed, trade]) for filled in subsets(list(now.open_orders))]
    position = max(abs(way[symbol]) for way in ways)
    yield "position_quantity", position <= limits.max_position_quantity
    yield "position_value", position * price[symbol] <= limits.max_position_value
    nav = int(now.book.cash) + sum(quantity * price[s] for s, quantity in book.items())
    yield "position_share", position * price[symbol] <= Fraction(limits.max_position_share) * nav
    yield from _exposures(ways, price, nav, limits=limits, symbol=symbol)
    yield from _money(trade, passed, now, price=price, nav=nav)
    squares = max(sum((q * price[s]) ** 2 for s, q in way.items()) for way in ways)
    yield "concentration", nav > 0 and squares <= Fraction(limits.max_concentration) * nav**2
    count = len(passed) + 1
    turned = sum(int(o.quantity) * price[o.symbol] for o in [*passed, trade])
    yield "turnover", Fraction(now.turnover) + turned <= Fraction(limits.max_turnover) * nav
    yield "minute_rate", now.orders_in_minute + count <= limits.max_orders_per_minute
    yield "session_rate", now.orders_in_session + count <= limits.max_orders_per_session
    if now.returns is not None:
        yield from _correlations(trade, passed, now, book)


def _exposures(
    ways: list[dict[str, int]],
    price: dict[str, int],
    nav: int,
    *,
    limits: RiskLimits,
    symbol: str,
) -> Iterator[tuple[str, bool]]:
    values = [[(s, q * price[s]) for s, q in way.items()] for way in ways]
    gross = max(sum(abs(v) for _, v in way) for way in values)
    yield "gross_exposure", gross <= Fraction(limits.max_gross_exposure) * nav
    net = max(abs(sum(v for _, v in way)) for way in values)
    yield "net_exposure", net <= Fraction(limits.max_net_exposure) * nav
    long = max(sum(v for _, v in way if v > 0) for way in values)
    yield "long_exposure", long <= Fraction(limits.max_long_exposure) * nav
    short = max(-sum(v for _, v in way if v < 0) for way in values)
    yield "short_exposure", short <= Fraction(limits.max_short_exposure) * nav
    if limits.sectors:
        mine = SECTORS.get(symbol)
        sector = max(sum(abs(v) for s, v in way if SECTORS.get(s) == mine) for way in values)
        yield "sector_exposure", sector <= Fraction(limits.max_sector_exposure) * nav


def _money(
    trade: Order, passed: list[Order], now: RiskView, *, price: dict[str, int], nav: int
) -> Iterator[tuple[str, bool]]:
    least = min(
        int(now.book.cash)
        - sum(int(o.signed_quantity) * price[o.symbol] for o in [*filled, *passed, trade])
        for filled in subsets(list(now.open_orders))
    )
    yield "borrowing", -least <= Fraction(now.limits.max_borrowing) * nav


def _correlations(
    trade: Order, passed: list[Order], now: RiskView, book: dict[str, int]
) -> Iterator[tuple[str, bool]]:
    assert now.returns is not None
    doubled = after({s: 2 * q for s, q in book.items()}, [*passed, *passed, trade, trade])
    signs = {s: (q > 0) - (q < 0) for s, q in after(doubled, list(now.open_orders)).items() if q}
    rows = now.returns.values[-now.limits.correlation_look_back :]
    columns = dict(zip(now.returns.symbols, rows.T.tolist(), strict=True))

    def pair(one: str, other: str) -> float:
        if len(rows) < now.limits.correlation_look_back or not {one, other} <= columns.keys():
            return 1.0
        return signs[one] * signs[other] * correlation(columns[one], columns[other])

    pairs = [pair(*both) for both in combinations(sorted(signs), 2)]
    mean = sum(pairs) / len(pairs) if pairs else 0.0
    yield "mean_correlation", mean <= now.limits.max_mean_correlation
    mine = [pair(trade.symbol, s) for s in signs if s != trade.symbol and trade.symbol in signs]
    yield "pair_correlation", all(one <= now.limits.max_pair_correlation for one in mine)


TIGHT: dict[str, list[Any]] = {
    "max_order_value": [1_500, 3_000],
    "max_order_quantity": [15, 30],
    "max_price_deviation": ["0.01", "0.3"],
    "max_volume_share": ["0.1", "0.5"],
    "max_position_quantity": [20, 35],
    "max_position_value": [2_000, 4_000],
    "max_position_share": ["0.2", "0.5"],
    "max_gross_exposure": ["0.5", "1"],
    "max_net_exposure": ["0.3", "0.8"],
    "max_long_exposure": ["0.3", "0.8"],
    "max_short_exposure": ["0.2", "0.5"],
    "max_sector_exposure": ["0.3", "0.7"],
    "max_borrowing": ["0.1", "0.5"],
    "max_concentration": ["0.05", "0.3"],
    "max_turnover": ["0.5", "1"],
    "max_orders_per_minute": [1, 2],
    "max_orders_per_session": [2, 3],
    "max_sessions_behind": [0, 1],
    "restricted": ["IBM", "AAPL,MSFT"],
    "max_mean_correlation": ["0.1", "0.5"],
    "max_pair_correlation": ["0.2", "0.6"],
    "correlation_look_back": [5, 12],
}


def case(random: Random) -> tuple[list[Order], RiskView]:
    """A random basket and a random view on which up to three limits are tight."""
    price = {symbol: random.randint(10, 150) for symbol in SYMBOLS}
    held = {symbol: random.randint(-40, 40) * random.randint(0, 1) for symbol in SYMBOLS}
    shares = [-40, -25, -10, -1, 1, 10, 25, 40]
    basket = [
        order(
            random.choice(SYMBOLS),
            random.choice(shares),
            reference_price=str(random.choice([20, 100])),
            number=number,
        )
        for number in range(random.randint(1, 4))
    ]
    tight = {
        name: random.choice(TIGHT[name])
        for name in random.sample(list(TIGHT), random.randint(1, 3))
    }
    common = {"sectors": "AAPL=tech,IBM=tech", "correlation_look_back": 5}
    limits = RiskLimits.model_validate({**WIDE.model_dump(), **common, **tight})
    given = lambda thing: thing if random.random() < 0.5 else None  # noqa: E731
    rare = lambda thing, other: thing if random.random() < 0.06 else other  # noqa: E731
    noise = np.array([random.gauss(0, 1) for _ in range(10)])
    known = SYMBOLS if random.random() < 0.8 else SYMBOLS[:2]
    own = np.array([[random.gauss(0, 1) for _ in known] for _ in range(10)])
    return basket, view(
        book_of(random.randint(-3_000, 12_000), **held),
        limits=limits,
        state=random.choice([*TradingState, *[TradingState.ACTIVE] * 9]),
        marks={s: str(p) for s, p in price.items() if random.random() > 0.02},
        open_orders=[
            rare(lost, at_broker)(random.choice(SYMBOLS), random.choice(shares), number=number)
            for number in range(random.choice([0, 0, 1, 3]))
        ],
        assets=given(
            {
                symbol: Asset(tradable=random.random() > 0.05, shortable=random.random() > 0.2)
                for symbol in SYMBOLS
            }
        ),
        suspects=rare({"MSFT": "set aside"}, {}),
        sessions_behind=given(
            {symbol: random.randint(0, 1) for symbol in SYMBOLS[:2]} | {"MSFT": 0}
        ),
        average_volumes=given({s: Decimal(random.randint(40, 900)) for s in SYMBOLS}),
        turnover=Decimal(random.choice([0, 2_000])),
        orders_in_session=random.randint(0, 1),
        returns=given(Returns(symbols=known, values=own + noise[:, None])),
        is_tripped=random.random() < 0.5,
    )
