"""Every file of a lake, out of a folder or a bucket, and into the other."""

from pathlib import Path
from threading import Thread

import pytest

from trading_pipeline.adapters.lake import Lake, LakePath, copies
from trading_pipeline.adapters.lake.bucket import ObjectPath
from trading_pipeline_tests.adapters.test_lake_bucket import endpoint, root
from trading_pipeline_tests.factories import random_bars, sessions_from

__all__ = ["endpoint", "root"]  # fixtures

DAYS = sessions_from(count=30)
BARS = random_bars(("AAA", "BBB"), DAYS)


def fill(place: LakePath) -> Lake:
    """A year file, and a session beside it."""
    lake = Lake(place)
    lake.write("clean_bars", BARS, DAYS, symbols=["AAA", "BBB"])
    lake.write("clean_bars", BARS.filter(session=DAYS[3]), [DAYS[3]], symbols=["AAA", "BBB"])
    return lake


@pytest.mark.parametrize("way", ["out of a bucket", "into a bucket"])
def test_a_copy_is_the_same_lake(root: ObjectPath, tmp_path: Path, way: str) -> None:
    source, target = (root, tmp_path) if way == "out of a bucket" else (tmp_path, root)
    before = fill(source)

    for name, content in copies.contents(source):
        copies.put(target, name, content)

    assert copies.names(target) == copies.names(source)
    assert copies.names(target)[0] == f"clean_bars/sessions/{DAYS[3]}.parquet"
    after = Lake(target)
    assert after.held("clean_bars", DAYS[0], DAYS[-1]) == set(DAYS)
    assert after.read("clean_bars", DAYS[0], DAYS[-1]).equals(
        before.read("clean_bars", DAYS[0], DAYS[-1])
    )
    with pytest.raises(FileNotFoundError):
        copies.read(target, "clean_bars/years/1999.parquet")


def test_nothing_is_lost_when_sessions_are_merged_meanwhile(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    lake = Lake(source)
    for day in DAYS[:10]:
        lake.write("clean_bars", BARS.filter(session=day), [day], symbols=["AAA", "BBB"])
    reading = copies.contents(source)
    copies.put(target, *next(reading))

    merging = Thread(target=lake.compact, args=("clean_bars", DAYS[-1]))
    merging.start()
    merging.join()
    for name, content in reading:
        copies.put(target, name, content)

    copied = Lake(target)
    assert copied.held("clean_bars", DAYS[0], DAYS[-1]) == set(DAYS[:10])
    assert copied.read("clean_bars", DAYS[0], DAYS[9]).equals(
        lake.read("clean_bars", DAYS[0], DAYS[9])
    )


def test_what_is_no_data_stays_behind(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "clean_bars/years/2012.parquet.tmp").write_bytes(b"half")
    (tmp_path / "clean_bars/.lock").write_bytes(b"")

    assert all(name.endswith(".parquet") for name in copies.names(tmp_path))
    assert copies.names(tmp_path / "nowhere") == []
