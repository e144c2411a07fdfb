"""Training on real prices through the lake: judged out of sample, blind to what came later."""

import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.core.market.calendar import next_session, session_window
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models import walk as walking
from trading_pipeline.core.models.gbm import GbmParams
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.models.scaling import FeatureScale, NormalizationRules
from trading_pipeline.errors import (
    AdapterError,
    MissingDataError,
    ModelNotFoundError,
    SettingsError,
)
from trading_pipeline.flows import featurize
from trading_pipeline.flows import judge as judging
from trading_pipeline.flows import predict as predicting
from trading_pipeline.flows import signals as live
from trading_pipeline.flows.predict import predict
from trading_pipeline.flows.train import ensure_release, judge, read_dataset, train
from trading_pipeline.flows.trained import Trained
from trading_pipeline.flows.training_record import sharpes_on_record
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import sample_lake
from trading_pipeline_tests.flows.sample_lake import LAST, SESSIONS, training

EARLIER = SESSIONS[-40]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture
def lake(filled: Lake, tmp_path: Path) -> Lake:
    return sample_lake.copy(filled, tmp_path / "lake")


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One registry for all; each test has its own bundles."""
    return models.tracking_uri(models.registry_home(tmp_path_factory))


@pytest.fixture
def store(tmp_path: Path, tracking_uri: str) -> ModelStore:
    return ModelStore(tmp_path / "models", tracking_uri)


@pytest.fixture(scope="module")
def trained(filled: Lake, tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    store = ModelStore(tmp_path_factory.mktemp("trained") / "models", tracking_uri)
    return train(filled, store, training())


@pytest.fixture(scope="module")
def released(
    filled: Lake, tracking_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Release]:
    """A folder of bundles with one release: not to be changed."""
    folder = tmp_path_factory.mktemp("released") / "models"
    store = ModelStore(folder, tracking_uri)
    return folder, ensure_release(filled, store, training(), now=sample_lake.KNOWN_AT)


def only_until(lake: Lake, root: Path, last: date) -> Lake:
    """The same lake as it stood when `last` was its newest session."""
    until = Lake(root)
    for table in ("clean_bars", "corporate_actions", "features"):
        until.write(table, lake.read(table, SESSIONS[0], last), lake.held(table, SESSIONS[0], last))
    return until


def test_a_model_trained_on_the_sample_predicts_its_last_session(
    lake: Lake, tracking_uri: str, released: tuple[Path, Release]
) -> None:
    folder, release = released
    store = ModelStore(folder, tracking_uri)

    predictions = predict(lake, store, strategy="alpha_baseline", sessions=[LAST])

    assert release.manifest.features == NAMES
    assert release.manifest.feature_version == VERSION
    assert predictions["symbol"].to_list() == list(sample_lake.SYMBOLS)
    assert predictions["model_version"].unique().to_list() == [release.model_version]
    assert predictions["prediction"].n_unique() > 1


def test_training_the_live_day_the_gates_and_signals_call_the_same_functions() -> None:
    assert featurize.features_as_of is judging.features_as_of  # training reads what it has stored
    asked = {walking.gbm.predict, predicting.gbm.predict, judging.gbm.predict, live.gbm.predict}
    assert asked == {gbm.predict}
    opened = {walking.gbm.load, predicting.gbm.load, judging.gbm.load, live.gbm.load}
    assert opened == {gbm.load}


def test_a_model_scores_a_stored_session_tomorrow_as_it_did_today(
    lake: Lake, tmp_path: Path, released: tuple[Path, Release]
) -> None:
    _, release = released
    past = only_until(lake, tmp_path / "past", SESSIONS[-2])
    asked = [SESSIONS[-2]]

    today = predicting.predicted(past, release, strategy="alpha_baseline", sessions=asked)
    tomorrow = predicting.predicted(lake, release, strategy="alpha_baseline", sessions=asked)

    assert tomorrow.equals(today)


def test_a_training_is_recorded_with_its_windows_figures_and_pictures(trained: Trained) -> None:
    assert trained.card.symbols == sample_lake.SYMBOLS
    assert trained.card.metrics["sessions"] == 60
    assert trained.card.metrics["symbols_max"] == 5
    low, high = (trained.judged.metrics[f"rank_ic_{end}"] for end in ("low", "high"))
    assert low < trained.judged.metrics["rank_ic"] < high
    assert {"train_mae", "valid_mae", "train_ic", "valid_ic"} <= trained.judged.metrics.keys()
    assert [len(split.test) for split in trained.judged.splits.values()] == [30, 30, 0]
    assert trained.judged.splits["final"].train[0] == trained.card.trained_from


def test_the_run_in_the_registry_names_code_and_data(trained: Trained, store: ModelStore) -> None:
    (run,) = [run for run in store.runs("alpha_baseline") if run.run_id == trained.version.run_id]

    assert run.params["train_sessions"] == "300"
    assert run.params["learning_rate"] == "0.05"
    assert run.tags["mlflow.source.git.commit"] == "0123abc"
    assert run.tags["feature_version"] == VERSION
    assert run.tags["data_through"] == str(LAST)
    assert len(run.tags["data_digest"]) == 64
    assert "5 symbols" in run.tags["mlflow.note.content"]
    assert run.metrics["rank_ic"] == pytest.approx(trained.judged.metrics["rank_ic"])
    assert "fold_rank_ic" in run.metrics


def test_the_run_holds_learning_curves_importance_and_plots(
    trained: Trained, store: ModelStore, tracking_uri: str
) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - heavy

    client, run_id = MlflowClient(tracking_uri), trained.version.run_id
    files = {one.path for one in client.list_artifacts(run_id)}
    plots = {one.path for one in client.list_artifacts(run_id, "plots")}
    curve = client.get_metric_history(run_id, "curve_valid")
    folds = client.get_metric_history(run_id, "fold_rank_ic")

    texts = ("model.txt", "card.json", "importance.json", "learning_curves.json", "daily_ic.csv")
    assert {*texts, "splits.json", "report.html", "plots"} == files
    names = ("ic", "learning_curves", "importance", "wealth", "buckets", "decay")
    assert plots == {f"plots/{name}.svg" for name in names}
    said = trained.judged.final.model.curves["valid"]
    assert [(one.step, one.value) for one in curve] == list(enumerate(said, 1))
    assert [one.value for one in folds] == [
        fold.test.rank_ic.value for fold in trained.judged.walk.folds
    ]


def test_the_newest_label_is_the_newest_that_is_wholly_known(filled: Lake) -> None:
    dataset = read_dataset(filled, training(EARLIER))

    newest = dataset.sessions()[-1]
    assert newest == session_window(EARLIER, 3)[0]
    assert next_session(next_session(newest)) == EARLIER


def test_the_label_is_the_return_from_the_next_open_to_the_one_after(filled: Lake) -> None:
    rows = read_dataset(filled, training()).rows
    session = date(2013, 1, 10)
    opens = [
        filled.read("clean_bars", day, day, symbols=["GOOG"])["open"].item()
        for day in (date(2013, 1, 11), date(2013, 1, 14))
    ]

    found = rows.filter(pl.col("symbol") == "GOOG", pl.col("session") == session)["label"].item()

    assert found == pytest.approx(opens[1] / opens[0] - 1)


@pytest.mark.parametrize("features", ["none", "robust_zscore"])
def test_what_came_later_does_not_change_the_model(
    filled: Lake, tmp_path: Path, store: ModelStore, features: FeatureScale
) -> None:
    past = only_until(filled, tmp_path / "past", EARLIER)
    few = {"folds": 1, "gbm": GbmParams(rounds=5, early_stopping=5)}
    normalization = NormalizationRules(features=features)
    rules = sample_lake.RULES.model_copy(update={**few, "normalization": normalization})
    asked = replace(training(EARLIER), rules=rules)

    with_future, without = (
        judge(read_dataset(lake, asked), asked, store, lambda what, share: None)
        for lake in (filled, past)
    )

    assert with_future.final.model.text == without.final.model.text
    assert ("\nscaling:" in without.final.model.text) == (features == "robust_zscore")
    assert with_future.metrics == without.metrics


def test_training_again_gives_the_same_model_and_tells_its_progress(
    filled: Lake, trained: Trained, store: ModelStore
) -> None:
    told: list[tuple[str, float]] = []

    again = train(
        filled, store, training(), progress=lambda what, share: told.append((what, share))
    )

    assert again.card.sha256 == trained.card.sha256
    assert again.version.version != trained.version.version
    assert list(dict(told)) == ["fold 1 of 2", "fold 2 of 2", "final model"]
    assert told[-1][1] <= 1


def test_a_corporate_action_that_was_delivered_twice_counts_once(lake: Lake) -> None:
    split = pl.DataFrame(
        {
            "symbol": ["IBM"],
            "session": [date(2012, 6, 1)],
            "ex_date": [date(2012, 6, 1)],
            "kind": ["split"],
            "split_ratio": [2.0],
            "dividend": [0.0],
            "new_symbol": pl.Series([None], dtype=pl.String),
            "new_shares": pl.Series([None], dtype=pl.Float64),
            "vendor": ["sample"],
            "known_at": [sample_lake.KNOWN_AT],
        }
    ).with_columns(pl.col("known_at").cast(pl.Datetime("us", "UTC")))
    later = split.with_columns(pl.col("known_at") + timedelta(days=1))
    plain = read_dataset(lake, training()).rows["label"]

    lake.write("corporate_actions", split, [date(2012, 6, 1)])
    once = read_dataset(lake, training()).rows["label"]
    lake.write("corporate_actions", pl.concat([split, later]), [date(2012, 6, 1)])
    twice = read_dataset(lake, training()).rows["label"]

    assert not once.equals(plain)
    assert twice.equals(once)


def test_a_release_is_trained_once_and_an_older_session_gets_a_model_of_its_time(
    lake: Lake, tmp_path: Path, tracking_uri: str, released: tuple[Path, Release]
) -> None:
    folder, champion = released
    shutil.copytree(folder, tmp_path / "models", symlinks=True)
    store = ModelStore(tmp_path / "models", tracking_uri)
    runs = len(store.runs("alpha_baseline"))

    assert ensure_release(lake, store, training(), now=sample_lake.KNOWN_AT) == champion
    assert len(store.runs("alpha_baseline")) == runs
    replay = ensure_release(lake, store, training(EARLIER), now=sample_lake.KNOWN_AT)

    assert replay.manifest.trained_through == EARLIER
    assert store.release("alpha_baseline") == champion
    assert store.release("alpha_baseline", session=EARLIER) == replay
    assert ensure_release(lake, store, training(EARLIER), now=sample_lake.KNOWN_AT) == replay
    assert len(store.runs("alpha_baseline")) == runs + 1


def test_a_session_without_features_is_missing_data(
    filled: Lake, tmp_path: Path, store: ModelStore
) -> None:
    past = only_until(filled, tmp_path / "past", SESSIONS[-2])

    with pytest.raises(MissingDataError, match="1 are missing, the first 2013-02-28"):
        train(past, store, training())


def test_a_history_too_short_for_the_rules_is_missing_data(filled: Lake, store: ModelStore) -> None:
    greedy = replace(training(), rules=TrainingRules(train_sessions=600, valid_sessions=60))

    with pytest.raises(MissingDataError, match=r"lower training\.train_sessions"):
        train(filled, store, greedy)


def test_a_history_from_before_the_calendar_is_missing_data(
    filled: Lake, store: ModelStore
) -> None:
    with pytest.raises(MissingDataError, match="needs features of 426 sessions"):
        train(filled, store, training(date(2000, 6, 1)))


def test_a_single_symbol_cannot_be_ranked(filled: Lake, store: ModelStore) -> None:
    with pytest.raises(SettingsError, match="at least 2"):
        train(filled, store, replace(training(), symbols=("AAPL",)))


def test_a_day_without_trading_is_refused(filled: Lake, store: ModelStore) -> None:
    with pytest.raises(SettingsError, match="no session of the exchange"):
        train(filled, store, training(date(2013, 2, 24)))


def test_a_training_that_cannot_be_recorded_releases_nothing(filled: Lake, tmp_path: Path) -> None:
    broken = ModelStore(tmp_path / "models", "nonsense://nowhere")

    few = {"folds": 1, "gbm": GbmParams(rounds=2)}
    asked = replace(training(), rules=sample_lake.RULES.model_copy(update=few))

    with pytest.raises(AdapterError, match="MLflow could not"):
        ensure_release(filled, broken, asked, now=sample_lake.KNOWN_AT)

    with pytest.raises(ModelNotFoundError):
        broken.release("alpha_baseline")


def test_everything_tried_as_of_the_same_session_counts_against_the_figure(
    filled: Lake, store: ModelStore, trained: Trained
) -> None:
    rules = sample_lake.RULES.model_copy(update={"trials": 3})

    searched = train(filled, store, replace(training(), rules=rules))
    (run,) = [one for one in store.runs("alpha_baseline") if one.run_id == searched.version.run_id]
    others = sharpes_on_record(store.runs("alpha_baseline"), training())
    its = searched.judged

    assert len(its.trials) == 3
    assert its.ranking.trials == 1 + 3 + 1  # itself, its search, and the training without one
    assert run.metrics["trials"] == 5
    assert len(run.tags["sharpes_tried"].split(",")) == 4
    assert len(others) == 4  # the same training made again is no trial of its own
    assert sharpes_on_record(store.runs("alpha_baseline"), training(EARLIER)) == []
    assert its.rules.gbm == its.trials[0].params
    assert "deflated for 5 trials" in run.tags["mlflow.note.content"]


def test_the_page_holds_every_figure_and_plot_and_needs_no_other_file(trained: Trained) -> None:
    page, its = trained.page, trained.judged

    assert page.count("<svg") == 6
    assert "src=" not in page
    assert "<script" not in page
    for said in ("60 sessions", "Deflated Sharpe", "Turnover", "Decay", str(its.walk.test.first)):
        assert said in page
    assert f"{its.walk.test.rank_ic.value:+.4f}".replace("-", "−") in page


def test_rules_cover_a_study_by_as_many_folds_as_it_takes() -> None:
    rules = sample_lake.RULES

    assert rules.covering(62).folds == 2
    assert rules.covering(63).folds == 3
    assert rules.covering(2).folds == 1
