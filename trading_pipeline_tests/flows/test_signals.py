"""Signals on demand are those of the trading day: same features, same model, same weights."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.feature_store import FeatureStore
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.portfolio.allocation_rules import AllocationRules
from trading_pipeline.core.portfolio.construction import ConstructionRules
from trading_pipeline.errors import MissingDataError, ModelNotFoundError, SettingsError
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.predict import predict
from trading_pipeline.flows.score import score, weigh_targets
from trading_pipeline.flows.signals import Sources, signals
from trading_pipeline_tests.adapters.model_store import models
from trading_pipeline_tests.flows import fitted, sample_lake
from trading_pipeline_tests.flows.fitted import CAUSE
from trading_pipeline_tests.flows.sample_lake import LAST, SYMBOLS

STRATEGY = "alpha_baseline"
CAST = Cast(name=STRATEGY, symbols=SYMBOLS, convention="crsp")
RULES = AllocationRules()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return sample_lake.shared(tmp_path_factory)


@pytest.fixture(scope="module")
def store(filled: Lake, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    home = tmp_path_factory.mktemp("signals")
    made = ModelStore(home / "models", models.tracking_uri(home))
    made.promote(STRATEGY, fitted.register(made, STRATEGY, fitted.model(filled)), CAUSE)
    return made


@pytest.fixture
def sources(filled: Lake, store: ModelStore) -> Sources:
    return Sources(lake=filled, models=store)


def of_the_day(filled: Lake, store: ModelStore, root: Path) -> pl.DataFrame:
    """What the trading day writes of the session."""
    lake = sample_lake.copy(filled, root)
    predictions = predict(lake, store, strategy=STRATEGY, sessions=[LAST])
    ranked = score(lake, CAST, [LAST])
    targets = weigh_targets(lake, CAST, [LAST], RULES).targets
    keys = ["symbol", "session"]
    return (
        ranked.join(predictions.select(*keys, "prediction"), on=keys)
        .join(targets.select(*keys, "target_weight"), on=keys)
        .sort("rank")
        .select("symbol", "prediction", "score", "rank", "target_weight")
    )


def test_they_are_to_the_last_bit_what_the_day_writes(
    filled: Lake, store: ModelStore, sources: Sources, redis_url: str, tmp_path: Path
) -> None:
    expected = of_the_day(filled, store, tmp_path / "lake")
    cached = replace(sources, cache=FeatureStore(redis_url, patience=10))

    for given in (sources, cached, cached):
        found = signals(given, CAST, session=LAST, rules=RULES)
        assert found.rows.equals(expected)
    assert found.versions == {STRATEGY: store.release(STRATEGY).model_version}
    assert found.missing == ()


def test_nothing_is_written(filled: Lake, sources: Sources) -> None:
    signals(sources, CAST, session=LAST, rules=RULES)

    for table in ("predictions", "signals", "target_weights"):
        assert not filled.held(table, LAST, LAST)


def test_a_symbols_prediction_is_the_same_in_any_company(sources: Sources) -> None:
    everyone = signals(sources, CAST, session=LAST, rules=RULES).rows
    two = replace(CAST, symbols=("IBM", "MSFT"))

    one = AllocationRules(names=ConstructionRules(top_n=1, bottom_n=1))

    found = signals(sources, two, session=LAST, rules=one).rows

    kept = everyone.filter(pl.col("symbol").is_in(["IBM", "MSFT"]))
    assert found.select("symbol", "prediction").equals(kept.select("symbol", "prediction"))
    assert found["target_weight"].to_list() == [1.0, -1.0]


def test_a_symbol_without_data_is_named_and_the_others_are_scored(sources: Sources) -> None:
    more = replace(CAST, symbols=(*SYMBOLS, "ZZZZ"))

    found = signals(sources, more, session=LAST, rules=RULES)

    assert found.missing == ("ZZZZ",)
    assert found.rows.height == 5


@pytest.mark.parametrize(
    ("symbols", "error", "match"),
    [
        ((), SettingsError, "No symbol"),
        (("ZZZZ",), MissingDataError, "None of ZZZZ"),
        (("AAPL", "IBM", "MSFT"), SettingsError, "3"),
    ],
)
def test_what_cannot_be_answered_is_an_error(
    sources: Sources, symbols: tuple[str, ...], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        signals(sources, replace(CAST, symbols=symbols), session=LAST, rules=RULES)


def test_a_session_of_which_every_model_has_seen_the_future_has_no_signals(
    sources: Sources,
) -> None:
    before = sample_lake.SESSIONS[-42]

    with pytest.raises(ModelNotFoundError, match="has seen prices later"):
        signals(sources, CAST, session=before, rules=RULES)


def test_a_strategy_of_rules_asks_no_model(sources: Sources) -> None:
    found = signals(sources, replace(CAST, name="momentum"), session=LAST, rules=RULES)

    assert found.versions == {}
    assert found.rows["prediction"].null_count() == found.rows.height
    assert found.rows["rank"].to_list() == [1, 2, 3, 4, 5]
