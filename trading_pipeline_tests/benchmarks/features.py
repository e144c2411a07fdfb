"""Alpha158: full histories, one new session, memory; beside polars expressions and beside qlib.

qlib needs an environment of its own: QLIB_PYTHON names its interpreter; without one that figure is
left out and the note says so.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from trading_pipeline.core.features.alpha158 import LOOK_BACK, alpha158, of_session
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline_tests.benchmarks import alpha158_polars
from trading_pipeline_tests.benchmarks.harness import Figure, median

LAST = date(2019, 12, 31)
DAYS = 2_520
SYMBOLS = 500
PARTS = 5
"""Parts of the panel that the yardsticks compute one after the other, to spare memory."""
CPU_A_ROW = 300e-9
"""Seconds of CPU time for all features of a row: the best prototype's."""
LESS_THAN_EXPRESSIONS = 20
LESS_THAN_QLIB = 100
GIB = 2**30
MOST_MEMORY = 3 * GIB

_IN_PARTS = """
import resource, sys
from trading_pipeline_tests.benchmarks.features import panel
from trading_pipeline.core.features.alpha158 import alpha158
for part in range(6):
    assert alpha158(panel(500, 2_520, seed=part)).height == 500 * 2_520
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

_QLIB = """
import json, sys, time
import numpy as np, pandas as pd, qlib
from qlib.constant import REG_US
from qlib.contrib.data.loader import Alpha158DL
from qlib.data.dataset.loader import QlibDataLoader
folder, first, last = sys.argv[1:4]
qlib.init(provider_uri=folder, region=REG_US, kernels=1, logging_level=50)
conf = {
    "kbar": {},
    "price": {"windows": [0], "feature": ["OPEN", "HIGH", "LOW", "VWAP"]},
    "rolling": {},
}
loader = QlibDataLoader(config={"feature": Alpha158DL.get_feature_config(conf)})
wall, cpu = time.perf_counter(), time.process_time()
frame = loader.load("all", first, last)
print(json.dumps({
    "rows": len(frame), "columns": frame.shape[1],
    "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu,
}))
"""


def figures() -> list[Figure]:
    """Full history, one new session from its look-back, and a panel too large to hold whole."""
    bars = panel(SYMBOLS, DAYS)
    alpha158(bars)  # memory that was never touched is thirty times slower; and code is compiled
    wall, cpu = both(lambda: alpha158(bars), 3)
    rows = bars.height
    parts = [bars.filter(part) for part in _parts(bars)]
    by_hand = [both(lambda part=part: alpha158_polars.alpha158(part), 1) for part in parts]
    hand_wall, hand_cpu = (sum(times) for times in zip(*by_hand, strict=True))
    size = f"{SYMBOLS} × {DAYS:,}"
    found = [
        Figure(
            name=f"Alpha158, {size}",
            seconds=wall,
            limit=hand_wall / LESS_THAN_EXPRESSIONS,
            ratio=hand_wall / wall,
            ratio_to="polars expressions",
        ),
        Figure(
            name=f"Alpha158, {size}, CPU time",
            seconds=cpu,
            limit=min(rows * CPU_A_ROW, hand_cpu / LESS_THAN_EXPRESSIONS),
            ratio=hand_cpu / cpu,
            ratio_to="polars expressions",
            note=f"{cpu / rows * 1e9:.0f} ns a row, limit {CPU_A_ROW * 1e9:.0f}",
        ),
        *_against_qlib(wall, cpu, rows),
        *(_session(count, limit) for count, limit in ((5, None), (500, 0.030), (5_000, 0.300))),
    ]
    return [*found, _memory()]


def panel(symbols: int, days: int, *, seed: int = 1) -> pl.DataFrame:
    """Random walks without gaps, sorted by symbol and session."""
    sessions, rng = session_window(LAST, days), np.random.default_rng(seed)
    shape = (symbols, days)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=1))
    opening = close * np.exp(rng.normal(0, 0.005, shape))
    fields = {
        "open": opening,
        "high": np.maximum(opening, close) * 1.005,
        "low": np.minimum(opening, close) * 0.995,
        "close": close,
        "volume": np.round(rng.lognormal(13, 0.5, shape)),
        "vwap": (opening + close) / 2,
    }
    names = [f"S{number:04}" for number in range(symbols)]
    return pl.DataFrame(
        {
            "symbol": np.repeat(names, days),
            "session": pl.Series(sessions, dtype=pl.Date).gather(np.tile(np.arange(days), symbols)),
            **{name: values.ravel() for name, values in fields.items()},
        }
    )


def both(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median wall seconds and the least CPU seconds of `work`."""
    walls, cpus = list[float](), list[float]()
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), min(cpus)


