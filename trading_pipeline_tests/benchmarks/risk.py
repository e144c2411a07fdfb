"""Risk: the gate on a large basket, its agreement with the oracle, and how soon a halt counts."""

import statistics
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import Order, OrderState
from trading_pipeline.core.risk.gate import gate
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.core.risk.view import Asset, Returns, RiskView
from trading_pipeline.flows.halt import stop
from trading_pipeline.flows.order_updates import settle
from trading_pipeline_tests.benchmarks.harness import RUNS, Figure, median, timed
from trading_pipeline_tests.core.risk.oracle import case, expected
from trading_pipeline_tests.core.risk.portfolios import WIDE, at_broker, book_of, order, view
from trading_pipeline_tests.fakes import NOW, SESSION
from trading_pipeline_tests.flows import one_day

SIZE = 500
CASES = 100_000


def figures() -> list[Figure]:
    """500 orders over 500 positions, every check judged; a halt; 100 000 random cases."""
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
            name="halt, until the next order is refused",
            seconds=statistics.median(_seconds_to_refusal() for _ in range(RUNS)),
            limit=1.0,
            note="set through another connection",
        ),
        Figure(
            name="gate against the oracle",
            seconds=timed(lambda: disagreements(1_000)) * CASES / 1_000,
            limit=None if not wrong else 0.0,
            note=f"{wrong} disagreements in {CASES:,} random books and baskets",
        ),
    ]


def _seconds_to_refusal() -> float:
    """From the moment a halt is being set to the moment that all of a planned basket is refused."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.db"
        ledger, other = Ledger(url), Ledger(url)
        ledger.create()
        broker = SimulatedBroker(Path(folder) / "broker.db", CostModel(), Decimal(100_000))
        settle(ledger, broker, one_day.VENDOR, through=SESSION, now=NOW)
        planned = one_day.run(ledger, broker, dry_run=True)
        ledger.record_decision(planned.decision, planned.orders, planned.skips)

        def halt_and_send() -> None:
            stop(other, TradingState.HALTED, who="bench", reason="Drill.", now=NOW)
            refused = one_day.states(one_day.run(ledger, broker))
            assert set(refused) == {OrderState.BLOCKED}

        seconds = timed(halt_and_send)
        for opened in (ledger, other, broker):
            opened.close()
    return seconds


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
