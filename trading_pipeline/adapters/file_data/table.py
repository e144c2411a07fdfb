"""Columns of a CSV or Parquet file in the types and by the names that were asked for."""

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from trading_pipeline.core.market.calendar import EXCHANGE_ZONE
from trading_pipeline.core.market.universe import SYMBOL
from trading_pipeline.errors import SchemaError, SettingsError

ENDINGS = (".csv", ".csv.gz", ".parquet", ".tar.gz")
"""What the names of the files that can be read end in."""

_MISSING = ("", "-", "na", "n/a", "nan", "none", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are read: the form of dates, the member of an archive, and how much may be bad.

    `unreadable` takes a sentence for every line that is left out; up to `tolerated` of a file's
    lines may be.
    """

    date_format: str = "%Y-%m-%d"
    member: str | None = None
    tolerated: float = 0.0
    unreadable: list[str] = field(default_factory=list[str])


def read_table(
    path: Path, names: dict[str, str], optional: Sequence[str], reading: Reading
) -> pl.DataFrame:
    """Return the columns `names` (ours: theirs) of a file under our names, in that order.

    symbol is text, session and ex_date are dates, all others float64; optional columns that the
    file lacks are null. A line with a value of another type is left out and told, as long as there
    are few. Raises SchemaError that names a column which is lacking, or the first value of another
    type and its row (1 is the first below the header); SettingsError when the file cannot be
    opened.
    """
    frame = _load(path, reading.member)
    present = {ours: theirs for ours, theirs in names.items() if theirs in frame.columns}
    if lacking := [theirs for ours, theirs in names.items() if ours not in (*present, *optional)]:
        raise SchemaError(
            f"{path} lacks {', '.join(lacking)}: its columns are"
            f" {', '.join(repr(name[:30]) for name in frame.columns[:10])}."
        )
    given = (frame[theirs].alias(ours) for ours, theirs in present.items())
    columns = _readable(path, list(given), reading)
    absent = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in present]
    return columns.with_columns(absent).select(*names)


def _readable(path: Path, given: list[pl.Series], reading: Reading) -> pl.DataFrame:
    """The columns converted, without the lines that cannot be."""
    found = [_converted(column, reading.date_format) for column in given]
    columns = pl.DataFrame([values for values, _, _ in found])
    bad = pl.DataFrame([wrong.alias(str(number)) for number, (_, wrong, _) in enumerate(found)])
    lines = bad.select(pl.any_horizontal(pl.all())).to_series()
    if not (count := int(lines.sum())):
        return columns
    told = list[str]()
    for row in lines.arg_true().to_list():
        number = next(at for at, (_, wrong, _) in enumerate(found) if wrong[row])
        told.append(_sentence(path, given[number], row, found[number][2]))
    if count > reading.tolerated * len(columns):
        raise SchemaError(told[0])
    reading.unreadable.extend(told)
    return columns.filter(~lines)


def _sentence(path: Path, column: pl.Series, row: int, what: str) -> str:
    found = "nothing" if column[row] is None else repr(str(column[row])[:40])
    return (
        f"{path} has {found} ({column.dtype}) as {column.name} in row {row + 1}:"
        f" {what} was expected."
    )


def _load(path: Path, member: str | None) -> pl.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False, hive_partitioning=False)
        return pl.read_csv(_content(path, member), infer_schema=False)
    except (OSError, tarfile.TarError, EOFError) as error:
        said = getattr(error, "strerror", None) or error
        raise SettingsError(f"{path} cannot be read: {said}.") from error
    except pl.exceptions.PolarsError as error:
        kind = "Parquet" if path.suffix == ".parquet" else "CSV"
        reason = str(error).partition("\n")[0][:120].rstrip(".")
        start = path.read_bytes()[:40].partition(b"\n")[0]
        raise SchemaError(
            f"{path}, which begins with {str(start)[1:]}, cannot be read as {kind}: {reason}."
        ) from error


def _content(path: Path, member: str | None) -> bytes:
    """The bytes of a CSV, or of the one in an archive that is meant."""
    if not path.name.endswith(".tar.gz"):
        return path.read_bytes()
    with tarfile.open(path) as archive:
        names = [each.name for each in archive.getmembers() if each.isfile()]
        meant = [name for name in names if name == member or (not member and _is_csv(name))]
        if len(meant) != 1:
            raise SettingsError(
                f"{path} holds {', '.join(names[:10]) or 'nothing'}: name the file of bars as"
                " `member` in the mapping."
            )
        found = archive.extractfile(meant[0])
        return found.read() if found else b""


def _is_csv(name: str) -> bool:
    return name.endswith((".csv", ".csv.gz"))


def _converted(column: pl.Series, date_format: str) -> tuple[pl.Series, pl.Series, str]:
    """The values, where they are wrong, and what was expected there."""
    if column.name == "symbol":
        what, values = "a symbol", _texts(column)
        names = values.unique().drop_nulls()
        wrong = values.is_null() | values.is_in(names.filter(~names.str.contains(SYMBOL)).implode())
    elif column.name in {"session", "ex_date"}:
        what, values = "a date", _days(column, date_format)
        wrong = values.is_null()
    else:
        what, (given, values) = "a number", _numbers(column)
        wrong = values.is_null() & given.is_not_null()
    return values, wrong, what


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
