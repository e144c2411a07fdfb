"""ETL over a generated panel: faults and suspects found, bars adjusted, years written.

The same result in DuckDB's SQL and in pandas is the yardstick, and is checked to be equal: each
clean bar adjusted, each faulty one set aside, each suspect named.
"""

import shutil
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.market.codes import coded, codes_of, named
from trading_pipeline.core.market.corporate_actions import adjust
from trading_pipeline.core.market.quality import QualityRules, gate
from trading_pipeline_tests.benchmarks.harness import Figure, timed

SESSIONS = sessions_between(date(2010, 1, 4), date(2019, 12, 31))
RUNS = 5
PRICES = ("open", "high", "low", "close")
RULES = QualityRules()


def figures() -> list[Figure]:
    """ETL of 500 symbols by ten years of sessions, three ways."""
    with TemporaryDirectory(prefix="trading_pipeline_etl_") as folder:
        root = Path(folder)
        bars = panel(500)
        actions = actions_of_panel(bars)
        bars.write_parquet(root / "raw.parquet")
        actions.write_parquet(root / "actions.parquet")
        ways = {"ours": ours, "DuckDB SQL": in_duckdb, "pandas": in_pandas}
        seconds = _interleaved(root, ways)
        _require_equal(root, list(ways))
    note = f"{bars.height / 1e6:.2f} M rows"
    own = seconds["ours"]
    return [
        Figure(
            name=f"ETL of 500 symbols by ten years, less than {name}'s time / {least}",
            seconds=own,
            limit=seconds[name] / least,
            ratio=seconds[name] / own,
            ratio_to=f"ours, of {name}",
            note=note,
        )
        for name, least in (("DuckDB SQL", 2.5), ("pandas", 1.5))
    ]


def panel(symbols: int, seed: int = 7) -> pl.DataFrame:
    """Raw bars sorted by session and symbol, with faults and large moves strewn in."""
    generator, count = np.random.default_rng(seed), len(SESSIONS)
    names = [f"S{number:04d}" for number in range(symbols)]
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, (count, symbols)), axis=0))
    jumps = generator.random((count, symbols)) < 1e-4
    close = np.where(jumps, close * 1.6, close)
    opening = close * np.exp(generator.normal(0, 0.003, close.shape))
    high, low = np.maximum(opening, close) * 1.004, np.minimum(opening, close) * 0.996
    high = np.where(generator.random(close.shape) < 1e-4, low * 0.9, high)
    volume = np.round(generator.lognormal(13, 0.5, close.shape))
    volume = np.where(generator.random(close.shape) < 1e-4, -1.0, volume)
    return pl.DataFrame(
        {
            "symbol": np.tile(names, count),
            "session": pl.Series(SESSIONS, dtype=pl.Date).gather(
                np.repeat(np.arange(count), symbols)
            ),
            "open": opening.ravel(),
            "high": high.ravel(),
            "low": low.ravel(),
            "close": close.ravel(),
            "volume": volume.ravel(),
            "vwap": pl.Series([None], dtype=pl.Float64).new_from_index(0, count * symbols),
        }
    )


def actions_of_panel(bars: pl.DataFrame) -> pl.DataFrame:
    """Four dividends a year of every symbol, and a split of every fifth."""
    names = bars["symbol"].unique().sort().to_list()
    days = SESSIONS[30::63]
    paid = [(name, day, "dividend", 1.0, 0.25) for name in names for day in days]
    split = [(name, SESSIONS[1_000], "split", 2.0, 0.0) for name in names[::5]]
    schema = {
        "symbol": pl.String,
        "ex_date": pl.Date,
        "kind": pl.String,
        "split_ratio": pl.Float64,
        "dividend": pl.Float64,
    }
    return pl.DataFrame([*paid, *split], schema=schema, orient="row")


def ours(root: Path, out: Path) -> None:
    """The product's own functions."""
    bars, actions = pl.read_parquet(root / "raw.parquet"), pl.read_parquet(root / "actions.parquet")
    gated = gate(coded(bars, codes_of(bars)), actions, RULES, convention="crsp")
    adjusted = named(adjust(gated.clean, actions, convention="crsp"))

    def write(year: int) -> None:
        bounds = (date(year, 1, 1), date(year + 1, 1, 1))
        start, end = (adjusted["session"].search_sorted(day, "left") for day in bounds)
        adjusted[start:end].write_parquet(out / f"{year}.parquet", compression="zstd")

    with ThreadPoolExecutor(2) as pool:  # as the lake writes years
        list(pool.map(write, range(2010, 2020)))
    gated.quarantined.write_parquet(out / "quarantined.parquet")
    gated.suspects.select("symbol", "session").write_parquet(out / "suspects.parquet")


