"""Training on 500 symbols × 2,520 sessions × 158 features: time and memory beside LightGBM's own.

Each part is measured in a process of its own, whose memory is nobody else's.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from trading_pipeline.adapters.bin_cache import BinCache
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.models import gbm
from trading_pipeline.core.models.binning import Recipe, bin_rows, to_arrow
from trading_pipeline.core.models.dataset import Dataset
from trading_pipeline.core.models.gbm import GbmParams
from trading_pipeline.core.models.rules import TrainingRules
from trading_pipeline.core.models.walk import final, walk
from trading_pipeline_tests.benchmarks.harness import Figure

DAYS = session_window(date(2019, 12, 31), 2_520)
SYMBOLS = tuple(f"S{number:03}" for number in range(500))
MATRIX = len(DAYS) * len(SYMBOLS) * len(NAMES) * 4
"""Bytes of all features as float32."""
ROUNDS = 10
REPEATS = 2


def figures() -> list[Figure]:
    """A fit beside LightGBM called bare, a fit on kept bins, and a whole training from the lake."""
    with TemporaryDirectory() as place:
        fit, lake = _alone("fit", place), _alone("train", place)
    wall, cpu = fit["ours"][0] / fit["bare"][0], fit["ours"][1] / fit["bare"][1]
    return [
        Figure(
            name="training on 500 × 2,520 × 158, 10 rounds",
            seconds=fit["ours"][0],
            limit=1.1 * fit["bare"][0],
            ratio=wall,
            ratio_to="LightGBM called bare",
            note=f"CPU {fit['ours'][1]:.1f} s, {cpu:.2f}×; {_of(fit['peak'])}",
        ),
        Figure(
            name="the same on bins kept on disk",
            seconds=fit["kept"],
            limit=fit["made"],
            ratio=fit["made"] / fit["kept"],
            ratio_to="making and keeping them",
            note=f"reading them {fit['read']:.2f} s; {fit['disk'] / 2**20:.0f} MiB on disk",
        ),
        _memory("peak memory of that fit beside the interpreter's", fit["peak"], limit=2.0),
        # No limit: polars' allocator gives back what reading has freed only half a second later.
        _memory("peak memory of a training from the lake, 1 fold and the model", lake["peak"]),
    ]


def _memory(name: str, peak: int, limit: float | None = None) -> Figure:
    return Figure(name=name, seconds=peak / MATRIX, limit=limit, note=_of(peak), unit="matrices")


def _of(peak: int) -> str:
    return f"{peak / 2**30:.2f} GiB, {peak / MATRIX:.2f} matrices"


def _alone(part: str, place: str) -> dict[str, Any]:
    code = f"from {__name__} import PARTS; PARTS[{part!r}]({place!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _fit(place: str) -> None:
    """Fit in turn by the product and bare, then on bins that are kept; print what it took."""
    import lightgbm as lgb  # noqa: PLC0415 - before memory is measured

    before = _status("VmRSS")
    train, valid = _windows()
    params = GbmParams(rounds=ROUNDS, early_stopping=ROUNDS)
    native = params.native(len(train.rows))

    def bare() -> object:
        matrix = lgb.Dataset(to_arrow(train), label=train.target(), params=native)
        judged = lgb.Dataset(to_arrow(valid), label=valid.target(), params=native, reference=matrix)
        watch = [lgb.early_stopping(ROUNDS, verbose=False)]
        sets = [matrix, judged]
        return lgb.train(native, matrix, ROUNDS, sets, ["train", "valid"], callbacks=watch)

    _forget_peak()
    ours = [_timed(lambda: gbm.fit(train, valid, params))]
    peak = _status("VmHWM") - before
    others = [_timed(bare)]
    for _ in range(REPEATS - 1):
        ours.append(_timed(lambda: gbm.fit(train, valid, params)))
        others.append(_timed(bare))
    cache, recipe = BinCache(Path(place) / "bins", limit_mib=10_000), Recipe(params=params)

    def kept() -> object:
        return gbm.fit(train, valid, params, binned=cache.bin_rows(train, valid, recipe))

    made, again = _timed(kept)[0], _timed(kept)[0]
    read = _timed(lambda: cache.bin_rows(train, valid, recipe))[0]
    disk = sum(path.stat().st_size for path in (Path(place) / "bins").rglob("*.bin"))
    said = {"ours": _best(ours), "bare": _best(others), "peak": peak, "disk": disk}
    _say(said | {"made": made, "kept": again, "read": read})


def _train(place: str) -> None:
    """Read from a lake, walk one fold, fit the model; print the peak of memory."""
    subprocess.run(  # filled elsewhere: what that takes is not counted
        [sys.executable, "-c", f"from {__name__} import PARTS; PARTS['lake']({place!r})"],
        check=True,
    )
    import lightgbm  # noqa: F401, PLC0415 - before memory is measured

    from trading_pipeline.flows.train import read_dataset  # noqa: PLC0415 - as that
    from trading_pipeline.flows.trained import Training  # noqa: PLC0415

    rules = TrainingRules(
        train_sessions=2_250,
        valid_sessions=140,
        test_sessions=60,
        folds=1,
        gbm=GbmParams(rounds=ROUNDS, early_stopping=ROUNDS),
    )
    lake = Lake(Path(place) / "lake")
    lake.read("clean_bars", DAYS[-1], DAYS[-1])
    before = _status("VmRSS")
    _forget_peak()
    training = Training(
        strategy="bench", symbols=SYMBOLS, as_of=DAYS[-1], rules=rules, convention="crsp"
    )
    dataset = read_dataset(lake, training)
    walk(dataset, rules, lambda what, share: None, binning=bin_rows)
    final(dataset, rules, lambda what, share: None, binning=bin_rows)
    _say({"peak": _status("VmHWM") - before})


def _fill(place: str) -> None:
    lake, rng = Lake(Path(place) / "lake"), np.random.default_rng(1)
    for _, days in groupby(DAYS, key=lambda day: day.year):
        year = list(days)
        rows = _keys(year)
        price = 50 * np.exp(rng.normal(0, 0.1, len(rows)))
        prices = dict.fromkeys(("open", "high", "low", "close", "vwap"), price)
        lake.write("clean_bars", rows.with_columns(**prices, volume=price).select(_BARS), year)
        version = pl.lit(VERSION).alias("feature_version")
        lake.write("features", rows.with_columns(version, *_noise(rng, len(rows))), year)


_BARS = ("symbol", "session", "open", "high", "low", "close", "volume", "vwap")

PARTS: dict[str, Callable[[str], None]] = {"fit": _fit, "train": _train, "lake": _fill}


def _windows() -> tuple[Dataset, Dataset]:
    rng = np.random.default_rng(1)
    rows = _keys(DAYS)
    for column in _noise(rng, len(rows)):
        rows = rows.with_columns(column)  # one at a time: never two matrices
    label = rng.standard_normal(len(rows))
    whole = Dataset(
        rows=rows.with_columns(label=label, target=label), features=NAMES, feature_version="bench"
    )
    return whole.within(DAYS[:2_300]), whole.within(DAYS[2_302:])


def _keys(days: list[date]) -> pl.DataFrame:
    places = np.arange(len(days) * len(SYMBOLS))
    return pl.DataFrame(
        {
            "symbol": pl.Series(SYMBOLS).gather(places % len(SYMBOLS)),
            "session": pl.Series(days, dtype=pl.Date).gather(places // len(SYMBOLS)),
        }
    )


def _noise(rng: np.random.Generator, count: int) -> Iterator[pl.Series]:
    return (pl.Series(name, rng.standard_normal(count, dtype=np.float32)) for name in NAMES)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _best(found: list[tuple[float, float]]) -> tuple[float, float]:
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def _status(name: str) -> int:
    """A figure of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _forget_peak() -> None:
    """Make the peak of resident memory the present one."""
    Path("/proc/self/clear_refs").write_text("5")


def _say(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found))
