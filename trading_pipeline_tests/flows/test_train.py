"""Training on real prices through the lake: judged out of sample, blind to what came later."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.core.market.calendar import next_session, session_window
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.errors import (
    AdapterError,
    MissingDataError,
    ModelNotFoundError,
    SettingsError,
)
from trading_pipeline.flows.predict import predict
from trading_pipeline.flows.train import ensure_release, read_dataset, train
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


def only_until(lake: Lake, root: Path, last: date) -> Lake:
    """The same lake as it stood when `last` was its newest session."""
    until = Lake(root)
    for table in ("clean_bars", "corporate_actions", "features"):
        until.write(table, lake.read(table, SESSIONS[0], last), lake.held(table, SESSIONS[0], last))
    return until


def test_a_model_trained_on_the_sample_predicts_its_last_session(
    lake: Lake, store: ModelStore
) -> None:
    release = ensure_release(lake, store, training(), now=sample_lake.KNOWN_AT)

    predictions = predict(lake, store, strategy="alpha_baseline", sessions=[LAST])

    assert release.manifest.features == NAMES
    assert release.manifest.feature_version == VERSION
    assert predictions["symbol"].to_list() == list(sample_lake.SYMBOLS)
    assert predictions["model_version"].unique().to_list() == [release.model_version]
    assert predictions["prediction"].n_unique() > 1


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


def test_what_came_later_does_not_change_the_model(
    filled: Lake, tmp_path: Path, store: ModelStore
) -> None:
    past = only_until(filled, tmp_path / "past", EARLIER)

    with_future = train(filled, store, training(EARLIER))
    without = train(past, store, training(EARLIER))

    assert with_future.card.sha256 == without.card.sha256
    assert with_future.card.trained_through == EARLIER


def test_training_again_gives_the_same_model(
    filled: Lake, trained: Trained, store: ModelStore
) -> None:
    again = train(filled, store, training())

    assert again.card.sha256 == trained.card.sha256
    assert again.version.version != trained.version.version


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


def test_a_release_is_trained_once_and_then_used(lake: Lake, store: ModelStore) -> None:
    first = ensure_release(lake, store, training(), now=sample_lake.KNOWN_AT)
    runs = len(store.runs("alpha_baseline"))

    again = ensure_release(lake, store, training(), now=sample_lake.KNOWN_AT)

    assert again == first
    assert len(store.runs("alpha_baseline")) == runs


def test_an_older_session_gets_a_model_of_its_time_and_the_champion_stays(
    lake: Lake, store: ModelStore
) -> None:
    champion = ensure_release(lake, store, training(), now=sample_lake.KNOWN_AT)

    replay = ensure_release(lake, store, training(EARLIER), now=sample_lake.KNOWN_AT)

    assert replay.manifest.trained_through == EARLIER
    assert store.release("alpha_baseline") == champion
    assert store.release("alpha_baseline", session=EARLIER) == replay
    assert ensure_release(lake, store, training(EARLIER), now=sample_lake.KNOWN_AT) == replay


def test_progress_is_told_to_whoever_asks(filled: Lake, store: ModelStore) -> None:
    told: list[tuple[str, float]] = []

    train(filled, store, training(), progress=lambda what, share: told.append((what, share)))

    assert list(dict(told)) == ["fold 1 of 2", "fold 2 of 2", "final model"]


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

    with pytest.raises(AdapterError, match="MLflow could not"):
        ensure_release(filled, broken, training(), now=sample_lake.KNOWN_AT)

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
