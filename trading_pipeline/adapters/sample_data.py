"""The built-in vendor: daily bars of five US stocks from the package bokeh-sampledata.

AAPL, IBM and MSFT from 2000-03-01, GOOG from 2004-08-19, FB from 2012-05-18, all to 2013-03-01; raw
open, high, low, close and volume, public domain. Corporate actions are read back from the jumps of
the published adjusted close, whose convention is `crsp`.
"""

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import polars as pl

from trading_pipeline.core.market.corporate_actions import Convention, infer
from trading_pipeline.errors import SettingsError

CONVENTION: Convention = "crsp"
"""How the sample's adjusted closes were made."""

_PRICES = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}


class SampleData:
    """The vendor `sample`: real prices that need no key and no network."""

    name = "sample"

    def symbols(self) -> frozenset[str]:
        """The five symbols of the sample."""
        return frozenset(self._bars["symbol"].unique())

    def last_session(self) -> date:
        """The sample's newest session, 2013-03-01."""
        return cast("date", self._bars["session"].max())

    def bars(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """Raw bars of first…last, both included; vwap is not known and null."""
        wanted = pl.col("session").is_between(first, last) & pl.col("symbol").is_in(list(symbols))
        return self._bars.filter(wanted).drop("adj_close")

    def corporate_actions(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """Splits and dividends with an ex-date in first…last, both included."""
        wanted = pl.col("ex_date").is_between(first, last) & pl.col("symbol").is_in(list(symbols))
        return self._actions.filter(wanted)

    @cached_property
    def _bars(self) -> pl.DataFrame:
        return (
            pl.read_csv(_location(), try_parse_dates=True)
            .select(
                pl.col("Ticker").alias("symbol"),
                pl.col("Date").cast(pl.Date).alias("session"),
                *(pl.col(theirs).cast(pl.Float64).alias(ours) for ours, theirs in _PRICES.items()),
                vwap=pl.lit(None, dtype=pl.Float64),
                adj_close=pl.col("Adj Close"),
            )
            .sort("session", "symbol")
        )

    @cached_property
    def _actions(self) -> pl.DataFrame:
        return infer(self._bars, "adj_close", convention=CONVENTION)


def _location() -> Path:
    # Found without importing the package, whose modules load every data set they hold.
    found = find_spec("bokeh_sampledata")
    path = Path(found.origin).parent / "_data" / "stocks.csv.gz" if found and found.origin else None
    if path is None or not path.exists():
        raise SettingsError(
            "The vendor `sample` needs the package bokeh-sampledata 2025.0 or newer: install it."
        )
    return path
