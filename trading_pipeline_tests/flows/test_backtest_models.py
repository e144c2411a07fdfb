"""Models in a backtest: each decides on what came after its training, and is then replaced."""

from dataclasses import replace
from datetime import date

import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.market.calendar import session_window, sessions_between
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.dataset import newest_split
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.errors import ModelError, SettingsError
from trading_pipeline.flows.backtest import Study, replay
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.sweep import sweep
from trading_pipeline.flows.train import read_dataset
from trading_pipeline_tests.flows import fitted, sample_lake

FIRST, LAST = date(2013, 1, 2), date(2013, 2, 27)
NAME = "alpha_baseline"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


def study(**rules: object) -> Study:
    return Study(
        cast=Cast(name=NAME, symbols=sample_lake.SYMBOLS, convention="crsp"),
        first=FIRST,
        last=LAST,
        allocation=AllocationRules(),
        rules=BacktestRules(**rules),
    )


class Trainer:
    """Trains as of a session whenever it is asked, and remembers what it was asked."""

    def __init__(self, lake: Lake, *, ahead: int = 0) -> None:
        self.asked: list[tuple[date, int | None]] = []
        self._lake, self._ahead = lake, ahead

    def __call__(self, name: str, session: date, within: int | None) -> Release:
        assert name == NAME
        self.asked.append((session, within))
        days = sessions_between(session, LAST)
        made = trained(self._lake, days[self._ahead])
        version = {"version": str(len(self.asked)), "run_id": f"run{len(self.asked)}"}
        return replace(made, manifest=made.manifest.model_copy(update=version))


def trained(lake: Lake, as_of: date) -> Release:
    """A model of what was known at the close of a session."""
    dataset = read_dataset(lake, sample_lake.training(as_of))
    split = newest_split(dataset.sessions(), train=200, valid=30, embargo=2)
    params = sample_lake.RULES.gbm.model_copy(update={"rounds": 5})
    model = gbm.fit(dataset.within(split.train), dataset.within(split.valid), params)
    return fitted.release(model, split, through=as_of)


def test_models_are_trained_anew_as_a_backtest_walks_forward(lake: Lake) -> None:
    days, trainer = sessions_between(FIRST, LAST), Trainer(lake)
    done = replay(lake, study(retrain_every=20), trainer)
    assert trainer.asked == [(days[0], 20), (days[20], 20)]
    said = done.signals["session"].unique().sort().to_list()
    assert said == days, "every session is scored"
    assert done.versions[NAME].count(", ") == 1, "two models are named"
    assert done.result.fills


def test_without_that_one_model_decides_on_all_of_them(lake: Lake) -> None:
    trainer = Trainer(lake)
    done = replay(lake, study(), trainer)
    assert trainer.asked == [(FIRST, None)]
    assert "," not in done.versions[NAME]


def test_later_sessions_change_nothing_that_an_earlier_model_said(lake: Lake) -> None:
    """The prefix test of a walk forward: a shorter backtest is the beginning of a longer one."""
    until = session_window(LAST, 12)[0]
    whole = replay(lake, study(retrain_every=20), Trainer(lake))
    part = replay(lake, replace(study(retrain_every=20), last=until), Trainer(lake))
    days = sessions_between(FIRST, until)
    assert part.signals.equals(whole.signals.filter(whole.signals["session"] <= until))
    assert part.result.navs == whole.result.navs[: len(days)]


def test_a_model_that_has_seen_a_later_price_decides_nothing(lake: Lake) -> None:
    with pytest.raises(ModelError, match=f"cannot decide on {FIRST}"):
        replay(lake, study(), Trainer(lake, ahead=1))


def test_the_trials_of_a_sweep_are_given_the_same_predictions(lake: Lake) -> None:
    trainer = Trainer(lake)
    trials = [
        ({"portfolio.top_n": str(top)}, replace(study(), allocation=AllocationRules(names=names)))
        for top in (1, 2)
        for names in [ConstructionRules(top_n=top, bottom_n=1)]
    ]
    swept = sweep(lake, trials, trainer, tell=lambda done, of: None)
    assert trainer.asked == [(FIRST, None)]
    assert len({each.returns for each in swept.tried}) == 2
    mixed = [trials[0], ({}, study(retrain_every=20))]
    with pytest.raises(SettingsError, match="retrain_every cannot be varied"):
        sweep(lake, mixed, trainer, tell=lambda done, of: None)
