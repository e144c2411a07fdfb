"""The trading REST API of the twin."""

import asyncio
from datetime import date, datetime

from aiohttp import web

from trading_pipeline.core.market.calendar import is_half_day, sessions_between
from trading_pipeline_tests.alpaca_twin.checks import RefusedError
from trading_pipeline_tests.alpaca_twin.exchange import Exchange

BOOKED = web.RequestKey("booked", str)

_ACTIVE = {"status": "active", "class": "us_equity"}


class TradingApi:
    """Requests to steps of the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def add_to(self, app: web.Application) -> None:
        app.add_routes(
            [
                web.get("/v2/account", self._account),
                web.get("/v2/clock", self._clock),
                web.get("/v2/calendar", self._calendar),
                web.get("/v2/assets", self._assets),
                web.get("/v2/assets/{symbol}", self._asset),
                web.get("/v2/positions", self._positions),
                web.get("/v2/account/activities", self._activities),
                web.get("/v2/account/activities/{kind}", self._activities),
                web.post("/v2/orders", self._submit),
                web.get("/v2/orders", self._orders),
                web.get("/v2/orders:by_client_order_id", self._find),
                web.get("/v2/orders/{id}", self._order),
                web.delete("/v2/orders/{id}", self._cancel),
            ]
        )

    async def _account(self, _: web.Request) -> web.Response:
        return web.json_response(self._exchange.account())

    async def _clock(self, _: web.Request) -> web.Response:
        return web.json_response(self._exchange.clock())

    async def _calendar(self, request: web.Request) -> web.Response:
        first, last = (date.fromisoformat(request.query[name]) for name in ("start", "end"))
        return web.json_response(
            [
                {
                    "date": str(day),
                    "open": "09:30",
                    "close": "13:00" if is_half_day(day) else "16:00",
                }
                for day in sessions_between(first, last)
            ]
        )

    async def _asset(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        flags = self._exchange.assets.get(symbol)
        if flags is None:
            raise RefusedError(404, 40410000, f"asset not found for {symbol}")
        return web.json_response({"symbol": symbol, **_ACTIVE, **flags})

    async def _assets(self, _: web.Request) -> web.Response:
        every = self._exchange.assets.items()
        return web.json_response(
            [{"symbol": symbol, **_ACTIVE, **flags} for symbol, flags in every]
        )

    async def _positions(self, _: web.Request) -> web.Response:
        return web.json_response(self._exchange.positions())

    async def _activities(self, request: web.Request) -> web.Response:
        query = request.query
        kinds = request.match_info.get("kind") or query.get("activity_types")
        wanted = set(kinds.split(",")) if kinds else None
        found = [
            activity
            for activity in list(self._exchange.books.activities)
            if (wanted is None or activity["activity_type"] in wanted)
            and query.get("after", "") < activity.get("transaction_time", activity.get("date", ""))
            and (query.get("category") != "non_trade_activity" or "net_amount" in activity)
        ]
        if query.get("direction") != "asc":
            found.reverse()
        if (token := query.get("page_token")) is not None:
            ids = [activity["id"] for activity in found]
            found = found[ids.index(token) + 1 :]
        return web.json_response(found[: min(int(query.get("page_size", "100")), 100)])

    async def _submit(self, request: web.Request) -> web.Response:
        try:
            body = await asyncio.wait_for(request.json(), 60)
        except ValueError:
            raise RefusedError(400, 40010000, "request body format is invalid") from None
        order = self._exchange.submit(body)
        request[BOOKED] = order["client_order_id"]
        return web.json_response(order)

    async def _orders(self, request: web.Request) -> web.Response:
        query = request.query
        found = self._exchange.listing(
            query.get("status", "open"), _time(query.get("after")), _time(query.get("until"))
        )
        if query.get("direction") != "asc":
            found.reverse()
        return web.json_response(found[: min(int(query.get("limit", "50")), 500)])

    async def _find(self, request: web.Request) -> web.Response:
        return web.json_response(self._exchange.find(request.query["client_order_id"]))

    async def _order(self, request: web.Request) -> web.Response:
        return web.json_response(self._exchange.by_id(request.match_info["id"]))

    async def _cancel(self, request: web.Request) -> web.Response:
        self._exchange.cancel(request.match_info["id"])
        return web.Response(status=204)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
