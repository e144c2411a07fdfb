"""Alpaca's lists, read to their end, and what they tell of that is asked for again and again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from trading_pipeline.adapters.alpaca_broker.connection import Connection
from trading_pipeline.adapters.alpaca_broker.reports import asset_of
from trading_pipeline.adapters.alpaca_broker.verdicts import RefusalError, Verdict
from trading_pipeline.core.risk.view import Asset
from trading_pipeline.errors import AdapterError, SettingsError

ORDERS_PAGE: Final = 500
ACTIVITIES_PAGE: Final = 100
LIST_FROM: Final = 4
"""From so many orders on they are read as a list: the budget is shared with what is to be sent."""

LIST_ASSETS_FROM: Final = 20
"""From so many symbols on all assets are read at once, which is a long answer."""

_DATED_EARLIER: Final = timedelta(days=5)


class Lists:
    """Reads over a connection; errors are those of `AlpacaBroker`."""

    def __init__(self, wire: Connection) -> None:
        self._wire = wire
        self._names: dict[str, str] = {}
        self._assets: dict[tuple[str, date], Asset | None] = {}

    def read(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON at `path`."""
        try:
            return self._wire.read(path, query)
        except RefusalError as refusal:
            raise outage(refusal) from refusal

    def names_of(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the client ids of orders by Alpaca's ids."""
        missing = set(ids) - self._names.keys()
        if len(missing) < LIST_FROM:
            raws: Iterable[Mapping[str, Any]] = [
                self.read(f"/orders/{one}") for one in sorted(missing)
            ]
        else:
            raws = self.orders()
        for raw in raws:
            self._names[str(raw["id"])] = str(raw["client_order_id"])
            missing.discard(str(raw["id"]))
            if not missing:
                break
        return self._names

    def orders(
        self, since: datetime | None = None, *, status: str = "all"
    ) -> Iterator[Mapping[str, Any]]:
        """Yield orders newest first, page by page; those told twice are yielded once."""
        query: dict[str, Any] = {"status": status, "direction": "desc", "limit": ORDERS_PAGE}
        if since is not None:
            query["after"] = since.isoformat()
        seen: set[str] = set()
        while True:
            page = self.read("/orders", query)
            new = [raw for raw in page if raw["id"] not in seen]
            seen.update(raw["id"] for raw in new)
            yield from new
            if len(page) < ORDERS_PAGE or not new:
                return
            query["until"] = new[-1]["submitted_at"]

    def activities(
        self, query: Mapping[str, str], since: date | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield account activities from some days before `since` on, page by page."""
        # a weekend's activities count for the next session, and `after` leaves the day itself out
        after = {"after": f"{since - _DATED_EARLIER}T00:00:00Z"} if since else {}
        token: dict[str, str] = {}
        while True:
            asked = {**query, **after, "page_size": ACTIVITIES_PAGE, **token}
            page = self.read("/account/activities", asked)
            yield from page
            if len(page) < ACTIVITIES_PAGE:
                return
            token = {"page_token": page[-1]["id"]}

    def assets(self, symbols: Sequence[str], today: date) -> dict[str, Asset]:
        """Return what may be done with these symbols, asked once a symbol and day."""
        missing = [symbol for symbol in symbols if (symbol, today) not in self._assets]
        for symbol, asset in self._ask_assets(missing):
            self._assets[symbol, today] = asset
        found = {symbol: self._assets.get((symbol, today)) for symbol in symbols}
        return {symbol: asset for symbol, asset in found.items() if asset is not None}

    def _ask_assets(self, symbols: Sequence[str]) -> Iterator[tuple[str, Asset | None]]:
        if len(symbols) >= LIST_ASSETS_FROM:
            every = self.read("/assets", {"status": "active", "asset_class": "us_equity"})
            known = {str(raw["symbol"]): asset_of(raw) for raw in every}
            yield from ((symbol, known.get(symbol)) for symbol in symbols)
            return
        for symbol in symbols:
            try:
                yield symbol, asset_of(self._wire.read(f"/assets/{symbol}"))
            except RefusalError as refusal:
                if refusal.verdict is not Verdict.NOT_FOUND:
                    raise outage(refusal) from refusal
                yield symbol, None


def outage(refusal: RefusalError) -> AdapterError | SettingsError:
    """Return the error that a refused read is: a wrong key is for the user, the rest is not."""
    if refusal.verdict is Verdict.UNAUTHORIZED:
        return SettingsError(f"Alpaca does not accept the key: {refusal.answer.sentence}.")
    return AdapterError(str(refusal))
