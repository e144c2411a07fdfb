"""What the gate knows: the market as of the session, and the record without the orders judged."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.flows.risk_view import MarketFacts, market_facts, view_of
from trading_pipeline_tests.factories import (
    FIRST,
    KNOWN_AT,
    actions_of,
    random_bars,
    raw_actions,
    sessions_from,
    split,
)
from trading_pipeline_tests.fakes import NOW, STRATEGY, accepted, make_decision, make_order

DAYS = sessions_from(FIRST, 80)
LIMITS = RiskLimits(correlation_look_back=10)
BARS = random_bars(["AAPL", "IBM"], DAYS)


def facts(folder: Path, session: date = DAYS[70]) -> MarketFacts:
    """The facts of a lake in which IBM splits two for one at the 66th session."""
    lake = Lake(folder)
    halved = (pl.col("symbol") == "IBM") & (pl.col("session") >= DAYS[65])
    prices = pl.when(halved).then(pl.col("open", "high", "low", "close", "vwap") / 2)
    bars = BARS.with_columns(prices.otherwise(pl.col("open", "high", "low", "close", "vwap")))
    bars = bars.filter(~((pl.col("symbol") == "AAPL") & (pl.col("session") == DAYS[70])))
    lake.write("clean_bars", bars, DAYS)
    actions = raw_actions(actions_of(split("IBM", DAYS[65], 2.0)))
    restated = raw_actions(split("IBM", DAYS[65], 2.0), known_at=KNOWN_AT + timedelta(days=1))
    lake.write("corporate_actions", pl.concat([actions, restated]), DAYS)
    one = BARS.filter(pl.col("symbol") == "AAPL", pl.col("session") == DAYS[70])
    lake.write("quarantined_bars", one.with_columns(reason=pl.lit("duplicate")), DAYS)
    symbols = ["AAPL", "IBM", "MSFT"]
    return market_facts(lake, symbols, session, limits=LIMITS, convention="crsp")


def test_the_market_is_known_as_of_the_session(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert found.sessions_behind == {"AAPL": 1, "IBM": 0}
    assert found.suspects == {"AAPL": f"its bar of {DAYS[70]} is in quarantine, duplicate."}
    of_ibm = BARS.filter(pl.col("symbol") == "IBM", pl.col("session").is_in(DAYS[51:71]))
    mean = of_ibm["volume"].mean()
    assert found.average_volumes is not None
    assert float(found.average_volumes["IBM"]) == pytest.approx(mean)
    assert "MSFT" not in found.average_volumes


def test_returns_are_of_adjusted_closes_and_a_missing_bar_is_no_move(tmp_path: Path) -> None:
    returns = facts(tmp_path).returns
    assert returns is not None
    assert returns.symbols == ("AAPL", "IBM")
    closes = BARS.filter(pl.col("symbol") == "IBM")["close"].to_numpy()
    expected = closes[1:71] / closes[:70] - 1
    assert returns.values[-10:, 1] == pytest.approx(expected[-10:])
    assert returns.values[-1, 0] == 0.0
    assert np.isfinite(returns.values).all()


def test_a_view_leaves_out_the_orders_that_are_judged(ledger: Ledger) -> None:
    mine, sent = make_order("AAPL"), make_order("IBM", sequence=2)
    ledger.record_decision(make_decision(), [mine, sent])
    ledger.append(at=NOW, orders=accepted(sent))
    whose = (STRATEGY, mine.session)
    marks = {"AAPL": Decimal(100)}
    view = view_of(ledger, limits=LIMITS, marks=marks, now=NOW, besides=whose)
    assert [order.symbol for order in view.open_orders] == ["IBM"]
    assert (view.orders_in_session, view.orders_in_minute, view.turnover) == (1, 1, 1_000)
    later = view_of(ledger, limits=LIMITS, marks=marks, now=NOW + timedelta(hours=1), besides=whose)
    assert later.orders_in_minute == 0
    every = view_of(ledger, limits=LIMITS, marks=marks, now=NOW)
    assert {order.state for order in every.open_orders} == {OrderState.PLANNED, OrderState.ACCEPTED}
    assert every.state is TradingState.ACTIVE
