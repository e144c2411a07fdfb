"""Covariance: shrunk as published, of the symbols and sessions asked for."""

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.portfolio.covariance import estimate, shrunk
from trading_pipeline_tests.factories import random_bars, sessions_from

SESSIONS = sessions_from(count=120)
BARS = random_bars(["A", "B", "C"], SESSIONS, move=0.02)


def ledoit_wolf(returns: np.ndarray) -> tuple[np.ndarray, float]:
    """The paper's formulas written out element by element (appendix B)."""
    rows, count = returns.shape
    x = returns - returns.mean(axis=0)
    s = x.T @ x / rows
    r = [[s[i, j] / np.sqrt(s[i, i] * s[j, j]) for j in range(count)] for i in range(count)]
    mean = (
        2 / ((count - 1) * count) * sum(r[i][j] for i in range(count) for j in range(i + 1, count))
    )
    f = np.array(
        [
            [s[i, i] if i == j else mean * np.sqrt(s[i, i] * s[j, j]) for j in range(count)]
            for i in range(count)
        ]
    )
    pi = sum(
        np.mean((x[:, i] * x[:, j] - s[i, j]) ** 2) for i in range(count) for j in range(count)
    )
    rho = sum(np.mean((x[:, i] ** 2 - s[i, i]) ** 2) for i in range(count))
    for i in range(count):
        for j in range(count):
            if i != j:
                ii = np.mean((x[:, i] ** 2 - s[i, i]) * (x[:, i] * x[:, j] - s[i, j]))
                jj = np.mean((x[:, j] ** 2 - s[j, j]) * (x[:, i] * x[:, j] - s[i, j]))
                rho += (
                    mean / 2 * (np.sqrt(s[j, j] / s[i, i]) * ii + np.sqrt(s[i, i] / s[j, j]) * jj)
                )
    gamma = ((f - s) ** 2).sum()
    weight = max(0.0, min((pi - rho) / gamma / rows, 1.0))
    return weight * f + (1 - weight) * s, weight


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shrinkage_equals_the_papers_formulas(seed: int) -> None:
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(6, 6))
    returns = random.standard_t(5, size=(80, 6)) @ mixing * 0.01
    ours, weight = shrunk(returns - returns.mean(axis=0))
    theirs, expected = ledoit_wolf(returns)
    assert 0 < weight < 1
    assert weight == pytest.approx(expected, rel=1e-9)
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_it_knows_the_volatility_of_every_symbol() -> None:
    risk = estimate(BARS)
    assert risk.symbols == ("A", "B", "C")
    for symbol in risk.symbols:
        closes = BARS.filter(pl.col("symbol") == symbol)["close"].to_numpy()
        moved = closes[1:] / closes[:-1] - 1
        assert risk.volatility[symbol] == pytest.approx(moved.std(), rel=1e-9)
    assert risk.of(["C", "A"])[0, 1] == risk.covariance[2, 0]


def test_only_the_last_sessions_count_and_their_order_never_matters() -> None:
    last = set(SESSIONS[-81:])
    recent = BARS.filter(pl.col("session").is_in(last))
    whole = estimate(BARS.sample(fraction=1, shuffle=True, seed=1), sessions=80)
    assert whole.covariance == pytest.approx(estimate(recent, sessions=80).covariance)


def test_a_symbol_with_too_few_returns_is_left_out() -> None:
    young = (pl.col("symbol") != "B") | (pl.col("session") >= SESSIONS[-30])
    assert estimate(BARS.filter(young)).symbols == ("A", "C")
    assert estimate(BARS.head(6)).symbols == ()


def test_more_symbols_than_sessions_still_give_a_covariance_that_can_be_inverted() -> None:
    many = random_bars([f"S{n}" for n in range(40)], SESSIONS[:31])
    risk = estimate(many, least=20)
    assert np.linalg.eigvalsh(risk.covariance).min() > 0
