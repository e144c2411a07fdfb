"""Symbols as codes, by which millions of rows are sorted and joined several times faster."""

from typing import Final

import numpy as np
import polars as pl

DAYS: Final = 1_000_000
"""More than any day's number: a symbol's code and a day make one number that sorts like both."""

_SMALL: Final = 2**16


def codes_of(frame: pl.DataFrame) -> pl.Enum:
    """The symbols of a frame in their order; of a coded one, its codes."""
    kind = frame.schema["symbol"]
    return (
        kind if isinstance(kind, pl.Enum) else pl.Enum(frame["symbol"].drop_nulls().unique().sort())
    )


def coded(frame: pl.DataFrame, codes: pl.Enum) -> pl.DataFrame:
    """The rows whose symbol has a code, with the code for it."""
    if frame.schema["symbol"] == codes:
        return frame
    code = frame["symbol"].cast(codes, strict=False)
    rows = frame.with_columns(code)
    return rows.filter(code.is_not_null()) if code.null_count() else rows


def named(frame: pl.DataFrame, kind: pl.DataType | None = None) -> pl.DataFrame:
    """The rows with the symbol again for its code, or as of a `kind` that it had before."""
    wanted = kind or pl.String()
    if frame.schema["symbol"] == wanted:
        return frame
    return frame.with_columns(pl.col("symbol").cast(wanted))


def order_by_symbol(symbols: pl.Series) -> pl.Series:
    """The rows of coded symbols, those of a symbol together and each in the order it has now."""
    codes = symbols.to_physical()
    small = codes.cast(pl.UInt16 if codes.len() and codes.max() < _SMALL else pl.UInt32)  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    return pl.Series(np.argsort(small.to_numpy(), kind="stable"))  # of 16 bits, a radix sort


def places(frame: pl.DataFrame, day: str, codes: pl.Enum) -> pl.Series:
    """A number a row, which sorts by symbol and day; null for a symbol without a code."""
    symbol = frame["symbol"]
    code = (symbol if symbol.dtype == codes else symbol.cast(codes, strict=False)).to_physical()
    return code.cast(pl.Int64) * DAYS + frame[day].to_physical().cast(pl.Int64)