FAULTS = """
    open IS NULL OR high IS NULL OR low IS NULL OR close IS NULL OR volume IS NULL
    OR open <= 0 OR high <= 0 OR low <= 0 OR close <= 0 OR volume < 0 OR high < low
    OR greatest(open, close) > high * (1 + 1e-6) OR least(open, close) < low * (1 - 1e-6)
    OR count(*) OVER (PARTITION BY symbol, session) > 1
"""
SQL = f"""
CREATE OR REPLACE TEMP TABLE judged AS
    SELECT *, coalesce({FAULTS}, true) AS faulty FROM read_parquet('{{root}}/raw.parquet');
CREATE OR REPLACE TEMP TABLE sound AS SELECT * EXCLUDE (faulty) FROM judged WHERE NOT faulty;
CREATE OR REPLACE TEMP TABLE factors AS
    WITH days AS (
        SELECT symbol, ex_date, product(split_ratio) AS ratio, sum(dividend) AS paid
        FROM read_parquet('{{root}}/actions.parquet') GROUP BY ALL),
    closes AS (
        SELECT d.symbol, d.ex_date, d.ratio, d.paid, s.close, s.session
        FROM days d ASOF LEFT JOIN sound s ON d.symbol = s.symbol AND d.ex_date <= s.session)
    SELECT symbol, ex_date, session, ratio,
        coalesce(close / (close * ratio + paid), 1 / ratio) AS factor FROM closes;
CREATE OR REPLACE TEMP TABLE cumulated AS
    SELECT symbol, ex_date,
        product(factor) OVER later AS price_factor, product(ratio) OVER later AS volume_factor
    FROM factors WINDOW later AS (
        PARTITION BY symbol ORDER BY ex_date DESC ROWS UNBOUNDED PRECEDING);
CREATE OR REPLACE TEMP TABLE moves AS
    WITH steps AS (
        SELECT s.*, coalesce(1 / f.factor, 1) AS step FROM sound s
        LEFT JOIN factors f ON s.symbol = f.symbol AND s.session = f.session),
    ago AS (
        SELECT symbol, session, abs(close * step / lag(close) OVER w - 1) AS daily,
            abs(close * step * lag(step) OVER w / lag(close, 2) OVER w - 1) AS over_two
        FROM steps WINDOW w AS (PARTITION BY symbol ORDER BY session))
    SELECT symbol, session FROM ago
    WHERE daily > 0.3 + 1e-9 AND coalesce(over_two > 0.3 + 1e-9, true);
COPY (SELECT * EXCLUDE (faulty) FROM judged WHERE faulty) TO '{{out}}/quarantined.parquet';
COPY moves TO '{{out}}/suspects.parquet';
"""
YEAR = """
COPY (
    SELECT s.symbol, s.session, open * coalesce(price_factor, 1) AS open,
        high * coalesce(price_factor, 1) AS high, low * coalesce(price_factor, 1) AS low,
        close * coalesce(price_factor, 1) AS close, volume * coalesce(volume_factor, 1) AS volume,
        vwap, coalesce(price_factor, 1) AS price_factor, coalesce(volume_factor, 1) AS volume_factor
    FROM sound s ASOF LEFT JOIN cumulated c ON s.symbol = c.symbol AND s.session < c.ex_date
    WHERE year(s.session) = {year}
) TO '{out}/{year}.parquet' (COMPRESSION zstd)
"""


