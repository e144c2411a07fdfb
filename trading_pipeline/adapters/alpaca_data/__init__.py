"""The vendor `alpaca`: daily bars, corporate actions and latest quotes of US stocks, by alpaca-py.

Bars are raw and under the symbol they traded under at the time: nothing is adjusted or renamed by
the vendor. A long fetch is cut into slices of symbols and sessions, and every page is kept on disk
as it arrives, so that a fetch which failed goes on at the page that did not come.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import polars as pl

from trading_pipeline.adapters.alpaca_data import shapes
from trading_pipeline.adapters.alpaca_data.access import DataAccess
from trading_pipeline.adapters.alpaca_data.connection import Connection
from trading_pipeline.adapters.alpaca_data.spool import Page, Spool
from trading_pipeline.core.market.action_kinds import SPIN_OFF
from trading_pipeline.core.market.calendar import (
    FIRST_SESSION,
    LAST_SESSION,
    sessions_between,
)
from trading_pipeline.core.market.progress import Progress, unwatched

__all__ = ["AlpacaData", "DataAccess", "Quote"]

PAGE: Final = 10_000
"""Bars of a page at most."""

ACTIONS_PAGE: Final = 1_000
_RECENT: Final = timedelta(minutes=16)
"""What of the feed `sip` only a subscription may see."""

_SYMBOL: Final = re.compile(r"[A-Z0-9]+(\.[A-Z0-9]+)*")
_Value = TypeVar("_Value")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A best bid and offer in dollars a share, and when they were quoted, aware UTC."""

    bid: float
    ask: float
    at: datetime


class _Slice(NamedTuple):
    """A request for a part of a long fetch, and about how many pages answer it."""

    query: Mapping[str, Any]
    pages: int = 1


class AlpacaData:
    """The vendor `alpaca`; fetches one after the other, by one thread."""

    name = "alpaca"

    def __init__(
        self,
        access: DataAccess,
        keys: tuple[str, str],
        *,
        spool: Path,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        progress: Progress = unwatched,
    ) -> None:
        """Take the key's id and secret, a folder for pages under way, the time, and who watches."""
        self._access, self._clock, self._progress = access, clock, progress
        self._spool = partial(Spool, spool)
        self._connection = Connection(
            access.url.rstrip("/"),
            keys,
            patience=(access.connect_seconds, access.answer_seconds),
            requests_per_minute=access.requests_per_minute,
            timer=(clock, sleep),
        )

    @property
    def requests(self) -> int:
        """How many requests were made so far."""
        return self._connection.requests

    def symbols(self) -> None:
        """None: every US stock may be asked for."""

    def last_session(self) -> None:
        """None: it delivers up to the present."""

    def bars(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """Raw daily bars of first…last, both included, as they were traded, by the feed asked.

        Raises TransientError when a page does not come: ask again and it goes on there.
        """
        days = sessions_between(
            *(min(max(day, FIRST_SESSION), LAST_SESSION) for day in (first, last))
        )
        slices = [
            _Slice(self._bar_query(group, span), len(group) * len(span) // PAGE + 1)
            for span in _cut(days, self._access.sessions_per_request)
            for group in self._groups(symbols)
        ]
        found = shapes.bars(self._fetched("v2", "/stocks/bars", slices))
        return found.filter(pl.col("session").is_between(first, last))

    def corporate_actions(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        """Corporate actions with an ex-date in first…last, both included.

        A spin-off's `dividend` is what its new shares closed at on the ex-date, 0 without a bar.
        """
        days = {"start": str(first), "end": str(last)}
        slices = [
            _Slice({"symbols": ",".join(group), **days, "limit": ACTIONS_PAGE, "sort": "asc"})
            for group in self._groups(symbols)
        ]
        found = shapes.actions(self._fetched("v1", "/corporate-actions", slices))
        asked = found.filter(
            pl.col("ex_date").is_between(first, last), pl.col("symbol").is_in(list(symbols))
        )
        return self._with_worth(asked)

    def latest_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The newest quote of each symbol that has one."""
        query = {"symbols": ",".join(sorted(set(symbols))), "feed": self._access.feed}
        told = self._connection.page("v2", "/stocks/quotes/latest", query).get("quotes") or {}
        return {
            symbol: Quote(
                bid=float(quote["bp"]), ask=float(quote["ap"]), at=shapes.moment(quote["t"])
            )
            for symbol, quote in told.items()
        }

    def _groups(self, symbols: Sequence[str]) -> list[Sequence[str]]:
        """The symbols in slices; a name that cannot be one would have a whole slice refused."""
        names = sorted({symbol for symbol in symbols if _SYMBOL.fullmatch(symbol)})
        if strange := set(symbols) - set(names):
            _log.warning("names that are no symbols left out", extra={"names": sorted(strange)})
        return _cut(names, self._access.symbols_per_request)

    def _bar_query(self, symbols: Sequence[str], days: Sequence[date]) -> dict[str, Any]:
        end = datetime.combine(days[-1] + timedelta(days=1), time(4, 59), UTC)
        if self._access.feed == "sip":
            end = min(end, self._clock().replace(second=0, microsecond=0) - _RECENT)
        return {
            "symbols": ",".join(symbols),
            "timeframe": "1Day",
            "start": f"{days[0]}T00:00:00Z",
            "end": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "adjustment": "raw",
            "feed": self._access.feed,
            "asof": "-",  # no renaming: a bar belongs to the symbol it traded under
            "limit": PAGE,
            "sort": "asc",
        }

    def _fetched(self, version: str, path: str, slices: Sequence[_Slice]) -> Iterator[Page]:
        """Yield the pages of all slices, from the disk where they have been fetched before."""
        spool = self._spool(self._clock().date())
        ask = partial(self._connection.page, version, path)
        for done, (query, expected) in enumerate(slices):
            pages = spool.pages({"path": path, **query}, _less(ask))
            for number, page in enumerate(pages, start=1):
                what = f"{path[1:]} of alpaca, page {number} of slice {done + 1} of {len(slices)}"
                self._progress(what, (done + min(number / expected, 1.0)) / len(slices))
                yield page
            facts = {"path": path, "slice": done + 1, "slices": len(slices)}
            _log.info("slice fetched", extra=facts)
        spool.taken()

    def _with_worth(self, actions: pl.DataFrame) -> pl.DataFrame:
        """Say what the new shares of spin-offs were worth on their first day."""
        worth = {
            (row["new_symbol"], row["ex_date"]): self._close(row["new_symbol"], row["ex_date"])
            for row in actions.filter(kind=SPIN_OFF).iter_rows(named=True)
        }
        if not worth:
            return actions
        keys = [(new, day) for new, day in actions.select("new_symbol", "ex_date").iter_rows()]
        closes = pl.Series([worth.get(key, 0.0) for key in keys], dtype=pl.Float64)
        spun = closes * actions["new_shares"].fill_null(0.0)
        return actions.with_columns(dividend=pl.col("dividend") + spun)

    def _close(self, symbol: str, day: date) -> float:
        found = self.bars([symbol], day, day)["close"].drop_nulls()
        if found.is_empty():
            _log.warning("spin-off without a price", extra={"symbol": symbol, "day": str(day)})
            return 0.0
        return float(found[0])


def _less(ask: Callable[[Mapping[str, Any]], Page]) -> Callable[[Mapping[str, Any]], Page]:
    """The path is part of a page's name, not of the request."""
    return lambda query: ask({name: value for name, value in query.items() if name != "path"})


def _cut(values: Sequence[_Value], size: int) -> list[Sequence[_Value]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
