"""The market-data REST API of the twin: bars by page, latest quotes, corporate actions."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl
from aiohttp import web

from trading_pipeline_tests.alpaca_twin.checks import RefusedError

ACTION_KINDS = {
    "forward_splits": "forward_split",
    "reverse_splits": "reverse_split",
    "cash_dividends": "cash_dividend",
    "stock_dividends": "stock_dividend",
    "spin_offs": "spin_off",
    "name_changes": "name_change",
    "worthless_removals": "worthless_removal",
    "redemptions": "redemption",
    "cash_mergers": "cash_merger",
    "stock_mergers": "stock_merger",
    "stock_and_cash_mergers": "stock_and_cash_merger",
    "unit_splits": "unit_split",
    "rights_distributions": "rights_distribution",
}
"""Where each kind is in an answer, and what a request calls it."""


class MarketApi:
    """Bars, quotes and actions to be asked for; `page` is the most rows of one answer."""

    def __init__(self) -> None:
        self.bars: dict[str, list[dict[str, Any]]] = {}
        self.quotes: dict[str, dict[str, Any]] = {}
        self.trades: dict[str, dict[str, Any]] = {}
        self.actions: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ACTION_KINDS}
        self.page = 10_000

    def add_bars(self, frame: pl.DataFrame) -> None:
        """Take bars as `factories.bars_of` makes them."""
        for row in frame.sort("symbol", "session").iter_rows(named=True):
            self.bars.setdefault(row["symbol"], []).append(
                {
                    "t": f"{row['session']}T05:00:00Z",
                    **{short: row[name] for short, name in _COLUMNS.items()},
                    "n": 1,
                    "vw": row["vwap"] or row["close"],
                }
            )

    def set_quote(self, symbol: str, bid: float, ask: float, at: datetime) -> None:
        self.quotes[symbol] = {
            "t": at.isoformat(),
            "ax": "Q",
            "ap": ask,
            "as": 1,
            "bx": "Q",
            "bp": bid,
            "bs": 1,
            "c": ["R"],
            "z": "C",
        }

    def set_trade(self, symbol: str, price: float, at: datetime) -> None:
        self.trades[symbol] = {"t": at.isoformat(), "x": "Q", "p": price, "s": 1, "i": 1}

    def add_to(self, app: web.Application) -> None:
        app.add_routes(
            [
                web.get("/v2/stocks/bars", self._bars),
                web.get("/v2/stocks/bars/latest", self._latest_bars),
                web.get("/v2/stocks/quotes/latest", self._latest_quotes),
                web.get("/v2/stocks/trades/latest", self._latest_trades),
                web.get("/v2/stocks/snapshots", self._snapshots),
                web.get("/v1/corporate-actions", self._actions),
            ]
        )

    async def _bars(self, request: web.Request) -> web.Response:
        first = _moment(request.query.get("start", "1900-01-01"))
        last = _moment(request.query.get("end", "2100-01-01"), time.max)
        rows = [
            (symbol, bar)
            for symbol in sorted(_symbols(request))
            for bar in self.bars.get(symbol, [])
            if first <= _moment(bar["t"]) <= last
        ]
        shown, token = self._paged(request, rows)
        found: dict[str, list[dict[str, Any]]] = {}
        for symbol, bar in shown:
            found.setdefault(symbol, []).append(bar)
        return web.json_response({"bars": found, "next_page_token": token})

    async def _latest_bars(self, request: web.Request) -> web.Response:
        last = {symbol: bars[-1] for symbol, bars in self.bars.items() if bars}
        return web.json_response({"bars": _of(last, request)})

    async def _latest_quotes(self, request: web.Request) -> web.Response:
        return web.json_response({"quotes": _of(self.quotes, request)})

    async def _latest_trades(self, request: web.Request) -> web.Response:
        return web.json_response({"trades": _of(self.trades, request)})

    async def _snapshots(self, request: web.Request) -> web.Response:
        found = {}
        for symbol in _symbols(request):
            bars = self.bars.get(symbol, [])
            parts = {
                "latestQuote": self.quotes.get(symbol),
                "latestTrade": self.trades.get(symbol),
                "dailyBar": bars[-1] if bars else None,
                "prevDailyBar": bars[-2] if len(bars) > 1 else None,
            }
            if any(parts.values()):
                found[symbol] = {name: part for name, part in parts.items() if part}
        return web.json_response(found)

    async def _actions(self, request: web.Request) -> web.Response:
        query = request.query
        wanted = set(query["types"].split(",")) if "types" in query else None
        first, last = (_day(query.get(name)) for name in ("start", "end"))
        rows = [
            (kind, action)
            for kind, actions in self.actions.items()
            if wanted is None or ACTION_KINDS.get(kind, kind) in wanted
            for action in actions
            if _symbol_of(action) in _symbols(request)
            and (first or date.min) <= _day_of(action) <= (last or date.max)
        ]
        shown, token = self._paged(request, rows)
        found: dict[str, list[dict[str, Any]]] = {}
        for kind, action in shown:
            found.setdefault(kind, []).append(action)
        return web.json_response({"corporate_actions": found, "next_page_token": token})

    def _paged(
        self, request: web.Request, rows: list[tuple[str, dict[str, Any]]]
    ) -> tuple[list[tuple[str, dict[str, Any]]], str | None]:
        start = int(request.query.get("page_token") or 0)
        end = start + min(int(request.query.get("limit", "1000")), self.page)
        return rows[start:end], str(end) if end < len(rows) else None


_COLUMNS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


def _symbol_of(action: Mapping[str, Any]) -> str:
    names = ("symbol", "source_symbol", "old_symbol", "acquiree_symbol")
    return next(action[name] for name in names if name in action)


def _day_of(action: Mapping[str, Any]) -> date:
    names = ("ex_date", "effective_date", "process_date")
    return date.fromisoformat(next(action[name] for name in names if name in action))


def _symbols(request: web.Request) -> list[str]:
    names = request.query.get("symbols", "").split(",")
    if bad := [name for name in names if not name.replace(".", "").isalnum()]:
        raise RefusedError(400, None, f"invalid symbol: {bad[0]}")
    return names


def _of(known: Mapping[str, Any], request: web.Request) -> dict[str, Any]:
    return {symbol: known[symbol] for symbol in _symbols(request) if symbol in known}


def _moment(text: str, of_day: time = time.min) -> datetime:
    if len(text) == len("2012-01-03"):
        return datetime.combine(date.fromisoformat(text), of_day, UTC)
    return datetime.fromisoformat(text)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None
