"""Signals and target weights in the lake: whose they are, and of which symbols."""

from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake, empty
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.score import score, weigh_targets
from trading_pipeline_tests.factories import random_bars, sessions_from

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
(DAY,) = sessions_from(count=1)
BARS = random_bars(SYMBOLS, [DAY])
RULES = AllocationRules()
BASELINE = "alpha_baseline"
CAST = Cast(name=BASELINE, symbols=SYMBOLS, convention="crsp")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """One session with five clean bars, and a prediction of each."""
    lake = Lake(tmp_path / "lake")
    lake.write("clean_bars", BARS, [DAY])
    predictions = BARS.select(
        "symbol",
        "session",
        strategy=pl.lit(BASELINE),
        prediction=pl.int_range(pl.len()).cast(pl.Float64),
        model_version=pl.lit("1"),
    )
    lake.write("predictions", predictions, [DAY], strategy=BASELINE)
    lake.write("features", empty("features"), [DAY])
    return lake


def scored(lake: Lake) -> list[str]:
    return sorted(score(lake, CAST, [DAY])["symbol"])


def test_a_suspect_symbol_has_no_signal_though_it_has_a_clean_bar(lake: Lake) -> None:
    assert scored(lake) == list(SYMBOLS)
    suspect = BARS.filter(symbol="CCC").with_columns(reason=pl.lit("suspect_move_0.52"))
    lake.write("quarantined_bars", suspect, [DAY])
    assert scored(lake) == ["AAA", "BBB", "DDD", "EEE"]
    copies = suspect.with_columns(reason=pl.lit("duplicate"))
    lake.write("quarantined_bars", copies, [DAY])
    assert scored(lake) == list(SYMBOLS), "its bar is sound, only the copy is not"


def test_what_another_strategy_says_and_wants_stays(lake: Lake) -> None:
    other = pl.lit("other")
    signals = BARS.select(
        "symbol", "session", strategy=other, score=pl.lit(0.5), rank=pl.lit(1, pl.Int32)
    )
    weights = BARS.select("symbol", "session", strategy=other, target_weight=pl.lit(0.1))
    lake.write("signals", signals, [DAY], strategy="other")
    lake.write("target_weights", weights, [DAY], strategy="other")
    scored(lake)
    weigh_targets(lake, CAST, [DAY], RULES)
    for table, said in (("signals", signals), ("target_weights", weights)):
        held = lake.read(table, DAY, DAY)
        assert held.filter(strategy="other").equals(said)
        assert not held.filter(strategy=BASELINE).is_empty()
