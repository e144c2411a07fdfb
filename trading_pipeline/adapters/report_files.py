"""Report files: JSON, CSV and one self-contained HTML page, each replaced whole or not at all.

A file is written beside its place and moved there, so a reader never meets half a report.
Anything that keeps it from being written is one SettingsError that names the path.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from errno import EISDIR
from functools import cache
from pathlib import Path
from stat import S_ISDIR
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from trading_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from jinja2 import Environment

SUFFIXES: Final = (".json", ".csv", ".html")
"""The formats a report can have, told by the file's name."""

_TEMPLATES = Path(__file__).parent / "templates"
_CENT = Decimal("0.01")
_PER_MILLE = Decimal("0.001")
_NONE = "–"
_NUMBER: Final = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?")


def require_writable(path: Path) -> Path:
    """Return `path` when a report can be written there; leave nothing behind.

    Raises:
        SettingsError: the suffix names no format, the path is a folder, or its nearest existing
            parent takes no file. Asked before the day runs, not after it.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(
            f"The report {path} cannot be written: its name must end in {', '.join(SUFFIXES)}."
        )
    with _naming(path):
        with suppress(FileNotFoundError):
            if S_ISDIR(path.stat().st_mode):
                raise IsADirectoryError(EISDIR, "it is a folder")
        parent = next(folder for folder in path.parents if folder.exists())
        with TemporaryFile(dir=parent):
            return path


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8, parents created, and return the path."""
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{uuid4().hex}.tmp")
        try:
            with beside.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> Path:
    """Write `rows` under a header of `columns`; None is an empty cell; no rows is a header.

    A text that a spreadsheet would compute has an apostrophe before it, and is then only shown.
    """
    page = io.StringIO()
    writer = csv.DictWriter(page, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return write_text(path, page.getvalue())


def _inert(value: object) -> object:
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def write_html(
    path: Path,
    report: Mapping[str, object],
    pictures: Mapping[str, str],
    *,
    template: str = "day_report.html.j2",
) -> Path:
    """Write a page: `report` is the JSON document, `pictures` are `<svg>` by name."""
    return write_text(path, render_html(report, pictures, template=template))


def render_html(report: Mapping[str, object], pictures: Mapping[str, str], *, template: str) -> str:
    """Return the page that `write_html` writes."""
    return _environment().get_template(template).render(report=report, pictures=pictures)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what the operating system says into one sentence about `path`."""
    try:
        yield
    except (OSError, ValueError) as error:  # the latter for a name with a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"The report {path} cannot be written: {reason.lower()}.") from error


@cache
def _environment() -> "Environment":
    """The templates, with a filter for each kind of number a trader reads."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - heavy: on first use

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "dollars": dollars,
        "price": price,
        "shares": shares,
        "percent": percent,
        "direction": direction,
        "order_value": order_value,
        "day": day,
        "moment": moment,
    }
    return environment


def dollars(value: str | None, *, signed: bool = False) -> str:
    """`-1234.5` as −$1,234.50, rounded to cents; a dash for None; a plus sign when `signed`."""
    if value is None:
        return _NONE
    amount = Decimal(value).quantize(_CENT)
    return f"{_sign(amount, signed=signed)}${abs(amount):,f}"


def price(value: str | None) -> str:
    """A price a share: cents, or four decimals when it has a part of a cent."""
    if value is None:
        return _NONE
    amount = Decimal(value)
    return f"${amount:,.2f}" if amount == amount.quantize(_CENT) else f"${amount:,.4f}"


def shares(value: str | None, *, signed: bool = False) -> str:
    """`-1200` as −1,200; a dash for None; a plus sign when `signed`."""
    if value is None:
        return _NONE
    amount = Decimal(value)
    return f"{_sign(amount, signed=signed)}{abs(amount):,f}"


def percent(value: float | None, *, signed: bool = False) -> str:
    """A fraction as a percentage to one decimal; a dash for None."""
    if value is None:
        return _NONE
    amount = Decimal(str(value)).quantize(_PER_MILLE)
    return f"{_sign(amount, signed=signed)}{abs(amount):.1%}"


def direction(value: str | float | None) -> str:
    """`up`, `down` or `flat`: the class that colors a signed number."""
    amount = Decimal(str(value or 0))
    return "up" if amount > 0 else "down" if amount < 0 else "flat"


def order_value(order: Mapping[str, str | None]) -> str:
    """What an order moves, in dollars: the filled shares at their price, else all as sized."""
    filled = Decimal(order["filled_qty"] or 0)
    quantity = filled or Decimal(order["qty"] or 0)
    return str(quantity * Decimal(order["filled_price"] or order["reference_price"] or 0))


def day(value: str) -> str:
    """`2013-03-01` as Friday, March 1, 2013."""
    found = date.fromisoformat(value)
    return f"{found:%A, %B} {found.day}, {found.year}"


def moment(value: str) -> str:
    """A timestamp of the document to the second, with its offset."""
    return datetime.fromisoformat(value).isoformat(sep=" ", timespec="seconds")


def _sign(amount: Decimal, *, signed: bool) -> str:
    return "−" if amount < 0 else "+" if signed and amount > 0 else ""
