"""Relative momentum ranks by the past year without its last month."""

import polars as pl
import pytest
from pydantic import ValidationError

from trading_pipeline.core.strategies.relative_momentum import RelativeMomentumRules, strategy
from trading_pipeline_tests.factories import bars_of

NOTHING = pl.DataFrame()
SHORT = RelativeMomentumRules(since=4, until=1)


def scores(closes: dict[str, list[float | None]]) -> dict[str, float]:
    found = strategy(SHORT)(NOTHING, NOTHING, bars_of(closes))
    last = found.filter(pl.col("session") == pl.col("session").max())
    return dict(last.select("symbol", "score").iter_rows())


def test_the_return_ends_before_the_last_month() -> None:
    # returns from row 0 to row 3 are 10, 20 and 30 percent, whatever the last close
    found = scores(
        {"A": [100, 1, 1, 110, 999], "B": [100, 1, 1, 120, 1], "C": [100, 1, 1, 130, 50]}
    )
    assert found == pytest.approx({"A": -1, "B": 0, "C": 1})


def test_a_symbol_with_too_few_bars_has_no_score_and_moves_no_other() -> None:
    both = {"A": [100.0, 1, 1, 110, 5], "B": [100.0, 1, 1, 120, 5]}
    young: dict[str, list[float | None]] = {**both, "Y": [None, 100.0, 1, 1, 500]}
    assert scores(young) == scores(both)


def test_it_must_begin_before_it_ends() -> None:
    with pytest.raises(ValidationError, match="begin before"):
        RelativeMomentumRules(since=21, until=21)
