"""Momentum follows what rises or falls where enough indicators agree."""

import polars as pl
import pytest
from pydantic import ValidationError

from trading_pipeline.core.strategies.momentum import MomentumRules, strategy
from trading_pipeline_tests.factories import bars_of

NOTHING = pl.DataFrame()
FLAT = [100.0 + 0.1 * (day % 2) for day in range(60)]
RISE = [100 * 1.012**day for day in range(1, 31)]
FALL = [100 * 0.988**day for day in range(1, 31)]


def wanted(closes: list[float], **rules: object) -> list[float]:
    scores = strategy(MomentumRules(**rules))(NOTHING, NOTHING, bars_of({"A": closes}))
    return scores["score"].to_list()


def test_a_price_that_goes_nowhere_is_left_alone() -> None:
    assert set(wanted(FLAT)) == {0.0}


def test_a_rise_is_bought_and_a_fall_is_sold() -> None:
    assert max(wanted(FLAT + RISE)) == 1.0
    assert min(wanted(FLAT + RISE)) == 0.0
    assert min(wanted(FLAT + FALL)) == -1.0
    assert max(wanted(FLAT + FALL)) == 0.0


def test_a_rise_of_less_than_the_rate_asked_for_is_not_bought() -> None:
    assert max(wanted(FLAT + RISE, min_roc=50.0)) == 0.0


def test_no_trend_by_adx_is_no_trend() -> None:
    assert max(wanted(FLAT + RISE, min_adx=100.0)) == 0.0


def test_it_lets_go_when_the_means_cross_back() -> None:
    down = [RISE[-1] * 0.97**day for day in range(1, 40)]
    held = wanted(FLAT + RISE + down)
    assert max(held) == 1.0
    first_short = next(at for at, value in enumerate(held) if value < 0)
    assert 0.0 in held[held.index(1.0) : first_short]


def test_macd_may_be_left_out_of_what_must_agree() -> None:
    # a rise that slows: MACD has crossed down, the rest still says buy
    slower = RISE + [RISE[-1] * 1.006**day for day in range(1, 12)]
    strict, lax = wanted(FLAT + slower), wanted(FLAT + slower, require_macd_cross=False)
    assert sum(value > 0 for value in lax) >= sum(value > 0 for value in strict)


def test_a_cross_is_marked_on_its_own_bar_only() -> None:
    featurize = strategy().featurize
    assert featurize is not None
    crosses = featurize(bars_of({"A": FLAT + RISE + FALL}))["MEAN_CROSS"].drop_nulls()
    assert crosses.filter(crosses != 0).to_list()[-2:] == [1.0, -1.0]


@pytest.mark.parametrize(
    "rules",
    [{"fast_sessions": 60}, {"macd_fast": 26}, {"min_confidence": 0}, {"exits": {"stop": 0}}],
)
def test_rules_that_contradict_themselves_are_refused(rules: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MomentumRules(**rules)
