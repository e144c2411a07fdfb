"""The Alpaca account as a broker (`ports.Broker`): each call answers for sure or says it cannot."""

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from trading_pipeline.adapters.alpaca_broker.access import AlpacaAccess
from trading_pipeline.adapters.alpaca_broker.activities import entries_of
from trading_pipeline.adapters.alpaca_broker.budget import Budget
from trading_pipeline.adapters.alpaca_broker.connection import Connection
from trading_pipeline.adapters.alpaca_broker.lists import LIST_FROM, Lists, outage
from trading_pipeline.adapters.alpaca_broker.reports import (
    account_of,
    body_of,
    fill_of,
    report_of,
    skew_of,
    trade_of,
)
from trading_pipeline.adapters.alpaca_broker.verdicts import RefusalError, Verdict
from trading_pipeline.core.accounting.entries import CashEntry
from trading_pipeline.core.execution.account import Account, BrokerOrder, MarketSession, Trade
from trading_pipeline.core.execution.order import Fill, Order, OrderState
from trading_pipeline.core.market.calendar import next_session, session_open
from trading_pipeline.core.risk.view import Asset
from trading_pipeline.errors import RejectedError, TransientError

_log = logging.getLogger(__name__)

CLOCK_FRESH: Final = timedelta(minutes=10)
"""For how long the two clocks are taken to agree once they did."""

_BY_OUR_ID: Final = "/orders:by_client_order_id"
_REFUSALS: Final = frozenset({Verdict.REFUSED, Verdict.UNAUTHORIZED, Verdict.NOT_FOUND})


