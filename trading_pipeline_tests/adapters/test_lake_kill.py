"""A writer is killed in the middle; each case is a process of its own, all run side by side."""

import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline_tests.factories import random_bars, raw

YEAR = sessions_between(date(2012, 1, 1), date(2012, 12, 31))
MANY, FEW = YEAR[10:60], YEAR[20:24]

# Kills itself, as kill -9 does, before the n-th opening, rename or removal of a file below the
# table's folder; `bytes` instead ends it when a file has grown to that size.
WRITER = """
import os, resource, signal, sys
from datetime import date
from pathlib import Path
import polars as pl
from trading_pipeline.adapters.lake import Lake

root, rows, sessions, event, count = sys.argv[1:]
left = int(count)

def watch(name, args):
    global left
    if name == event and args and str(args[0]).startswith(root):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

if event == "bytes":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, left))
else:
    sys.addaudithook(watch)
Lake(Path(root)).write(
    "raw_bars", pl.read_parquet(rows), [date.fromisoformat(day) for day in sessions.split(",")]
)
"""
POINTS = [
    ("open", 2),  # before the new file is begun (the first opening is the lock's)
    ("bytes", 1_000),  # in the middle of its bytes
    ("os.rename", 1),  # before it takes its place
    ("os.remove", 2),  # while the session files it took in are removed
]
FEW_POINTS = [("bytes", 1_000), ("os.rename", 3)]


def rows_of(sessions: list[date], seed: int) -> pl.DataFrame:
    return raw(random_bars(("AAA", "BBB", "CCC"), sessions, seed=seed))


def before(root: Path) -> Lake:
    """A year file, and newer session files over a part of it."""
    lake = Lake(root)
    lake.write("raw_bars", rows_of(YEAR, 1), YEAR)
    lake.write("raw_bars", rows_of(FEW, 2), FEW)
    return lake


def start(folder: Path, sessions: list[date], event: str, count: int) -> subprocess.Popen[bytes]:
    rows = folder / "rows.parquet"
    rows_of(sessions, 3).write_parquet(rows)
    days = ",".join(str(session) for session in sessions)
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder / "lake"), str(rows), days, event, str(count)]
    )


def is_whole(got: pl.DataFrame, *versions: pl.DataFrame) -> bool:
    """Whether every session of `got` is exactly as in one of the versions."""
    pieces = [version.partition_by("session", as_dict=True) for version in (*versions,)]
    return all(
        any(rows.equals(piece[key]) for piece in pieces if key in piece)
        for key, rows in got.partition_by("session", as_dict=True).items()
    )


@pytest.mark.parametrize(
    ("sessions", "points"), [(MANY, POINTS), (FEW, FEW_POINTS)], ids=["year file", "session files"]
)
def test_a_killed_writer_leaves_whole_sessions_and_a_rerun_completes_them(
    tmp_path: Path, sessions: list[date], points: list[tuple[str, int]]
) -> None:
    running = []
    for number, point in enumerate(points):
        folder = tmp_path / str(number)
        running.append((point, before(folder / "lake"), start(folder, sessions, *point)))
    old = Lake(tmp_path / "0" / "lake").read("raw_bars", YEAR[0], YEAR[-1])
    new = rows_of(sessions, 3).sort("session", "symbol")
    expected = pl.concat([old.filter(~pl.col("session").is_in(sessions)), new])
    for (event, _), lake, process in running:
        ended = process.wait(timeout=60)
        assert ended == -(signal.SIGXFSZ if event == "bytes" else signal.SIGKILL)
        got = lake.read("raw_bars", YEAR[0], YEAR[-1])
        assert got["session"].unique().sort().to_list() == YEAR
        assert is_whole(got, old, new)
        lake.write("raw_bars", new, sessions)
        healed = lake.read("raw_bars", YEAR[0], YEAR[-1])
        assert_frame_equal(healed, expected.sort("session", "symbol"))
        assert not list(lake.root.rglob("*.tmp"))
