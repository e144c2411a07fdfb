"""Rows in bins are made once for the same rows, and never used damaged or for others."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trading_pipeline.adapters.bin_cache import MANIFEST, MIB, TRAIN, VALID, BinCache
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.binning import Recipe, bin_rows
from trading_pipeline.core.models.dataset import Dataset
from trading_pipeline.core.models.gbm import GbmParams
from trading_pipeline.core.models.scaling import NormalizationRules
from trading_pipeline.core.models.search import search
from trading_pipeline.core.models.walk import final, walk
from trading_pipeline_tests.core.models import panels

PARAMS = GbmParams(rounds=5, min_data_in_leaf=5)
RECIPE = Recipe(params=PARAMS)
WHOLE = panels.dataset(60)
DAYS = WHOLE.sessions()
TRAIN_ROWS, VALID_ROWS = WHOLE.within(DAYS[:40]), WHOLE.within(DAYS[42:])


@pytest.fixture
def cache(tmp_path: Path) -> BinCache:
    return BinCache(tmp_path / "bins", limit_mib=100)


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "bins").iterdir())


def made_at(entry: Path) -> int:
    return (entry / TRAIN).stat().st_mtime_ns


@pytest.mark.parametrize("features", ["none", "robust_zscore"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_model_from_kept_bins_is_the_model_from_new_ones(
    cache: BinCache, tmp_path: Path, features: str, shared: bool
) -> None:
    rules = NormalizationRules.model_validate({"features": features})
    recipe = Recipe(params=PARAMS, normalization=rules, shared=shared)
    texts = {
        gbm.fit(TRAIN_ROWS, VALID_ROWS, PARAMS, binned=make(TRAIN_ROWS, VALID_ROWS, recipe)).text
        for make in (bin_rows, cache.bin_rows, cache.bin_rows)
    }

    assert len(texts) == 1
    (entry,) = entries(tmp_path)
    assert {path.name for path in entry.iterdir()} == {TRAIN, VALID, MANIFEST}


CHANGES: dict[str, Callable[[Dataset, Recipe], tuple[Dataset, Recipe]]] = {
    "a value": lambda rows, recipe: (
        replace(rows, rows=rows.rows.with_columns(F3=rows.rows["F3"].clip(-1, 1))),
        recipe,
    ),
    "a label": lambda rows, recipe: (
        replace(rows, rows=rows.rows.with_columns(target=-rows.rows["target"])),
        recipe,
    ),
    "the window": lambda rows, recipe: (rows.within(DAYS[1:40]), recipe),
    "the features' version": lambda rows, recipe: (replace(rows, feature_version="2"), recipe),
    "the scaling": lambda rows, recipe: (
        rows,
        replace(recipe, normalization=NormalizationRules(features="robust_zscore")),
    ),
    "the seed": lambda rows, recipe: (
        rows,
        replace(recipe, params=PARAMS.model_copy(update={"seed": 1})),
    ),
    "what can be split": lambda rows, recipe: (
        rows,
        replace(recipe, params=PARAMS.model_copy(update={"min_data_in_leaf": 9})),
    ),
    "who uses them": lambda rows, recipe: (rows, replace(recipe, shared=True)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_bins_depend_on_makes_new_ones(cache: BinCache, tmp_path: Path, what: str) -> None:
    cache.bin_rows(TRAIN_ROWS, VALID_ROWS, RECIPE)
    rows, recipe = CHANGES[what](TRAIN_ROWS, RECIPE)
    valid = replace(VALID_ROWS, feature_version=rows.feature_version)

    cache.bin_rows(rows, valid, recipe)

    assert len(entries(tmp_path)) == 2


def test_parameters_of_the_trees_alone_use_the_same_bins(cache: BinCache, tmp_path: Path) -> None:
    cache.bin_rows(TRAIN_ROWS, VALID_ROWS, RECIPE)

    other = PARAMS.model_copy(update={"num_leaves": 7, "learning_rate": 0.2})
    cache.bin_rows(TRAIN_ROWS, VALID_ROWS, replace(RECIPE, params=other))

    assert len(entries(tmp_path)) == 1


@pytest.mark.parametrize("file", [TRAIN, VALID, MANIFEST])
@pytest.mark.parametrize("damage", ["cut off", "changed", "gone"])
def test_damaged_bins_are_made_again_and_the_process_lives(
    cache: BinCache, tmp_path: Path, file: str, damage: str
) -> None:
    expected = gbm.fit(
        TRAIN_ROWS, VALID_ROWS, PARAMS, binned=cache.bin_rows(TRAIN_ROWS, VALID_ROWS, RECIPE)
    )
    path = entries(tmp_path)[0] / file
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        half = len(whole) // 2
        path.write_bytes(
            whole[:half] if damage == "cut off" else whole[:half] + b"?" + whole[half:]
        )

    binned = cache.bin_rows(TRAIN_ROWS, VALID_ROWS, RECIPE)

    assert gbm.fit(TRAIN_ROWS, VALID_ROWS, PARAMS, binned=binned) == expected
    (entry,) = entries(tmp_path)
    assert (entry / MANIFEST).is_file()
    before = made_at(entry)
    cache.bin_rows(TRAIN_ROWS, VALID_ROWS, RECIPE)
    assert made_at(entry) == before


def test_the_longest_unused_go_when_there_is_no_room(tmp_path: Path) -> None:
    cache = BinCache(tmp_path / "bins", limit_mib=100)
    recipes = [replace(RECIPE, params=PARAMS.model_copy(update={"seed": n})) for n in range(3)]
    made: list[Path] = []
    for number, recipe in enumerate(recipes[:2]):
        cache.bin_rows(TRAIN_ROWS, VALID_ROWS, recipe)
        made += [path for path in entries(tmp_path) if path not in made]
        os.utime(made[-1] / MANIFEST, (number, number))
    cache.bin_rows(TRAIN_ROWS, VALID_ROWS, recipes[0])  # used again, so the second is the oldest
    size = sum(path.stat().st_size for path in made[0].iterdir())

    BinCache(tmp_path / "bins", limit_mib=2.5 * size / MIB).bin_rows(
        TRAIN_ROWS, VALID_ROWS, recipes[2]
    )

    left = entries(tmp_path)
    assert len(left) == 2
    assert made[0] in left
    assert made[1] not in left


def test_what_a_killed_process_has_left_goes_after_a_day(cache: BinCache, tmp_path: Path) -> None:
    old, new = (tmp_path / "bins" / f".undone-{name}" for name in ("old", "new"))
    for path in (old, new):
        path.mkdir(parents=True)
    os.utime(old, (0, 0))

    cache.bin_rows(TRAIN_ROWS, VALID_ROWS, RECIPE)

    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_written_to_costs_time_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bins").write_text("a file")

    with caplog.at_level(logging.WARNING):
        binned = BinCache(tmp_path / "bins", limit_mib=1).bin_rows(TRAIN_ROWS, VALID_ROWS, RECIPE)

    assert gbm.fit(TRAIN_ROWS, VALID_ROWS, PARAMS, binned=binned).best_iteration >= 1
    assert [one.message for one in caplog.records] == ["bins were not kept"]


def test_a_search_its_folds_and_the_same_training_again_share_them(
    cache: BinCache, tmp_path: Path
) -> None:
    rules = panels.SMALL.model_copy(update={"trials": 2, "gbm": PARAMS})
    dataset = panels.dataset(rules.labeled_sessions)

    def train() -> None:
        search(dataset, rules, lambda _: None, quietly, binning=cache.bin_rows)
        walk(dataset, rules, quietly, binning=cache.bin_rows)
        final(dataset, rules, quietly, binning=cache.bin_rows)

    train()
    first = {path: made_at(path) for path in entries(tmp_path)}
    train()

    assert len(first) == 3  # two folds and the final model; the search is on the first fold's rows
    assert {path: made_at(path) for path in entries(tmp_path)} == first


def quietly(what: str, share: float) -> None:
    pass
