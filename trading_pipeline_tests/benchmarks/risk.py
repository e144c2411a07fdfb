"""The risk gate: its speed on a large basket, and its agreement with the brute-force oracle."""

from decimal import Decimal
from random import Random

import numpy as np

from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.risk.gate import gate
from trading_pipeline.core.risk.view import Asset, Returns, RiskView
from trading_pipeline_tests.benchmarks.harness import Figure, median, timed
from trading_pipeline_tests.core.risk.oracle import case, expected
from trading_pipeline_tests.core.risk.portfolios import WIDE, at_broker, book_of, order, view

SIZE = 500
CASES = 100_000


def figures() -> list[Figure]:
    """A basket of 500 orders over 500 positions, every check judged; and 100 000 random cases."""
    basket, now = large()
    passed = [judged.code for judged in gate(basket, now)].count(None)
    seconds = median(lambda: gate(basket, now))
    wrong = disagreements(CASES)
    return [
        Figure(
            name="gate",
            seconds=seconds,
            limit=0.050,
            note=f"{SIZE} orders over {SIZE} positions, {passed} let through",
        ),
        Figure(
            name="gate against the oracle",
            seconds=timed(lambda: disagreements(1_000)) * CASES / 1_000,
            limit=None if not wrong else 0.0,
            note=f"{wrong} disagreements in {CASES:,} random books and baskets",
        ),
    ]


def large() -> tuple[list[Order], RiskView]:
    """A basket that grows or turns every position of a large book, within wide limits."""
    random = Random(7)
    symbols = [f"S{number:03}" for number in range(SIZE)]
    held = {symbol: random.choice([-90, -40, 40, 90]) for symbol in symbols}
    basket = [
        order(symbol, held[symbol] // 2 if number % 2 else -2 * held[symbol], number=number)
        for number, symbol in enumerate(symbols)
    ]
    prices = {symbol: f"{random.uniform(10, 900):.4f}" for symbol in symbols}
    sectors = ",".join(f"{symbol}=sector{n % 11}" for n, symbol in enumerate(symbols))
    generator = np.random.default_rng(7)
    return basket, view(
        book_of(40_000_000, **held),
        limits=WIDE.model_copy(update={"sectors": sectors, "max_price_deviation": Decimal(10)}),
        marks=prices,
        open_orders=[at_broker(symbol, 10) for symbol in symbols[::10]],
        assets={symbol: Asset() for symbol in symbols},
        sessions_behind=dict.fromkeys(symbols, 0),
        average_volumes=dict.fromkeys(symbols, Decimal(10**6)),
        buying_power=Decimal(10**9),
        returns=Returns(symbols=tuple(symbols), values=generator.normal(0, 0.01, (60, SIZE))),
    )


def disagreements(count: int) -> int:
    """In how many of `count` random cases gate and oracle differ."""
    random, wrong = Random(20_130_301), 0
    for _ in range(count):
        basket, now = case(random)
        wrong += [judged.code for judged in gate(basket, now)] != expected(basket, now)
    return wrong
