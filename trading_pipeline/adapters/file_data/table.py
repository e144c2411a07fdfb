"""Columns of a CSV or Parquet file in the types and by the names that were asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import polars as pl

from trading_pipeline.core.market.calendar import EXCHANGE_ZONE
from trading_pipeline.errors import SchemaError, SettingsError

ENDINGS = (".csv", ".csv.gz", ".parquet")
"""What the names of the files that can be read end in."""

_MISSING = ("", "-", "na", "n/a", "nan", "none", "null")


def read_table(
    path: Path, names: dict[str, str], optional: Sequence[str], *, date_format: str
) -> pl.DataFrame:
    """Return the columns `names` (ours: theirs) of a file under our names, in that order.

    symbol is text, session and ex_date are dates, all others float64; optional columns that the
    file lacks are null. Raises SchemaError that names a column which is lacking, or the first value
    of another type and its row (1 is the first below the header); SettingsError when the file
    cannot be opened.
    """
    frame = _load(path)
    present = {ours: theirs for ours, theirs in names.items() if theirs in frame.columns}
    if lacking := [theirs for ours, theirs in names.items() if ours not in (*present, *optional)]:
        raise SchemaError(
            f"{path} lacks {', '.join(lacking)}: its columns are"
            f" {', '.join(repr(name[:30]) for name in frame.columns[:10])}."
        )
    given = (frame[theirs].alias(ours) for ours, theirs in present.items())
    columns = pl.DataFrame([_converted(path, column, date_format) for column in given])
    absent = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in present]
    return columns.with_columns(absent).select(*names)


def _load(path: Path) -> pl.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False, hive_partitioning=False)
        return pl.read_csv(path.read_bytes(), infer_schema=False)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except pl.exceptions.PolarsError as error:
        kind = "Parquet" if path.suffix == ".parquet" else "CSV"
        reason = str(error).partition("\n")[0][:120].rstrip(".")
        start = path.read_bytes()[:40].partition(b"\n")[0]
        raise SchemaError(
            f"{path}, which begins with {str(start)[1:]}, cannot be read as {kind}: {reason}."
        ) from error


def _converted(path: Path, column: pl.Series, date_format: str) -> pl.Series:
    if column.name == "symbol":
        what, values = "a symbol", _texts(column)
        wrong = values.is_null()
    elif column.name in {"session", "ex_date"}:
        what, values = "a date", _days(column, date_format)
        wrong = values.is_null()
    else:
        what, (given, values) = "a number", _numbers(column)
        wrong = values.is_null() & given.is_not_null()
    if wrong.any():
        row = cast("int", wrong.arg_true()[0])
        found = "nothing" if column[row] is None else repr(str(column[row])[:40])
        raise SchemaError(
            f"{path} has {found} ({column.dtype}) as {column.name} in row {row + 1}:"
            f" {what} was expected."
        )
    return values


def _texts(column: pl.Series) -> pl.Series:
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return _nothing(column, pl.String())
    return column.cast(pl.String).str.strip_chars().str.to_uppercase().replace("", None)


def _days(column: pl.Series, date_format: str) -> pl.Series:
    if column.dtype == pl.String:
        return column.str.strip_chars().str.to_date(date_format, strict=False)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone:
        return column.dt.convert_time_zone(str(EXCHANGE_ZONE)).dt.date()
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Date)
    return _nothing(column, pl.Date())


def _numbers(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return what was given, null where that means missing, and the same as float64."""
    given = column
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        given = text.set(text.str.to_lowercase().is_in(_MISSING), None)
    elif not (column.dtype.is_numeric() or column.dtype == pl.Null):
        return column, _nothing(column, pl.Float64())
    values = given.cast(pl.Float64, strict=False)
    infinite = ~values.is_finite().fill_null(value=True)
    return given.set(infinite, None), values.set(infinite, None)


def _nothing(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    return pl.Series(column.name, [None] * len(column), dtype=dtype)