class AlpacaBroker:
    """One Alpaca account, on paper or `live`; satisfies `ports.Broker`.

    Every method raises TransientError where the wire or Alpaca fails, SettingsError where the key
    is not accepted, AdapterError for any other refusal. `clock` is read ahead of each order;
    `sleep` waits for the budget.
    """

    def __init__(
        self,
        access: AlpacaAccess,
        *,
        live: bool = False,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._access, self._live, self._clock = access, live, clock
        budget = Budget(access.requests_per_minute, access.cancel_reserve, sleep=sleep)
        self._wire = Connection(
            access.address(live=live),
            access.keys(),
            patience=(access.connect_seconds, access.answer_seconds),
            budget=budget,
            sleep=sleep,
        )
        self._lists = Lists(self._wire)
        self._skewed: tuple[datetime | None, str | None] = (None, None)

    @property
    def name(self) -> str:
        """`alpaca-paper` or `alpaca-live`."""
        return "alpaca-live" if self._live else "alpaca-paper"

    @property
    def nets(self) -> bool:
        """False: Alpaca refuses to cross zero; the second leg goes when the first has filled."""
        return False

    def submit(self, order: Order) -> BrokerOrder:
        """Send an order once; TransientError when nobody can tell whether it arrived.

        A refusal is a BrokerOrder in state REJECTED with Alpaca's words. An id that Alpaca has seen
        before raises RejectedError, and so does an order whose open has passed, unsent: Alpaca
        would keep it for another session.
        """
        self._require_time(order)
        try:
            return _report(self._wire.post("/orders", body_of(order)), order.client_order_id)
        except RefusalError as refusal:
            if refusal.verdict not in _REFUSALS:
                raise
            return BrokerOrder(
                client_order_id=order.client_order_id,
                broker_order_id="",
                state=OrderState.REJECTED,
                reason=refusal.answer.sentence,
            )

    def cancel(self, client_order_id: str) -> None:
        """Ask for an order to be taken back; whether it was, a fill or a later look-up tells.

        One that is filled, ended or unknown stays as it is.
        """
        found = self.find(client_order_id)
        if found is None:
            return
        try:
            self._wire.delete(f"/orders/{found.broker_order_id}")
        except RefusalError as refusal:
            if refusal.answer.status not in {404, 422}:
                raise outage(refusal) from refusal

    def find(self, client_order_id: str) -> BrokerOrder | None:
        """Look an order up by our id; None is no proof that it will not show up yet."""
        try:
            raw = self._wire.read(_BY_OUR_ID, {"client_order_id": client_order_id})
        except RefusalError as refusal:
            if refusal.verdict is Verdict.NOT_FOUND:
                return None
            raise outage(refusal) from refusal
        return _report(raw, client_order_id)

    def find_all(self, client_order_ids: Sequence[str]) -> dict[str, BrokerOrder]:
        """Look several orders up by our ids, in few requests; those it does not know are absent."""
        wanted = set(client_order_ids)
        if len(wanted) < LIST_FROM:
            found = (self.find(name) for name in sorted(wanted))
            return {order.client_order_id: order for order in found if order is not None}
        held: dict[str, BrokerOrder] = {}
        for raw in self._lists.orders():
            if raw.get("client_order_id") in wanted:
                order = _report(raw)
                held[order.client_order_id] = order
            if len(held) == len(wanted):
                break
        return held

    def orders(self, since: datetime) -> list[BrokerOrder]:
        """Return every order that was submitted after `since`, ours or not, newest first."""
        return [_report(raw) for raw in self._lists.orders(since)]

    def open_orders(self) -> list[BrokerOrder]:
        """Return every order that may still fill, ours and others."""
        return [_report(raw) for raw in self._lists.orders(status="open")]

    def trades(self, since: date | None = None) -> list[Trade]:
        """Return every execution of any order in sessions from `since` on, oldest first."""
        told = list(self._lists.activities({"activity_types": "FILL", "direction": "asc"}, since))
        names = self._lists.names_of(str(raw["order_id"]) for raw in told)
        trades = [trade_of(raw, names.get(str(raw["order_id"]))) for raw in told]
        return [trade for trade in trades if since is None or trade.session >= since]

    def fills(self, client_order_ids: Sequence[str]) -> list[Fill]:
        """Return every fill of these orders so far, oldest first, without their strategies.

        A fill's strategy is its order's: `core.execution.reports.unbooked` puts it in.
        """
        known = self.find_all(client_order_ids)
        names = {
            order.broker_order_id: name for name, order in known.items() if order.filled_quantity
        }
        wanted, fills = {name: known[name].filled_quantity for name in names.values()}, []
        for raw in self._lists.activities({"activity_types": "FILL", "direction": "desc"}):
            if not any(wanted.values()):
                break
            if (name := names.get(str(raw["order_id"]))) is not None:
                fills.append(fill_of(raw, name))
                wanted[name] -= fills[-1].quantity
        return fills[::-1]

    def activities(self, since: date | None = None) -> list[CashEntry]:
        """Return what moved cash or shares without an order from `since` on, oldest first."""
        query = {"category": "non_trade_activity", "direction": "asc"}
        entries = entries_of(self._lists.activities(query, since))
        return [entry for entry in entries if since is None or entry.session >= since]

    def account(self) -> Account:
        """Return cash, signed positions, what they cost, and buying power as Alpaca has them.

        Its fault is a flag that Alpaca has set, or a clock that is not ours.
        """
        try:
            account, positions = self._lists.read("/account"), self._lists.read("/positions")
            return account_of(account, positions, self._skew())
        except (KeyError, TypeError, ArithmeticError) as error:
            raise TransientError(f"Alpaca's account cannot be read: {error!r}.") from error

    def assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Return what may be done with these symbols; those that Alpaca does not know are absent.

        Asked once a symbol and day: a stock can stop being lendable overnight.
        """
        return self._lists.assets(symbols, self._clock().date())

    def advance(self, market: MarketSession) -> None:
        """Do nothing: sessions happen to a real account by themselves."""

    def _skew(self) -> str | None:
        """Return how Alpaca's clock differs from ours, asked anew once it is not fresh."""
        now = self._clock()
        asked, found = self._skewed
        if asked is None or abs(now - asked) > CLOCK_FRESH or found:
            clock = self._lists.read("/clock")
            found = skew_of(clock, self._clock(), self._access.max_skew_seconds)
            self._skewed = now, found
        return found

    def _require_time(self, order: Order) -> None:
        due = next_session(order.session)
        last = session_open(due) + timedelta(minutes=self._access.late_minutes)
        if (now := self._clock()) > last:
            raise RejectedError(
                f"Order {order.client_order_id} was for the open of {due} and is not sent at "
                f"{now:%Y-%m-%d %H:%M} UTC: expected at most {self._access.late_minutes} minutes "
                "after it."
            )


def _report(raw: Any, expected: str | None = None) -> BrokerOrder:
    """Return an order that was told; TransientError for an answer that is none, or another's."""
    try:
        found = report_of(raw)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise TransientError(f"Alpaca's answer is no order: {error!r}.") from error
    if expected not in {None, found.client_order_id}:
        raise TransientError(
            f"Alpaca answered with order {found.client_order_id}: expected {expected}."
        )
    if found.unknown_status:
        _log.warning(
            "unknown order status",
            extra={"order": found.client_order_id, "status": found.unknown_status},
        )
    return found
