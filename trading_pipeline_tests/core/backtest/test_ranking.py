"""What a ranking would have earned, against sums made by hand."""

from datetime import date
from math import sqrt

import numpy as np
import polars as pl
import pytest

from trading_pipeline.core.accounting.performance import sharpe
from trading_pipeline.core.backtest.ranking import Ranking, ranking, sharpe_of
from trading_pipeline_tests.core.models import panels

DAYS = panels.sessions(40)
SYMBOLS = [f"S{number:02}" for number in range(20)]


def said(predictions: np.ndarray, labels: np.ndarray, days: list[date] = DAYS) -> pl.DataFrame:
    """A row a session and symbol; both arrays are (sessions, symbols)."""
    count = predictions.shape[1]
    return pl.DataFrame(
        {
            "symbol": SYMBOLS[:count] * len(predictions),
            "session": [day for day in days[: len(predictions)] for _ in range(count)],
            "prediction": predictions.ravel(),
            "label": labels.ravel(),
        }
    )


def judged(predictions: np.ndarray, labels: np.ndarray, **asked: float) -> Ranking:
    rows = said(predictions, labels)
    return ranking(rows, rows, **({"cost_bps": 0.0} | asked))


def noise(seed: int, count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((40, count)), rng.standard_normal((40, count)) * 0.01


def test_the_spread_is_the_best_tenth_less_the_worst_tenth() -> None:
    predictions, labels = noise(1)

    found = judged(predictions, labels)

    by_hand = []
    for said_then, came in zip(predictions, labels, strict=True):
        order = np.argsort(said_then)
        by_hand.append(came[order[-2:]].mean() - came[order[:2]].mean())
    assert found.spread.value == pytest.approx(np.mean(by_hand))
    assert found.spread.sessions == 40
    assert len(found.buckets) == 10
    assert found.buckets[-1] - found.buckets[0] == pytest.approx(np.mean(by_hand))


def test_without_costs_the_portfolio_earns_the_spread() -> None:
    predictions, labels = noise(2)

    found = judged(predictions, labels)

    assert np.mean(found.net) == pytest.approx(found.spread.value)
    assert found.sharpe == pytest.approx(np.mean(found.net) / np.std(found.net, ddof=1) * sqrt(252))


def test_costs_are_paid_on_what_is_traded_and_nothing_on_what_is_held() -> None:
    steady = np.tile(np.arange(20.0), (40, 1))
    still = np.zeros((40, 20))
    turned = steady.copy()
    turned[1::2] = -turned[1::2]

    held, traded = (judged(each, still, cost_bps=10.0) for each in (steady, turned))

    assert held.turnover == 0
    assert traded.turnover == 1
    assert held.net == pytest.approx([-2 * 10e-4, *[0.0] * 38, -2 * 10e-4])
    assert traded.net[1] == pytest.approx(-4 * 10e-4)


def test_a_prediction_that_holds_for_a_while_decays_later_than_one_that_does_not() -> None:
    rng = np.random.default_rng(3)
    slow = np.repeat(rng.standard_normal((8, 20)), 5, axis=0)
    labels = slow * 0.01
    rows = said(slow, labels)

    found = {one.horizon: one.rank_ic.value for one in judged(slow, labels).decay}
    later = ranking(rows.filter(pl.col("session") < DAYS[20]), rows, cost_bps=0.0).decay

    assert found[1] == pytest.approx(1)
    assert 0.6 < found[2] < 0.95
    assert abs(found[5]) < 0.5
    assert {one.horizon: one.rank_ic.sessions for one in later}[20] == 20


def test_few_symbols_make_fewer_parts_and_one_makes_no_portfolio() -> None:
    five = judged(*noise(4, 5))
    one = judged(*noise(4, 1))

    assert len(five.buckets) == 5
    assert (one.turnover, one.sharpe, one.spread.value) == (0.0, None, 0.0)
    assert "no Sharpe ratio" in one.sentence()
    assert "sharpe" not in one.metrics()


def test_more_trials_make_the_same_figure_less_likely_to_be_skill() -> None:
    predictions, labels = noise(5)
    rows = said(predictions, predictions * 0.001 + labels)

    alone = ranking(rows, rows, cost_bps=0.0)
    chosen = ranking(
        rows, rows, cost_bps=0.0, trials=list(np.random.default_rng(1).normal(0, 2, 50))
    )

    assert (alone.trials, chosen.trials) == (1, 51)
    assert alone.deflated is not None
    assert chosen.deflated is not None
    assert chosen.deflated < alone.deflated
    assert "after 0 basis points" in chosen.sentence()
    assert "deflated for 51 trials" in chosen.sentence()


def test_it_names_its_window_and_its_universe() -> None:
    found = judged(*noise(6))

    assert f"over 40 sessions, {DAYS[0]} to {DAYS[39]}, 20 symbols" in found.sentence()
    assert found.metrics()["trials"] == 1
    assert {"spread_low", "sharpe_high", "turnover", "rank_ic_after_5"} <= found.metrics().keys()


def test_the_sharpe_ratio_of_a_trial_is_that_of_the_whole_judgment() -> None:
    predictions, labels = noise(7)

    found = judged(predictions, labels, cost_bps=5.0)

    assert sharpe_of(said(predictions, labels), 5.0) == found.sharpe == sharpe(found.net)
