"""How much memory a panel takes from raw bars to clean, adjusted ones, in its own process."""

import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline_tests.benchmarks.data import SESSIONS, actions_of_panel, panel
from trading_pipeline_tests.fakes import NOW, FrameVendor

GATE = GateRules(quality=QualityRules(), freshness=FreshnessRules(), convention="crsp")


def peak(folder: Path, symbols: int, years: int) -> float:
    """The largest resident size, in GiB, of a process that does it all, a year at a time."""
    words = [sys.executable, "-m", __name__, str(folder), str(symbols), str(years)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, kilobytes = map(int, done.stdout.split()[-2:])
    assert rows > 0.999 * symbols * 250 * years
    return kilobytes / 2**20


def test_a_small_panel_takes_little_memory(tmp_path: Path) -> None:
    assert peak(tmp_path, symbols=100, years=1) < 1.0


@pytest.mark.soak
def test_12_6_million_bars_take_less_than_six_gibibytes(tmp_path: Path) -> None:
    assert peak(tmp_path, symbols=5_000, years=10) < 6.0


def work(folder: Path, symbols: int, years: int) -> int:
    """Ingest, clean and adjust a generated panel; return how many clean bars there are."""
    names = [f"S{number:04d}" for number in range(symbols)]
    lake, last = Lake(folder / "lake"), SESSIONS[0].year + years - 1
    bars = panel(symbols).filter(pl.col("session").dt.year() <= last)
    vendor = FrameVendor(bars, _with_successors(actions_of_panel(bars)))
    for year in range(SESSIONS[0].year, last + 1):
        sessions = [session for session in SESSIONS if session.year == year]
        for ingest in (ingest_bars, ingest_actions):
            ingest(lake, vendor, symbols=names, sessions=sessions, now=NOW)
        clean(lake, symbols=names, sessions=sessions, rules=GATE)
    whole = lake.read("clean_bars", SESSIONS[0], SESSIONS[-1])
    actions = vendor.corporate_actions(names, SESSIONS[0], SESSIONS[-1])
    return adjust(whole, actions, convention="crsp").height


def _with_successors(actions: pl.DataFrame) -> pl.DataFrame:
    nothing = {"new_symbol": pl.lit(None, pl.String), "new_shares": pl.lit(None, pl.Float64)}
    return actions.with_columns(**nothing)


if __name__ == "__main__":
    rows = work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(f"{rows} {used}\n")
