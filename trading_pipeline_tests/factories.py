"""Small frames for tests: bars, deliveries, corporate actions, and a vendor that delivers them."""

import sqlite3
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.core.market.action_kinds import ACTIONS
from trading_pipeline.core.market.calendar import session_on_or_after, sessions_between

FIRST = date(2012, 1, 3)
"""Where made-up histories begin: the first session of 2012."""

KNOWN_AT = datetime(2012, 3, 1, 22, 0, tzinfo=UTC)
PRICES = ("open", "high", "low", "close")
BARS = {
    "symbol": pl.String,
    "session": pl.Date,
    **dict.fromkeys((*PRICES, "volume", "vwap"), pl.Float64),
}


def sessions_from(first: date = FIRST, count: int = 5) -> list[date]:
    """`count` sessions of the exchange from `first` on."""
    found = sessions_between(first, date(first.year + count // 250 + 1, 12, 31))[:count]
    assert len(found) == count, f"the calendar ends before {count} sessions after {first}"
    return found


def bars_of(
    closes: Mapping[str, Sequence[float | None]],
    *,
    first: date = FIRST,
    volume: float = 1_000.0,
) -> pl.DataFrame:
    """Bars whose four prices are the closes given, one a session from `first`; None is no bar."""
    rows = [
        (symbol, session, close, close, close, close, volume, None)
        for symbol, series in closes.items()
        for session, close in zip(sessions_from(first, len(series)), series, strict=True)
        if close is not None
    ]
    return pl.DataFrame(rows, schema=BARS, orient="row").sort("session", "symbol")


def random_bars(
    symbols: Iterable[str], sessions: Sequence[date], *, seed: int = 7, move: float = 0.01
) -> pl.DataFrame:
    """Well-formed bars of a seeded random walk; `move` is the daily standard deviation."""
    generator = np.random.default_rng(seed)
    return pl.concat(
        _walk(symbol, sessions, generator=generator, move=move) for symbol in symbols
    ).sort("session", "symbol")


def _walk(
    symbol: str, sessions: Sequence[date], *, generator: np.random.Generator, move: float
) -> pl.DataFrame:
    count = len(sessions)
    close = 100 * np.exp(np.cumsum(generator.normal(0, move, count)))
    opening = close * np.exp(generator.normal(0, move / 2, count))
    spread = 1 + np.abs(generator.normal(0, move / 2, count))
    high, low = np.maximum(opening, close) * spread, np.minimum(opening, close) / spread
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "session": sessions,
            "open": opening,
            "high": high,
            "low": low,
            "close": close,
            "volume": np.round(generator.lognormal(13, 0.5, count)),
            "vwap": (high + low + close) / 3,
        },
        schema=BARS,
    )


def raw(bars: pl.DataFrame, *, vendor: str = "test", known_at: datetime = KNOWN_AT) -> pl.DataFrame:
    """Bars as raw_bars holds them: with the vendor and when the rows became known."""
    return bars.with_columns(
        vendor=pl.lit(vendor), known_at=pl.lit(known_at, dtype=pl.Datetime("us", "UTC"))
    )


def split(symbol: str, ex_date: date, ratio: float) -> pl.DataFrame:
    """One split: `ratio` new shares for an old one."""
    kind = "split" if ratio >= 1 else "reverse_split"
    return action(symbol, ex_date, kind, ratio=ratio)


def dividend(symbol: str, ex_date: date, dollars: float) -> pl.DataFrame:
    """One cash dividend, raw dollars a share."""
    return action(symbol, ex_date, "dividend", dollars=dollars)


def action(
    symbol: str,
    ex_date: date,
    kind: str,
    *,
    ratio: float = 1.0,
    dollars: float = 0.0,
    new: tuple[str | None, float | None] = (None, None),
) -> pl.DataFrame:
    """One corporate action of any kind; `new` is the new symbol and its shares a share."""
    row = (symbol, ex_date, kind, ratio, dollars, *new)
    return pl.DataFrame([row], schema=ACTIONS, orient="row")


def actions_of(*frames: pl.DataFrame) -> pl.DataFrame:
    """The actions of `frames` together; without any, a frame with no rows."""
    return pl.concat([pl.DataFrame(schema=ACTIONS), *frames])


def raw_actions(
    actions: pl.DataFrame, *, vendor: str = "test", known_at: datetime = KNOWN_AT
) -> pl.DataFrame:
    """Actions as the table corporate_actions holds them."""
    on = [session_on_or_after(ex_date) for ex_date in actions["ex_date"]]
    placed = actions.with_columns(session=pl.Series(on, dtype=pl.Date))
    return raw(
        placed.select("symbol", "session", *[name for name in ACTIONS if name != "symbol"]),
        vendor=vendor,
        known_at=known_at,
    )


def with_close(bars: pl.DataFrame, symbol: str, session: date, close: float) -> pl.DataFrame:
    """The bars with one of them flat at another price."""
    at = (pl.col("symbol") == symbol) & (pl.col("session") == session)
    prices = pl.col("open", "high", "low", "close", "vwap")
    return bars.with_columns(pl.when(at).then(close).otherwise(prices).name.keep())


def real_delivery(shared_data: Path, day: str, folder: Path) -> Path:
    """The prices of one original delivery of a real free feed, unpacked into `folder`."""
    with tarfile.open(shared_data / "pystock_raw" / f"{day}.tar.gz") as archive:
        archive.extract("prices.csv", folder, filter="data")
    return folder / "prices.csv"


@dataclass
class FrameVendor:
    """A vendor over frames that remembers the ranges it was asked for."""

    held: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=BARS))
    actions: pl.DataFrame = field(default_factory=actions_of)
    lists_symbols: bool = True
    name: str = "frames"
    asked: list[tuple[date, date]] = field(default_factory=list)

    def symbols(self) -> frozenset[str] | None:
        return frozenset(self.held["symbol"]) if self.lists_symbols else None

    def last_session(self) -> date | None:
        last = self.held["session"].max()
        assert last is None or isinstance(last, date)
        return last

    def bars(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        self.asked.append((first, last))
        return self.held.filter(
            pl.col("session").is_between(first, last), pl.col("symbol").is_in(list(symbols))
        )

    def corporate_actions(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        self.asked.append((first, last))
        return self.actions.filter(
            pl.col("ex_date").is_between(first, last), pl.col("symbol").is_in(list(symbols))
        )


def records_of(home: Path, runs: Sequence[tuple[object, ...]]) -> RunRecords:
    """Dagster's records of these runs: id, job, status, session, end."""
    path = home / "data/dagster/history/runs.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE runs (run_id, pipeline_name, status, partition, end_time)")
        database.executemany("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", runs)
    return RunRecords(url=None, home=home)
