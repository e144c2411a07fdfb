"""Correlations of a book, kept up as positions open and close, against their definition."""

from decimal import Decimal
from itertools import combinations
from random import Random
from statistics import correlation

import numpy as np
import pytest

from trading_pipeline.core.risk.correlation import Correlations
from trading_pipeline.core.risk.view import Returns

SYMBOLS = tuple("ABCDEF")
VALUES = np.random.default_rng(3).normal(0, 0.01, (40, 6)) + np.linspace(-1, 1, 40)[:, None] * 0.01


def book(**quantities: int) -> dict[str, Decimal]:
    return {symbol: Decimal(quantity) for symbol, quantity in quantities.items()}


def test_any_sequence_of_positions_gives_the_mean_of_all_pairs() -> None:
    random, held = Random(5), dict[str, int]()
    kept = Correlations(Returns(symbols=SYMBOLS, values=VALUES), 30, {})
    for _ in range(300):
        symbol, sign = random.choice([*SYMBOLS, "X"]), random.choice([-1, 0, 1])
        then = {s: q for s, q in {**held, symbol: sign}.items() if q}
        pairs = [rho(then, *both) for both in combinations(sorted(then), 2)]
        mean = sum(pairs) / len(pairs) if pairs else 0.0
        assert kept.mean_with(symbol, sign) == pytest.approx(mean, abs=1e-9)
        mine = [rho(then, symbol, other) for other in then if other != symbol] if sign else []
        highest = max(mine, default=-1.0)
        assert kept.highest_above(-2.0, symbol, sign) == pytest.approx(highest)
        limit = random.uniform(-1, 1)
        assert (kept.highest_above(limit, symbol, sign) is not None) == (highest > limit)
        kept.hold(symbol, sign)
        held = then


def rho(signs: dict[str, int], one: str, other: str) -> float:
    if "X" in {one, other}:  # not known counts as one
        return 1.0
    columns = [VALUES[-30:, SYMBOLS.index(symbol)].tolist() for symbol in (one, other)]
    return signs[one] * signs[other] * correlation(*columns)


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_a_symbol_with_a_hole_in_the_look_back_is_not_known(hole: float) -> None:
    values = VALUES.copy()
    values[-30, 0] = hole
    kept = Correlations(Returns(symbols=SYMBOLS, values=values), 30, book(B=1))
    assert kept.highest_above(0.9, "A", 1) == 1.0
    shorter = Correlations(Returns(symbols=SYMBOLS, values=values), 29, book(B=1))
    assert shorter.highest_above(0.9999, "A", 1) is None


def test_too_short_a_history_or_one_that_stands_still_is_not_known() -> None:
    short = Correlations(Returns(symbols=SYMBOLS, values=VALUES[:29]), 30, book(A=1))
    still = Correlations(Returns(symbols=("A", "B"), values=np.zeros((30, 2))), 30, book(A=1))
    assert short.mean_with("B", 1) == still.mean_with("B", -1) == 1.0
    assert short.unknown_with("B") == ["A", "B"]
    assert Correlations(Returns(symbols=SYMBOLS, values=VALUES), 30, {}).unknown_with("B") == []