def _parts(bars: pl.DataFrame) -> Sequence[pl.Expr]:
    names = bars["symbol"].unique().sort()
    step = len(names) // PARTS
    return [
        pl.col("symbol").is_in(names[at : at + step].implode()) for at in range(0, len(names), step)
    ]


def _session(symbols: int, limit: float | None) -> Figure:
    bars = panel(symbols, LOOK_BACK + 1)
    expected = alpha158(bars).filter(pl.col("session") == LAST)
    assert of_session(bars, LAST).equals(expected, null_equal=True)
    return Figure(
        name=f"Alpha158 of one new session, {symbols:,} symbols",
        seconds=median(lambda: of_session(bars, LAST)),
        limit=limit,
        note="from its look-back, bit by bit that of the full history",
    )


def _memory() -> Figure:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _IN_PARTS], check=True, capture_output=True, text=True
    )
    peak = float(done.stdout)
    return Figure(
        name="Alpha158, 3,000 × 2,520 in six parts",
        seconds=time.perf_counter() - begun,
        limit=None if peak <= MOST_MEMORY else 0.0,
        note=f"whole process; peak memory {peak / GIB:.2f} GiB of {MOST_MEMORY / GIB:g}",
    )


def _against_qlib(wall: float, cpu: float, rows: int) -> list[Figure]:
    """The same by qlib on fewer symbols, a row's time compared; without it a note."""
    python = os.environ.get("QLIB_PYTHON", "")
    if not Path(python).is_file():
        return [
            Figure(
                name="Alpha158 by qlib",
                seconds=0.0,
                limit=None,
                note="left out: QLIB_PYTHON names no interpreter with pyqlib 0.9.7",
            )
        ]
    with TemporaryDirectory() as folder:
        bars = panel(SYMBOLS // PARTS, DAYS)
        _write_store(bars, Path(folder))
        days = bars["session"].unique().sort()
        done = subprocess.run(
            [python, "-c", _QLIB, folder, str(days[0]), str(days[-1])],
            check=True,
            capture_output=True,
            text=True,
        )
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert theirs["columns"] == 158
    taken = {"wall": wall, "CPU": cpu}
    return [
        Figure(
            name=f"Alpha158 against qlib, {name} time",
            seconds=ours,
            limit=theirs[name.lower()] / theirs["rows"] * rows / LESS_THAN_QLIB,
            ratio=theirs[name.lower()] / theirs["rows"] * rows / ours,
            ratio_to="pyqlib, one process",
            note=f"qlib {theirs[name.lower()] / theirs['rows'] * 1e6:.1f} µs a row",
        )
        for name, ours in taken.items()
    ]


def _write_store(bars: pl.DataFrame, root: Path) -> None:
    """qlib's own files: the calendar, the instruments, a float32 file a field and symbol."""
    days = bars["session"].unique().sort().to_list()
    for folder in ("calendars", "instruments", "features"):
        (root / folder).mkdir()
    (root / "calendars/day.txt").write_text("".join(f"{day}\n" for day in days))
    names = bars["symbol"].unique().sort().to_list()
    lines = [f"{name}\t{days[0]}\t{days[-1]}\n" for name in names]
    (root / "instruments/all.txt").write_text("".join(lines))
    for (name,), rows in bars.group_by(["symbol"], maintain_order=True):
        folder = root / "features" / str(name).lower()
        folder.mkdir()
        for field in ("open", "high", "low", "close", "volume", "vwap"):
            values = np.concatenate(([0.0], rows[field].to_numpy())).astype("<f4")
            (folder / f"{field}.day.bin").write_bytes(values.tobytes())
