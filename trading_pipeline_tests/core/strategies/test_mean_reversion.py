"""Mean reversion buys what has fallen too far, and lets it go at its mean."""

import polars as pl
import pytest
from pydantic import ValidationError

from trading_pipeline.core.strategies.holding import Exits
from trading_pipeline.core.strategies.mean_reversion import MeanReversionRules, strategy
from trading_pipeline_tests.factories import bars_of

NOTHING = pl.DataFrame()
QUIET = [100.0 + 0.2 * (day % 2) for day in range(30)]
FALL = [98.0, 96.0, 94.0]


def wanted(closes: list[float], **rules: object) -> list[float]:
    scores = strategy(MeanReversionRules(**rules))(NOTHING, NOTHING, bars_of({"A": closes}))
    return scores["score"].to_list()


def test_a_steady_price_is_left_alone() -> None:
    assert set(wanted(QUIET)) == {0.0}
    assert len(wanted(QUIET)) == 11  # 20 bars until all four are known


def test_a_sharp_fall_is_bought_and_a_sharp_rise_is_sold() -> None:
    assert wanted(QUIET + FALL)[-1] >= 0.75
    assert wanted(QUIET + [200 - close for close in FALL])[-1] <= -0.75


def test_the_position_ends_when_the_price_is_back_at_its_mean() -> None:
    back = [95.0, 96.0, 97.0, 98.0, 99.0, 100.0]
    held = wanted(QUIET + FALL + back, exits=Exits(stop=0.9, target=9.0, sessions=50))[-6:]
    assert held[0] > 0
    assert held[-1] == 0


def test_a_fall_that_goes_on_is_stopped() -> None:
    assert wanted([*QUIET, *FALL, 80.0])[-1] == 0


def test_fewer_votes_than_the_confidence_asks_for_do_nothing() -> None:
    slight = [*QUIET, 99.0]
    assert wanted(slight, min_confidence=1.0)[-1] == 0
    assert wanted(slight, min_confidence=0.25)[-1] > 0


def test_other_rules_are_another_strategy() -> None:
    lax = strategy(MeanReversionRules(min_confidence=0.25))
    bars = bars_of({"A": [*QUIET, 99.0]})
    assert not lax(NOTHING, NOTHING, bars).equals(strategy()(NOTHING, NOTHING, bars))


@pytest.mark.parametrize("rules", [{"rsi_low": 80.0}, {"stochastic_low": 90.0}, {"unknown": 1}])
def test_rules_that_contradict_themselves_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        MeanReversionRules(**rules)
