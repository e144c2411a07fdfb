"""A strategy replayed over the sample: scored as the day scores it, on record, with its page."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.backtest.board import Board
from trading_pipeline.core.backtest.panel import Panel, dense, on_grid, weights_on
from trading_pipeline.core.backtest.rules import BacktestOptions, BacktestRules
from trading_pipeline.core.backtest.vectorized import by_shares
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import ConstructionRules, weigh, weigh_dense
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.strategies import StrategyRules, strategies
from trading_pipeline.core.strategies.as_of import scores_as_of
from trading_pipeline.core.strategies.ensemble import EnsembleRules
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.backtest import Replayed, Study, replay, targets_of
from trading_pipeline.flows.backtest_report import build, save
from trading_pipeline.flows.know import Cast, known, own_features
from trading_pipeline.flows.score import score
from trading_pipeline.flows.sweep import sweep, table
from trading_pipeline_tests.flows import sample_lake

FIRST, LAST = date(2013, 1, 2), date(2013, 2, 27)
RULES = ["mean_reversion", "momentum", "relative_momentum"]


def no_model(name: str, session: date, within: int | None) -> Release:
    raise AssertionError(f"{name} asked for a model of {session}: rules ask none")


VOTES = StrategyRules(ensemble=EnsembleRules(members=("mean_reversion", "momentum")))


def cast(name: str) -> Cast:
    """A strategy by name; the ensemble is of rules, which need no model."""
    return Cast(name=name, symbols=sample_lake.SYMBOLS, convention="crsp", among=strategies(VOTES))


def study(name: str = "momentum", **rules: object) -> Study:
    return Study(
        cast=cast(name),
        first=FIRST,
        last=LAST,
        allocation=AllocationRules(),
        rules=BacktestRules(**rules),
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


def panel_of(lake: Lake, days: list[date]) -> Panel:
    bars = lake.read("raw_bars", days[0], days[-1]).unique(["symbol", "session"])
    paid = lake.read("corporate_actions", days[0], days[-1])
    return dense(bars, paid, sessions=days, symbols=sorted(sample_lake.SYMBOLS))


@pytest.fixture(scope="module")
def replayed(lake: Lake) -> Replayed:
    return replay(lake, study(), no_model)


@pytest.mark.parametrize("name", RULES)
def test_a_range_is_scored_as_its_sessions_one_by_one(lake: Lake, name: str) -> None:
    days = sessions_between(FIRST, LAST)[-6:]
    whole = scores_as_of(cast(name).strategy, known(lake, cast(name), days), days)
    alone = [scores_as_of(cast(name).strategy, known(lake, cast(name), [d]), [d]) for d in days]
    assert whole.equals(pl.concat(alone))
    assert whole["session"].unique().sort().to_list() == days


@pytest.mark.parametrize("name", [*RULES, "ensemble"])
def test_a_sweep_scores_what_the_day_scores(lake: Lake, name: str) -> None:
    days = sessions_between(FIRST, LAST)[-12:]
    given = known(lake, cast(name), days)
    exact = scores_as_of(cast(name).strategy, given, days)
    panel = panel_of(lake, days)
    fast = Board(given, panel).scores(cast(name).strategy)
    expected = on_grid(exact, "score", panel)
    np.testing.assert_allclose(fast, expected, rtol=1e-9, atol=1e-12)
    assert np.isfinite(fast).any()


def test_what_the_day_writes_as_signals_is_what_the_backtest_decides_on(
    lake: Lake, replayed: Replayed, tmp_path: Path
) -> None:
    mine = sample_lake.copy(lake, tmp_path / "lake")
    days = sessions_between(FIRST, LAST)[-3:]
    written = score(mine, cast("momentum"), days)
    assert replayed.signals.filter(pl.col("session").is_in(days)).equals(written)


def test_dense_weights_are_the_weights_of_the_day(replayed: Replayed) -> None:
    rules, panel = ConstructionRules(top_n=2, bottom_n=1), replayed.panel
    found = weigh_dense(on_grid(replayed.signals, "score", panel), rules)
    expected = weights_on(weigh(replayed.signals, rules), panel)
    assert found.tolist() == expected.tolist()


def test_the_features_of_a_model_of_ones_own_are_those_of_each_session(lake: Lake) -> None:
    own = own_features(cast("mean_reversion_gbm"), "mean_reversion_gbm")
    assert own is not None
    days = sessions_between(FIRST, LAST)[-4:]
    whole = own.rows(lake, days)
    assert whole.equals(pl.concat(own.rows(lake, [day]) for day in days))
    assert set(whole["feature_version"]) == {"mean-reversion-1"}


def test_missing_bars_of_the_look_back_are_told_rather_than_guessed(lake: Lake) -> None:
    early = replace(study(), first=date(2012, 1, 3), last=date(2012, 3, 1))
    with pytest.raises(MissingDataError, match="needs clean bars of the 500 sessions"):
        replay(lake, early, no_model)


def test_the_report_has_every_figure_and_one_page_that_needs_nothing_else(
    replayed: Replayed, tmp_path: Path
) -> None:
    report = build(replayed, parameters={"first": str(FIRST)}, trials=[0.1, -0.4, 1.2])
    its = report.figures
    assert report.sessions[0] == FIRST
    assert its.trials == 4
    assert its.deflated_sharpe is not None
    assert its.beta is not None
    assert its.capacity is not None
    total = {row.kind: row.dollars for row in report.costs}
    assert (
        total["total"]
        == total["commission"] + total["slippage"] + total["borrow"] + total["interest"]
    )
    gains = sum(row.gain for row in report.symbols_gained)
    assert gains == report.final_nav - report.capital
    assert [row.horizon for row in report.decay] == [1, 2, 3, 5, 10, 20]
    assert len(report.buckets) == len(sample_lake.SYMBOLS)
    year = report.months[0]
    assert year.total == pytest.approx(its.total_return, rel=1e-9)
    page = save(report, tmp_path / "page.html").read_text()
    assert page.count("<svg") >= 4
    assert 'src="http' not in page
    assert report.summary.partition(",")[0] in page
    assert save(report, tmp_path / "nav.csv").read_text().count("\n") == len(report.nav) + 1
    assert '"strategy": "momentum"' in save(report, tmp_path / "all.json").read_text()


def test_a_benchmark_that_nobody_trades_is_refused_by_name(replayed: Replayed) -> None:
    asked = replace(replayed, study=study(**BacktestOptions(benchmark="SPY").model_dump()))
    with pytest.raises(MissingDataError, match="SPY"):
        build(asked, parameters={})


def test_holding_a_benchmark_earns_its_total_return(lake: Lake, replayed: Replayed) -> None:
    made = build(replace(replayed, study=study(benchmark="IBM")), parameters={})
    bars = lake.read("clean_bars", FIRST, LAST, symbols=["IBM"])
    paid = lake.read("corporate_actions", FIRST, LAST, symbols=["IBM"])
    assert paid["dividend"].sum() > 0
    shares, cash_day = 1.0, dict(paid.select("session", "dividend").iter_rows())
    for day, close in bars.select("session", "close").iter_rows():
        shares *= 1 + (cash_day.get(day, 0.0) / close if day > FIRST else 0.0)
    whole = shares * bars["close"][-1] / bars["close"][0] - 1
    assert made.figures.benchmark_return == pytest.approx(whole, rel=1e-9)


def test_a_sweep_tells_the_best_of_many_from_luck(lake: Lake) -> None:
    told: list[tuple[int, int]] = []
    trials = [({"portfolio.top_n": str(n)}, replace(study(), allocation=_names(n))) for n in (1, 2)]
    swept = sweep(
        lake,
        trials,
        no_model,
        tell=lambda done, of: told.append((done, of)),
        others=[-3, -2, -1, 0, 0, 1, 2, 3],
    )
    ratios = [each.performance.sharpe or 0.0 for each in swept.tried]
    assert ratios == sorted(ratios, reverse=True)
    assert swept.trials == 10
    assert told == [(0, 2), (1, 2), (2, 2)]
    alone = sweep(lake, trials, no_model, tell=lambda done, of: None)
    assert (swept.deflated_sharpe or 1) < (alone.deflated_sharpe or 0) - 0.1
    assert table(swept).columns[:2] == ["portfolio.top_n", "sharpe"]


def test_a_sweep_varies_how_scores_become_weights(lake: Lake, replayed: Replayed) -> None:
    """By the function of the day, so that a trial is what a backtest of its weights is."""
    roomy = SizingRules(max_position_size=Decimal(10**6))
    held = {
        name: replace(study(sizing=roomy), allocation=AllocationRules(method=name))
        for name in ("top_n", "inverse_volatility", "score_proportional")
    }
    trials = [({"allocation.method": name}, each) for name, each in held.items()]
    swept = sweep(lake, trials, no_model, tell=lambda done, of: None)
    assert len({each.returns for each in swept.tried}) == 3
    wanted = targets_of(lake, held["inverse_volatility"], replayed.signals)
    panel, rules = replayed.panel, held["inverse_volatility"].rules
    navs = by_shares(weights_on(wanted, panel), panel, rules)
    mine = next(each for each in swept.tried if "inverse_volatility" in each.changes.values())
    assert mine.returns == pytest.approx((navs[1:] / navs[:-1] - 1).tolist(), abs=1e-12)


def _names(count: int) -> AllocationRules:
    return AllocationRules(names=ConstructionRules(top_n=count, bottom_n=count))
