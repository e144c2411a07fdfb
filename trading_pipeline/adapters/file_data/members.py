"""Membership of a universe from a CSV: a row a symbol and interval."""

import csv
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl

from trading_pipeline.core.market.universe import MEMBERS
from trading_pipeline.errors import SettingsError


def read_members(path: Path) -> pl.DataFrame:
    """Return the intervals of a CSV with the columns symbol, first, last.

    A symbol belongs from `first` through `last`, both YYYY-MM-DD and included; an empty `last` is
    still running. SettingsError names the file, and the line, that cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            lines = csv.DictReader(text)
            if list(lines.fieldnames or ()) != list(MEMBERS):
                raise SettingsError(
                    f"{path} has the columns {', '.join(lines.fieldnames or ['none'])}: expected "
                    f"{', '.join(MEMBERS)}."
                )
            rows = [_interval(path, number, line) for number, line in enumerate(lines, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(
            f"{path}, the members of the universe, cannot be read: {error}."
        ) from error
    if not rows:
        raise SettingsError(f"{path} has no members: expected a row a symbol and interval.")
    return pl.DataFrame(rows, schema=MEMBERS, orient="row")


def _interval(
    path: Path, number: int, line: Mapping[str, str | None]
) -> tuple[str, date, date | None]:
    symbol, first, last = ((line[name] or "").strip() for name in MEMBERS)
    try:
        begins, ends = date.fromisoformat(first), date.fromisoformat(last) if last else None
    except ValueError as error:
        raise SettingsError(f"{path}, line {number}: {error}.") from None
    if not symbol or (ends and ends < begins):
        raise SettingsError(
            f"{path}, line {number}: {symbol or 'no symbol'} from {first} through {last}: expected "
            "a symbol, and an end that is not before the beginning."
        )
    return symbol.upper(), begins, ends