def in_duckdb(root: Path, out: Path) -> None:
    """The same in SQL."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(SQL.format(root=root, out=out))
        for year in range(2010, 2020):
            connection.execute(YEAR.format(out=out, year=year))


def in_pandas(root: Path, out: Path) -> None:
    """The same in pandas."""
    bars, actions = pd.read_parquet(root / "raw.parquet"), pd.read_parquet(root / "actions.parquet")
    bars["session"], actions["ex_date"] = (
        pd.to_datetime(column) for column in (bars["session"], actions["ex_date"])
    )
    faulty = bars[[*PRICES, "volume"]].isna().any(axis=1) | (bars[list(PRICES)] <= 0).any(axis=1)
    faulty |= (bars["volume"] < 0) | (bars["high"] < bars["low"])
    faulty |= bars[["open", "close"]].max(axis=1) > bars["high"] * (1 + 1e-6)
    faulty |= bars[["open", "close"]].min(axis=1) < bars["low"] * (1 - 1e-6)
    faulty |= bars.duplicated(["symbol", "session"], keep=False)
    bars[faulty].to_parquet(out / "quarantined.parquet")
    sound = bars[~faulty]
    days = actions.groupby(["symbol", "ex_date"], as_index=False).agg(
        ratio=("split_ratio", "prod"), paid=("dividend", "sum")
    )
    days = pd.merge_asof(
        days.sort_values("ex_date"),
        sound[["symbol", "session", "close"]],
        left_on="ex_date",
        right_on="session",
        by="symbol",
        direction="forward",
    )
    days["factor"] = (days["close"] / (days["close"] * days["ratio"] + days["paid"])).fillna(
        1 / days["ratio"]
    )
    backward = days.sort_values(["symbol", "ex_date"], ascending=[True, False])
    grouped = backward.groupby("symbol", sort=False)
    backward["price_factor"] = grouped["factor"].cumprod()
    backward["volume_factor"] = grouped["ratio"].cumprod()
    _pandas_suspects(sound, days).to_parquet(out / "suspects.parquet")
    found = pd.merge_asof(
        sound,
        backward[["symbol", "ex_date", "price_factor", "volume_factor"]].sort_values("ex_date"),
        left_on="session",
        right_on="ex_date",
        by="symbol",
        direction="forward",
        allow_exact_matches=False,
    ).drop(columns="ex_date")
    found = found.fillna({"price_factor": 1.0, "volume_factor": 1.0})
    for name in PRICES:
        found[name] = found[name] * found["price_factor"]
    found["volume"] = found["volume"] * found["volume_factor"]
    for year, rows in found.groupby(found["session"].dt.year):
        rows.to_parquet(out / f"{year}.parquet", compression="zstd", index=False)


def _pandas_suspects(sound: pd.DataFrame, days: pd.DataFrame) -> pd.DataFrame:
    steps = days.assign(step=1 / days["factor"])[["symbol", "session", "step"]]
    rows = sound[["symbol", "session", "close"]].merge(steps, how="left", on=["symbol", "session"])
    rows["step"] = rows["step"].fillna(1.0)
    grouped = rows.groupby("symbol", sort=False)
    one, two = grouped["close"].shift(1), grouped["close"].shift(2)
    daily = (rows["close"] * rows["step"] / one - 1).abs()
    over_two = (rows["close"] * rows["step"] * grouped["step"].shift(1) / two - 1).abs()
    limit = RULES.max_move + 1e-9
    return rows[(daily > limit) & ((over_two > limit) | over_two.isna())][["symbol", "session"]]


def _interleaved(root: Path, ways: dict[str, Callable[[Path, Path], None]]) -> dict[str, float]:
    """Median seconds of each way, in turns, after a round that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(RUNS + 1):
        for name, work in ways.items():
            out = root / name.split()[0]
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            seconds = timed(lambda work=work, out=out: work(root, out))
            if round_:
                found[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _require_equal(root: Path, names: list[str]) -> None:
    """Whether all ways wrote the same: prices to 1e-9, and the same bars set aside and suspect."""
    first, *others = (root / name.split()[0] for name in names)
    for other in others:
        for part in ("quarantined", "suspects"):
            assert _keys(first / f"{part}.parquet").equals(_keys(other / f"{part}.parquet")), part
        for year in range(2010, 2020):
            one, two = (_values(folder / f"{year}.parquet") for folder in (first, other))
            assert one.shape == two.shape
            assert np.allclose(one, two, rtol=1e-9, atol=0)


def _keys(path: Path) -> pl.DataFrame:
    rows = pl.read_parquet(path, columns=["symbol", "session"])
    return rows.with_columns(pl.col("session").cast(pl.Date)).sort("session", "symbol")


def _values(path: Path) -> np.ndarray:
    rows = pl.read_parquet(path).with_columns(pl.col("session").cast(pl.Date))
    return rows.sort("session", "symbol").select(*PRICES, "volume").to_numpy()
