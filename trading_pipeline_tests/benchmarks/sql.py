"""SQL over year files of 12.6 million bars: one symbol, one session, everything; files cached.

The panel is 5,000 symbols over ten years of sessions, written by the lake itself into a temporary
folder that is gone afterwards. The yardstick is polars doing the same by hand on the same files.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from trading_pipeline.adapters.catalog import Catalog
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline_tests.benchmarks.harness import Figure, median

SYMBOLS = [f"S{number:04d}" for number in range(5_000)]
YEARS = range(2010, 2020)
SESSION = date(2015, 6, 1)
RUNS = 11

ONE_SYMBOL = "SELECT session, close, volume FROM clean_bars WHERE symbol = ? ORDER BY session"
ONE_SESSION = "SELECT symbol, close, volume FROM clean_bars WHERE session = ? ORDER BY symbol"
EVERYTHING = "SELECT count(*) AS bars, avg(close) AS mean, max(session) AS last FROM clean_bars"


def figures() -> list[Figure]:
    """The three kinds of query that people ask."""
    with TemporaryDirectory(prefix="trading_pipeline_panel_") as folder:
        rows = write_panel(Path(folder))
        paths = sorted((Path(folder) / "clean_bars/years").iterdir())
        with Catalog(Path(folder)) as catalog:
            return _measured(catalog, pl.scan_parquet(paths, glob=False), rows)


def write_panel(root: Path) -> int:
    """Write ten year files of clean bars; return how many rows they have."""
    lake, generator, rows = Lake(root), np.random.default_rng(7), 0
    for year in YEARS:
        sessions = sessions_between(date(year, 1, 1), date(year, 12, 31))
        bars = _bars(sessions, generator)
        lake.write("clean_bars", bars, sessions)
        rows += bars.height
    return rows


def _measured(catalog: Catalog, scan: pl.LazyFrame, rows: int) -> list[Figure]:
    note = f"{rows / 1e6:.1f} M rows"
    of_symbol = scan.filter(pl.col("symbol") == SYMBOLS[2_500]).select("session", "close", "volume")
    of_session = scan.filter(pl.col("session") == SESSION).select("symbol", "close", "volume")
    whole = scan.select(pl.len(), pl.col("close").mean(), pl.col("session").max())
    asked = (
        ("SQL, one symbol over ten years", 0.040, ONE_SYMBOL, [SYMBOLS[2_500]], of_symbol),
        ("SQL, one session of 5,000 symbols", 0.060, ONE_SESSION, [SESSION], of_session),
        ("SQL, aggregate of all bars", 0.200, EVERYTHING, [], whole),
    )
    found = []
    for name, limit, sql, values, by_hand in asked:
        assert catalog.query(sql, values).height == by_hand.collect().height
        seconds = median(lambda sql=sql, values=values: catalog.query(sql, values), RUNS)
        yardstick = median(by_hand.collect, RUNS)
        found.append(
            Figure(
                name=name,
                seconds=seconds,
                limit=limit,
                ratio=seconds / yardstick,
                ratio_to="polars on the same files",
                note=note,
            )
        )
    return found


def _bars(sessions: Sequence[date], generator: np.random.Generator) -> pl.DataFrame:
    shape = (len(sessions), len(SYMBOLS))
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, shape), axis=0))
    opening = close * np.exp(generator.normal(0, 0.005, shape))
    high, low = np.maximum(opening, close) * 1.005, np.minimum(opening, close) * 0.995
    cents = {"open": opening, "high": high, "low": low, "close": close}
    return pl.DataFrame(
        {
            "symbol": np.tile(SYMBOLS, len(sessions)),
            "session": pl.Series(sessions, dtype=pl.Date).gather(
                np.repeat(np.arange(len(sessions)), len(SYMBOLS))
            ),
            **{name: np.round(prices, 2).ravel() for name, prices in cents.items()},
            "volume": np.round(generator.lognormal(13, 0.5, shape)).ravel(),
            "vwap": np.round((high + low + close) / 3, 4).ravel(),
        }
    )
