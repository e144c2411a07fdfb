"""Corporate actions read back from a vendor's adjusted close."""

import polars as pl
import pytest

from trading_pipeline.core.market.corporate_actions import Convention, adjust, infer
from trading_pipeline.errors import SchemaError
from trading_pipeline_tests.factories import (
    actions_of,
    bars_of,
    dividend,
    random_bars,
    sessions_from,
    split,
)


def _with_adjusted_close(bars: pl.DataFrame, actions: pl.DataFrame, convention: Convention):
    done = adjust(bars, actions, convention=convention)
    return bars.with_columns(adj_close=done["close"])


@pytest.mark.parametrize("convention", ["crsp", "yahoo"])
def test_actions_are_recovered_from_an_adjusted_close(convention: Convention) -> None:
    days = sessions_from(count=60)
    bars = random_bars(["A", "B"], days)
    actions = actions_of(
        split("A", days[10], 2.0),
        split("A", days[20], 1.5),
        dividend("A", days[30], 0.38),
        split("A", days[40], 7.0),
        dividend("A", days[40], 1.25),
        split("B", days[25], 0.05),
        dividend("B", days[50], 0.1175),
    ).sort("symbol", "ex_date", maintain_order=True)
    vendor = _with_adjusted_close(bars, actions, convention)
    found = infer(vendor, "adj_close", convention=convention)
    assert found.drop("split_ratio", "dividend").equals(actions.drop("split_ratio", "dividend"))
    assert found["dividend"].to_list() == actions["dividend"].to_list()
    assert found["split_ratio"].to_list() == actions["split_ratio"].to_list()


def test_actions_are_recovered_from_an_adjusted_close_of_six_decimals() -> None:
    days = sessions_from(count=60)
    actions = actions_of(dividend("A", days[30], 0.38), split("A", days[40], 3.0))
    vendor = _with_adjusted_close(random_bars(["A"], days), actions, "yahoo")
    found = infer(vendor.with_columns(pl.col("adj_close").round(6)), convention="yahoo")
    assert found["dividend"].to_list() == [0.38, 0.0]
    assert found["split_ratio"].to_list() == [1.0, 3.0]


@pytest.mark.parametrize("jump", [1.332453, 1.841, 2.376])
def test_shares_of_another_company_are_a_dividend_of_their_worth(jump: float) -> None:
    days = sessions_from(count=2)
    bars = bars_of({"A": [87.8, 40.0]}).with_columns(adj_close=pl.Series([87.8 / jump, 40.0]))
    found = infer(bars)
    assert found.select("ex_date", "kind", "split_ratio").row(0) == (days[1], "dividend", 1.0)
    assert found["dividend"].to_list() == [pytest.approx((jump - 1) * 40.0, abs=1e-6)]


def test_an_adjusted_close_that_falls_without_a_reverse_split_is_refused() -> None:
    bars = bars_of({"A": [100.0, 100.0]}).with_columns(adj_close=pl.Series([100.0, 98.7]))
    with pytest.raises(SchemaError, match=r"A falls by 0\.013 against the close on 2012-01-04"):
        infer(bars)
    with pytest.raises(SchemaError, match="adj_close"):
        infer(bars.drop("adj_close"))


def test_an_adjusted_close_equal_to_the_close_holds_no_actions() -> None:
    bars = random_bars(["A"], sessions_from(count=20)).with_columns(adj_close=pl.col("close"))
    found = infer(bars)
    assert found.is_empty()
    assert found.schema == actions_of().schema
