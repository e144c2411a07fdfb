"""The vendor `files`: daily bars of your own, in a folder (or one file) of CSV or Parquet.

Files end in .csv, .csv.gz, .parquet or .tar.gz (of one CSV, or of the `member` that the mapping
names) and hold a row a symbol and session with the columns symbol,
date, open, high, low, close, volume and, where known, vwap: raw US dollars a share, and shares. A
mapping in TOML says what differs; every part of it is optional. The one of a file of US large caps,
`kdd17_raw_2007_2016.parquet`, which has the usual names and the vendor's adjusted close::

    convention = "yahoo"        # how adj_close was made, "crsp" or "yahoo"
    volume_is_adjusted = true   # volumes count today's shares although prices are raw

    [columns]                   # our name = "their name"; a column not listed is named as above
    session = "date"
    adj_close = "adj_close"     # corporate actions are read back from its jumps

One of a folder with a CSV a symbol, American dates and a list of corporate actions::

    date_format = "%m/%d/%Y"    # of dates that are text; default "%Y-%m-%d"
    max_unreadable_share = 0.01 # lines of a file that may be unreadable; default 0.001

    [columns]
    session = "Date"
    close = "Last"

    [constants]                 # a column the files lack; {stem} is the file's name without ending
    symbol = "{stem}"

    [actions]
    file = "actions.csv"        # beside this mapping

    [actions.columns]           # symbol, ex_date and at least one of split_ratio, dividend
    ex_date = "Ex Date"

Without adj_close and [actions] there are no corporate actions. Symbols are made upper case; a
number that is empty or not finite is missing, not zero; a time with a zone is a date in New York.
A line that cannot be read is left out, counted and named; a file of many such lines is refused.
"""

import logging
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import cast

import polars as pl

from trading_pipeline.adapters.file_data.mapping import Mapping, read_mapping
from trading_pipeline.adapters.file_data.table import ENDINGS, Reading, read_table
from trading_pipeline.core.market.action_kinds import ACTIONS, SHARES, completed
from trading_pipeline.core.market.corporate_actions import adjust, infer
from trading_pipeline.core.market.progress import Progress, unwatched
from trading_pipeline.errors import SchemaError, SettingsError

__all__ = ["FileData"]

_TOLD_AT_MOST = 20
_log = logging.getLogger(__name__)
_BARS = ("symbol", "session", "open", "high", "low", "close", "volume", "vwap")


class FileData:
    """The vendor `files`: reads every file once, when the first bar or action is asked for."""

    name = "files"

    def __init__(
        self, path: Path, mapping: Path | None = None, *, progress: Progress = unwatched
    ) -> None:
        """Name a folder or one file, the mapping, which is read here, and who watches.

        Raises SettingsError for a mapping that cannot be used; the other methods raise
        SettingsError when there is no file to read, SchemaError when one holds something else.
        """
        self._path, self._progress = path, progress
        self._mapping = Mapping() if mapping is None else read_mapping(mapping)
        actions = self._mapping.actions
        self._reading = Reading(
            date_format=self._mapping.date_format,
            member=self._mapping.member,
            tolerated=self._mapping.max_unreadable_share,
        )
        self._action_file = mapping.parent / actions.file if mapping and actions else None

    @property
    def unreadable(self) -> Sequence[str]:
        """A sentence for each line left out so far: where it is, what it has, what was expected."""
        return self._reading.unreadable

    def symbols(self) -> frozenset[str]:
        """Every symbol in the files."""
        return frozenset(self._bars["symbol"].unique())

    def last_session(self) -> date:
        """The newest day in the files."""
        return cast("date", self._bars["session"].max())

    def bars(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """Raw bars of first…last, both included, with every row that the files have."""
        wanted = pl.col("session").is_between(first, last) & pl.col("symbol").is_in(list(symbols))
        return self._bars.filter(wanted)

    def corporate_actions(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """Splits and dividends with an ex-date in first…last, both included."""
        wanted = pl.col("ex_date").is_between(first, last) & pl.col("symbol").is_in(list(symbols))
        return self._actions.filter(wanted)

    @cached_property
    def _bars(self) -> pl.DataFrame:
        """Raw bars: a volume in today's shares is put back into those of its session."""
        bars = self._delivered.select(_BARS)
        if not self._mapping.volume_is_adjusted:
            return bars
        splits = self._actions.filter(pl.col("kind").is_in(SHARES))
        factors = adjust(bars, splits, convention="crsp")["volume_factor"]
        return bars.with_columns(pl.col("volume") / factors)

    @cached_property
    def _actions(self) -> pl.DataFrame:
        if self._mapping.convention is not None:
            return infer(self._delivered, "adj_close", convention=self._mapping.convention)
        if self._action_file is None or self._mapping.actions is None:
            return pl.DataFrame(schema=ACTIONS)
        names = self._mapping.actions.columns.model_dump()
        found = read_table(
            self._action_file,
            names,
            ("split_ratio", "dividend"),
            self._reading,
        )
        told = found.select(pl.col("split_ratio", "dividend").is_not_null().any()).row(0)
        if len(found) and not any(told):
            raise SchemaError(f"{self._action_file} has neither a split ratio nor a dividend.")
        return _one_kind_a_row(found)

    @cached_property
    def _delivered(self) -> pl.DataFrame:
        frames, files = list[pl.DataFrame](), self._files()
        for done, path in enumerate(files, start=1):
            frames.append(self._read_bars(path))
            self._progress(f"{path.name}, file {done} of {len(files)}", done / len(files))
        bars = pl.concat(frames).sort("session", "symbol", maintain_order=True)
        for sentence in self.unreadable[:_TOLD_AT_MOST]:
            _log.warning("line left out", extra={"line": sentence})
        if bars.is_empty():
            raise SchemaError(f"{self._path} holds no bar at all: only headers were found.")
        return bars

    def _files(self) -> list[Path]:
        """The files of bars in the order of their names; that of the actions is not among them."""
        if self._path.is_file():
            return [self._path]
        if not self._path.is_dir():
            raise SettingsError(f"{self._path} does not exist: a folder or file was expected.")
        inside = (path for path in sorted(self._path.iterdir()) if path.name.endswith(ENDINGS))
        actions = self._action_file and self._action_file.resolve()
        files = [path for path in inside if path.resolve() != actions]
        if not files:
            raise SettingsError(
                f"{self._path} has no file of bars: names in {', '.join(ENDINGS)} were expected."
            )
        return files

    def _read_bars(self, path: Path) -> pl.DataFrame:
        constant = self._mapping.constants.symbol
        left_out = {"symbol"} if constant else set[str]()
        names = self._mapping.columns.model_dump(exclude_none=True, exclude=left_out)
        rows = read_table(path, names, ("vwap",), self._reading)
        if constant is None:
            return rows
        symbol = constant.replace("{stem}", path.name.partition(".")[0]).upper()
        return rows.select(pl.lit(symbol).alias("symbol"), pl.all())


def _one_kind_a_row(found: pl.DataFrame) -> pl.DataFrame:
    """Make of rows that may carry a split and a dividend rows of one kind."""
    split, paid = pl.col("split_ratio") != 1, pl.col("dividend") != 0
    splits = found.filter(split).with_columns(kind=pl.lit("split"), dividend=0.0)
    dividends = found.filter(paid).with_columns(kind=pl.lit("dividend"), split_ratio=1.0)
    return completed(pl.concat([splits, dividends])).sort("ex_date", "symbol", "kind")
