"""Bundles: swapped in one step, verified before they are parsed, never newer than the session."""

import json
import subprocess
import sys
import threading
from datetime import date
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from trading_pipeline.adapters.model_store.bundles import Bundles
from trading_pipeline.core.models.release import Release, bundle_name, checksum
from trading_pipeline.errors import ModelCorruptError, ModelNotFoundError, SettingsError
from trading_pipeline_tests.adapters.model_store import models

LATER = date(2012, 9, 28)
STRATEGY = "baseline"


def promote(bundles: Bundles, release: Release) -> Release:
    with bundles.writing(STRATEGY):
        bundles.activate(release, models.CAUSE)
    return release


def folder(root: Path, release: Release) -> Path:
    return root / STRATEGY / "versions" / bundle_name(release.manifest)


def test_what_was_promoted_is_what_is_opened(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)

    promoted = promote(bundles, models.release())

    assert bundles.release(STRATEGY) == promoted
    assert bundles.champion_name(STRATEGY)
    assert (tmp_path / STRATEGY / "current" / "model.txt").read_text() == promoted.text


def test_without_a_promotion_there_is_no_release(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    with bundles.writing(STRATEGY):
        bundles.write(models.release())

    assert not bundles.champion_name(STRATEGY)
    with pytest.raises(ModelNotFoundError, match="has no release"):
        bundles.release(STRATEGY)


def test_a_promotion_leaves_the_bundle_before_it_for_the_way_back(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    first = promote(bundles, models.release(1, version="1"))
    second = promote(bundles, models.release(2, version="2"))

    assert bundles.release(STRATEGY) == second
    promote(bundles, first)
    assert bundles.release(STRATEGY) == first
    assert {one.version for one in bundles.manifests(STRATEGY)} == {"1", "2"}


def test_two_models_under_one_number_are_two_bundles(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    old = promote(bundles, models.release(1, version="1"))
    new = promote(bundles, models.release(2, version="1"))

    assert old.model_version != new.model_version
    assert bundles.release(STRATEGY) == new
    assert (folder(tmp_path, old) / "model.txt").read_text() == old.text


@pytest.mark.parametrize("kept", [0, 1, 500, -1])
def test_a_truncated_model_is_refused_and_the_process_lives(tmp_path: Path, kept: int) -> None:
    bundles = Bundles(tmp_path)
    release = promote(bundles, models.release())
    (folder(tmp_path, release) / "model.txt").write_text(release.text[:kept])

    with pytest.raises(ModelCorruptError, match="its manifest says"):
        bundles.release(STRATEGY)


def test_the_model_of_another_version_under_this_one_is_refused(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    other = promote(bundles, models.release(2, version="2"))
    release = promote(bundles, models.release(1, version="1"))
    (folder(tmp_path, release) / "model.txt").write_text(other.text)

    with pytest.raises(ModelCorruptError, match="promote the version again"):
        bundles.release(STRATEGY)


@pytest.mark.parametrize("file", ["model.txt", "manifest.json"])
def test_a_bundle_with_a_file_missing_is_refused(tmp_path: Path, file: str) -> None:
    bundles = Bundles(tmp_path)
    release = promote(bundles, models.release())
    (folder(tmp_path, release) / file).unlink()

    with pytest.raises(ModelCorruptError, match="is not whole"):
        bundles.release(STRATEGY)


def test_a_bundle_of_another_strategy_is_refused(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    release = promote(bundles, models.release())
    path = folder(tmp_path, release) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"strategy": "momentum"}))

    with pytest.raises(ModelCorruptError, match="one of momentum, not of baseline"):
        bundles.release(STRATEGY)


def test_a_damaged_bundle_is_mended_by_promoting_it_again(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    release = promote(bundles, models.release())
    (folder(tmp_path, release) / "model.txt").write_text("")

    promote(bundles, release)

    assert bundles.release(STRATEGY) == release


def test_a_folder_in_the_place_of_the_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / STRATEGY / "current").mkdir(parents=True)

    with pytest.raises(ModelCorruptError, match="not the link"):
        Bundles(tmp_path).release(STRATEGY)


def test_a_session_is_never_decided_by_a_model_that_has_seen_later_prices(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    spring = promote(bundles, models.release(1, version="1", through=date(2012, 3, 30)))
    summer = promote(bundles, models.release(2, version="2", through=date(2012, 6, 29)))
    promote(bundles, models.release(3, version="3", through=date(2012, 9, 28)))

    assert bundles.release(STRATEGY, session=date(2012, 9, 28)).manifest.version == "3"
    assert bundles.release(STRATEGY, session=date(2012, 9, 27)) == summer
    assert bundles.release(STRATEGY, session=date(2012, 4, 2)) == spring
    with pytest.raises(ModelNotFoundError, match="train one as of 2012-03-29"):
        bundles.release(STRATEGY, session=date(2012, 3, 29))


def test_a_walk_forward_is_given_the_newest_that_is_young_enough(tmp_path: Path) -> None:
    bundles, day = Bundles(tmp_path), date(2012, 8, 1)
    made = {
        version: models.release(strategy=STRATEGY, version=version, through=through)
        for version, through in (("1", date(2012, 3, 30)), ("2", date(2012, 6, 29)), ("3", LATER))
    }
    with bundles.writing(STRATEGY):
        for one in made.values():
            bundles.write(one)
    newest = bundles.newest(STRATEGY, since=date(2012, 1, 3), session=day)
    assert newest == made["2"], "no champion is needed, and none that has seen later is taken"
    with pytest.raises(ModelNotFoundError, match="train one as of 2012-08-01"):
        bundles.newest(STRATEGY, since=date(2012, 7, 2), session=day)


def test_a_champion_that_may_decide_wins_over_a_newer_bundle(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    first = promote(bundles, models.release(1, version="1", through=date(2012, 3, 30)))
    promote(bundles, models.release(2, version="2", through=date(2012, 6, 29)))

    promote(bundles, first)

    assert bundles.release(STRATEGY, session=date(2012, 9, 28)) == first


def test_a_half_written_bundle_is_no_bundle(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    half = tmp_path / STRATEGY / "versions" / "1-00000000"
    half.mkdir(parents=True)
    (half / "model.txt").write_text("tree\n")
    promote(bundles, models.release(2, version="2"))

    assert [one.version for one in bundles.manifests(STRATEGY)] == ["2"]


def test_readers_see_one_whole_version_or_the_other_while_it_is_swapped(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    both = [models.release(seed, version=str(seed)) for seed in (1, 2)]
    promote(bundles, both[0])
    done = threading.Event()
    seen: set[str] = set()

    def swap() -> None:
        end = monotonic() + 30
        for turn in count():
            promote(bundles, both[turn % 2])
            if turn >= 60 and (len(seen) == 2 or monotonic() > end):
                break
        done.set()

    writer = threading.Thread(target=swap)
    writer.start()
    while not done.is_set():
        release = bundles.release(STRATEGY)
        assert checksum(release.text) == release.manifest.sha256
        assert release in both
        seen.add(release.manifest.version)
    writer.join()

    assert seen == {"1", "2"}


@pytest.mark.parametrize("name", ["../escape", "", "Alpha", "a/b", "a b"])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="no name of a strategy"):
        Bundles(tmp_path).release(name)


def test_a_file_in_the_place_of_the_folder_is_a_matter_of_settings(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")

    with pytest.raises(SettingsError, match="cannot be written to"):
        promote(Bundles(tmp_path / "models"), models.release())


def test_reading_a_release_imports_neither_mlflow_nor_lightgbm(tmp_path: Path) -> None:
    promote(Bundles(tmp_path), models.release())
    program = (
        "import sys; from pathlib import Path;"
        "from trading_pipeline.adapters.model_store import ModelStore;"
        f"ModelStore(Path({str(tmp_path)!r}), 'sqlite:///none.db').release('{STRATEGY}');"
        "print([name for name in ('mlflow', 'lightgbm', 'pandas', 'sklearn')"
        " if name in sys.modules])"
    )

    command = [sys.executable, "-c", program]
    found = subprocess.run(command, check=False, capture_output=True, text=True)

    assert found.stdout == "[]\n", found.stderr


def test_the_way_back_leads_to_the_bundle_before_and_then_forth_again(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    first = promote(bundles, models.release(1, version="1"))
    second = promote(bundles, models.release(2, version="2"))

    assert bundles.previous(STRATEGY) == first
    promote(bundles, first)
    assert bundles.previous(STRATEGY) == second


def test_a_process_killed_before_its_note_leaves_no_gap_in_the_way_back(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    promote(bundles, models.release(1, version="1"))
    second = promote(bundles, models.release(2, version="2"))
    notes = tmp_path / STRATEGY / "activations.jsonl"
    notes.write_text(notes.read_text()[:-40])  # the second line was never finished

    assert [one.bundle for one in bundles.activations(STRATEGY)] == [
        bundle_name(models.release(1).manifest)
    ]
    promote(bundles, models.release(3, version="3"))

    assert bundles.previous(STRATEGY) == second


def test_a_deactivated_strategy_has_no_release_until_the_way_back(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    first = promote(bundles, models.release())

    bundles.deactivate(STRATEGY, models.CAUSE)

    assert bundles.is_deactivated(STRATEGY)
    assert bundles.champion_name(STRATEGY) is None
    with pytest.raises(ModelNotFoundError, match="was deactivated"):
        bundles.release(STRATEGY)
    assert bundles.previous(STRATEGY) == first


def test_a_challenger_decides_on_no_session(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    spring = models.release(1, version="1", through=date(2012, 3, 30))
    with bundles.writing(STRATEGY):
        bundles.challenge(spring)
    promote(bundles, models.release(2, version="2", through=date(2012, 6, 29)))

    assert bundles.challenger(STRATEGY) == spring
    with pytest.raises(ModelNotFoundError):
        bundles.release(STRATEGY, session=date(2012, 4, 2))
