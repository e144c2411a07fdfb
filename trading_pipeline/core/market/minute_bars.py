"""Quotes as a frame, and the minute bars that follow from them."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

MOMENT: Final = pl.Datetime("ns", "UTC")
TICKS: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "at": MOMENT,
        "bid": pl.Float64(),
        "ask": pl.Float64(),
        "bid_size": pl.Float64(),
        "ask_size": pl.Float64(),
        "exchange": pl.String(),
        "epoch": pl.Int32(),
        "fault": pl.String(),
    }
)
"""A row a quote, in the order of arrival; `fault` is `zero`, `crossed` or null for a sound one."""

BARS: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "minute": MOMENT,
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "spread_bps": pl.Float64(),
        "quotes": pl.Int64(),
        "source": pl.String(),
    }
)
"""A row a symbol and minute; `source` is `quotes`, or `vendor` where a gap was filled."""

FROM_QUOTES: Final = "quotes"
FROM_VENDOR: Final = "vendor"

_COLUMNS: Final = tuple(name for name in TICKS if name != "fault")


def ticks_of(rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Return quotes as TICKS, marking the faulty ones."""
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    kinds = {name: pl.Int64() if name == "at" else TICKS[name] for name in _COLUMNS}
    frame = pl.DataFrame(dict(zip(_COLUMNS, columns, strict=True)), schema=kinds, strict=False)
    bid, ask = pl.col("bid"), pl.col("ask")
    sound = bid.is_finite() & ask.is_finite() & (bid > 0) & (ask > 0)
    fault = pl.when(~sound).then(pl.lit("zero")).when(bid > ask).then(pl.lit("crossed"))
    at = pl.from_epoch("at", "ns").dt.replace_time_zone("UTC")
    return frame.with_columns(at, fault.alias("fault")).cast(TICKS)  # pyright: ignore[reportArgumentType]


def vendor_bars_of(rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Return the minute bars of a gap, given as (symbol, nanoseconds, open, high, low, close)."""
    names = list(BARS)[:6]
    kinds = {name: pl.Int64() if name == "minute" else BARS[name] for name in names}
    frame = pl.DataFrame(list(rows), schema=kinds, orient="row")
    return frame.with_columns(
        pl.from_epoch("minute", "ns").dt.replace_time_zone("UTC"),
        pl.lit(None, pl.Float64).alias("spread_bps"),
        pl.lit(0, pl.Int64).alias("quotes"),
        pl.lit(FROM_VENDOR).alias("source"),
    )


def minute_bars(ticks: pl.LazyFrame, gaps: pl.DataFrame) -> pl.DataFrame:
    """Return BARS of the mid of sound quotes, sorted by symbol and minute.

    open and close are the mids of the first and last quote by the exchange's time, `spread_bps` the
    mean spread in hundredths of a percent of the mid, `quotes` their number. A minute that `gaps`
    has (BARS) is theirs: the quotes of it are not all there. The last one given wins.
    """
    mid = (pl.col("bid") + pl.col("ask")) / 2
    spread = (pl.col("ask") - pl.col("bid")) / mid * 10_000
    made = (
        ticks.filter(pl.col("fault").is_null())
        .with_columns(mid.alias("mid"), spread.alias("spread_bps"))
        .sort("at", maintain_order=True)
        .group_by("symbol", pl.col("at").dt.truncate("1m").alias("minute"), maintain_order=True)
        .agg(
            pl.col("mid").first().alias("open"),
            pl.col("mid").max().alias("high"),
            pl.col("mid").min().alias("low"),
            pl.col("mid").last().alias("close"),
            pl.col("spread_bps").mean(),
            pl.len().cast(pl.Int64).alias("quotes"),
            pl.lit(FROM_QUOTES).alias("source"),
        )
        .collect()
    )
    key = ["symbol", "minute"]
    last = gaps.unique(key, keep="last", maintain_order=True)
    return pl.concat([made.join(last, on=key, how="anti"), last]).select(list(BARS)).sort(key)
