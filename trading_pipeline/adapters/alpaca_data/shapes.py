"""Alpaca's bars and corporate actions in our columns."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import polars as pl

from trading_pipeline.core.market.action_kinds import (
    ACTIONS,
    DELISTING,
    NOTHING,
    SPIN_OFF,
    SYMBOL_CHANGE,
)
from trading_pipeline.core.market.calendar import EXCHANGE_ZONE
from trading_pipeline.errors import AdapterError

_log = logging.getLogger(__name__)

BARS: Final = {
    "symbol": pl.String,
    "session": pl.Date,
    **dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), pl.Float64),
}
_THEIRS: Final = ("o", "h", "l", "c", "v", "vw")

Row = tuple[str, date, str, float, float, str | None, float | None]
"""A corporate action: the columns ACTIONS."""

Convert = Callable[[Mapping[str, Any]], Iterator[Row]]


def bars(pages: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The bars of pages; a bar's session is the day in New York of its time."""
    rows = [
        (symbol, _day(bar["t"]), *(_number(bar.get(name)) for name in _THEIRS))
        for page in pages
        for symbol, found in (page.get("bars") or {}).items()
        for bar in found
    ]
    return pl.DataFrame(rows, schema=BARS, orient="row").sort(
        "session", "symbol", maintain_order=True
    )


def actions(pages: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The corporate actions of pages; kinds that we have no word for are logged and left out."""
    rows = [
        row
        for page in pages
        for kind, found in (page.get("corporate_actions") or {}).items()
        for action in found
        if _is_known(kind, action)
        for row in _rows(kind, action)
    ]
    return pl.DataFrame(rows, schema=ACTIONS, orient="row").sort("ex_date", "symbol", "kind")


def moment(text: str) -> datetime:
    """A time of the wire, which has nanoseconds, as aware UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    zone = "" if "+" in whole else "+00:00"
    return (
        datetime.fromisoformat(f"{whole}{zone}")
        .astimezone(UTC)
        .replace(microsecond=int(fraction[:6].ljust(6, "0") or 0))
    )


def _day(text: str) -> date:
    return moment(text).astimezone(EXCHANGE_ZONE).date()


def _number(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]


def _is_known(kind: str, action: Mapping[str, Any]) -> bool:
    if kind not in _KINDS:
        _log.warning("corporate action left out", extra={"kind": kind, "id": action.get("id")})
    return kind in _KINDS


def _rows(kind: str, action: Mapping[str, Any]) -> list[Row]:
    try:
        return list(_KINDS[kind](action))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise AdapterError(
            f"Alpaca's {kind} {action.get('id', '')} cannot be read ({error!r}): rates, symbols and"
            " dates were expected."
        ) from error


def _split(kind: str) -> Convert:
    def rows(told: Mapping[str, Any]) -> Iterator[Row]:
        ratio = float(told["new_rate"]) / float(told["old_rate"])
        yield told["symbol"], _date(told, "ex_date"), kind, ratio, 0.0, None, None

    return rows


def _stock_dividend(told: Mapping[str, Any]) -> Iterator[Row]:
    ratio = 1 + float(told["rate"])
    yield told["symbol"], _date(told, "ex_date"), "stock_dividend", ratio, 0.0, None, None


def _cash_dividend(told: Mapping[str, Any]) -> Iterator[Row]:
    kind = "special_dividend" if told.get("special") else "dividend"
    yield told["symbol"], _date(told, "ex_date"), kind, 1.0, float(told["rate"]), None, None


def _spin_off(told: Mapping[str, Any]) -> Iterator[Row]:
    shares = float(told["new_rate"]) / float(told["source_rate"])
    day, new = _date(told, "ex_date"), str(told["new_symbol"])
    yield told["source_symbol"], day, SPIN_OFF, 1.0, 0.0, new, shares


def _rights(told: Mapping[str, Any]) -> Iterator[Row]:
    """Rights trade under a symbol of their own, like the shares of a spin-off."""
    day, new = _date(told, "ex_date"), str(told["new_symbol"])
    yield told["source_symbol"], day, SPIN_OFF, 1.0, 0.0, new, float(told["rate"])


def _unit_split(told: Mapping[str, Any]) -> Iterator[Row]:
    """A unit becomes shares and, as if spun off before it, what else it was made of."""
    unit, day, each = told["old_symbol"], _date(told, "effective_date"), float(told["old_rate"])
    others, shares = (float(told[name]) / each for name in ("alternate_rate", "new_rate"))
    yield unit, day, SPIN_OFF, 1.0, 0.0, str(told["alternate_symbol"]), others
    yield unit, day, DELISTING, 1.0, 0.0, str(told["new_symbol"]), shares


def _name_change(told: Mapping[str, Any]) -> Iterator[Row]:
    """A new name or CUSIP under the same symbol changes nothing that we know by the symbol."""
    old, new = told["old_symbol"], told["new_symbol"]
    if old != new:
        yield old, _date(told, "process_date"), SYMBOL_CHANGE, 1.0, 0.0, new, None


def _gone(symbol: str, day: str, cash: str | None = None, *, merged: bool = False) -> Convert:
    def rows(told: Mapping[str, Any]) -> Iterator[Row]:
        paid = float(told[cash]) if cash else 0.0
        new, shares = NOTHING, None
        if merged:
            new = str(told["acquirer_symbol"])
            shares = float(told["acquirer_rate"]) / float(told["acquiree_rate"])
        yield told[symbol], _date(told, day), DELISTING, 1.0, paid, new, shares

    return rows


def _date(told: Mapping[str, Any], name: str) -> date:
    return date.fromisoformat(told[name])


_KINDS: Final[Mapping[str, Convert]] = {
    "forward_splits": _split("split"),
    "reverse_splits": _split("reverse_split"),
    "stock_dividends": _stock_dividend,
    "cash_dividends": _cash_dividend,
    "spin_offs": _spin_off,
    "rights_distributions": _rights,
    "unit_splits": _unit_split,
    "name_changes": _name_change,
    "worthless_removals": _gone("symbol", "process_date"),
    "redemptions": _gone("symbol", "process_date", "rate"),
    "cash_mergers": _gone("acquiree_symbol", "effective_date", "rate"),
    "stock_mergers": _gone("acquiree_symbol", "effective_date", merged=True),
    "stock_and_cash_mergers": _gone("acquiree_symbol", "effective_date", "cash_rate", merged=True),
}
