"""Alpaca's JSON to values of ours and back, tolerant of words that are new to us."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from trading_pipeline.core.execution.account import Account, BrokerOrder, Execution, Trade
from trading_pipeline.core.execution.order import Fill, Order, OrderState, Side
from trading_pipeline.core.execution.reports import Update
from trading_pipeline.core.market.calendar import EXCHANGE_ZONE, session_on_or_after
from trading_pipeline.core.risk.view import Asset

_BLOCKS: Final = ("trading_blocked", "account_blocked", "trade_suspended_by_user")

_S = OrderState
_STATES: Final[Mapping[str, OrderState]] = {
    **dict.fromkeys(
        (
            "accepted",
            "accepted_for_bidding",
            "calculated",
            "held",
            "new",
            "pending_cancel",
            "pending_new",
            "pending_replace",
            "pending_review",
            "stopped",
            "suspended",
        ),
        _S.ACCEPTED,
    ),
    "partially_filled": _S.PARTIALLY_FILLED,
    "filled": _S.FILLED,
    "canceled": _S.CANCELED,
    "replaced": _S.CANCELED,
    "expired": _S.EXPIRED,
    "rejected": _S.REJECTED,
}


def body_of(order: Order) -> dict[str, str]:
    """Return the order as it is sent: numbers as text, so that they arrive digit for digit."""
    prices = {"limit_price": order.limit_price, "stop_price": order.stop_price}
    return {
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "qty": f"{order.quantity:f}",
        "side": order.side.value,
        "type": order.order_type.value,
        "time_in_force": order.time_in_force.value,
        **{name: f"{price:f}" for name, price in prices.items() if price is not None},
    }


def report_of(raw: Mapping[str, Any]) -> BrokerOrder:
    """Return an order as Alpaca tells it; a KeyError or ValueError where it is no order.

    A status that is new to us leaves the order working, with the word in `unknown_status`.
    """
    filled, status = Decimal(raw["filled_qty"] or 0), str(raw["status"])
    average = raw.get("filled_avg_price")
    quantity = raw.get("qty")
    state = _state(status, filled, raw)
    return BrokerOrder(
        client_order_id=str(raw["client_order_id"]),
        broker_order_id=str(raw["id"]),
        state=state,
        filled_quantity=filled,
        average_fill_price=None if average is None else Decimal(average),
        reason=None if state in {_S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED} else _reason(raw),
        body=(str(raw["symbol"]), _side(str(raw["side"])), Decimal(quantity)) if quantity else None,
        unknown_status=None if status in _STATES or status == "done_for_day" else status,
    )


def _state(status: str, filled: Decimal, raw: Mapping[str, Any]) -> OrderState:
    if status == "done_for_day":  # the day's orders are over; others go on tomorrow
        return _S.EXPIRED if raw.get("time_in_force") == "day" else _working(filled)
    state = _STATES.get(status, _S.ACCEPTED)
    if state is _S.REJECTED and filled:  # what was left of it was taken back
        return _S.CANCELED
    return _working(filled) if state in {_S.ACCEPTED, _S.PARTIALLY_FILLED} else state


def _working(filled: Decimal) -> OrderState:
    return _S.PARTIALLY_FILLED if filled else _S.ACCEPTED


def _reason(raw: Mapping[str, Any]) -> str:
    return str(raw.get("reject_reason") or f"Alpaca: {raw['status']}.")


def _side(word: str) -> Side:
    return Side.SELL if word.startswith("sell") else Side.BUY


def update_of(raw: Mapping[str, Any]) -> Update:
    """Return a trade update; its event is not read, since the order says where it stands."""
    at = moment(str(raw["timestamp"]))
    return Update(
        order=report_of(raw["order"]), at=at, session=session_of(at), execution=_execution(raw, at)
    )


def _execution(raw: Mapping[str, Any], at: datetime) -> Execution | None:
    if not (raw.get("execution_id") and raw.get("qty") and raw.get("price")):
        return None
    return Execution(
        execution_id=str(raw["execution_id"]),
        quantity=Decimal(str(raw["qty"])),
        price=Decimal(str(raw["price"])),
        at=at,
    )


def fill_of(raw: Mapping[str, Any], client_order_id: str) -> Fill:
    """Return a FILL activity; its strategy is the order's to say, so it is empty here."""
    at = moment(str(raw["transaction_time"]))
    return Fill(
        fill_id=str(raw["id"]),
        client_order_id=client_order_id,
        strategy="",
        symbol=str(raw["symbol"]),
        side=_side(str(raw["side"])),
        quantity=abs(Decimal(raw["qty"])),
        price=Decimal(raw["price"]),
        commission=Decimal(0),
        session=session_of(at),
        filled_at=at,
    )


def trade_of(raw: Mapping[str, Any], client_order_id: str | None) -> Trade:
    """Return a FILL activity as an execution of whoever's order."""
    fill = fill_of(raw, client_order_id or "")
    return Trade(
        trade_id=fill.fill_id,
        client_order_id=client_order_id,
        symbol=fill.symbol,
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        session=fill.session,
        at=fill.filled_at,
    )


def account_of(
    account: Mapping[str, Any],
    positions: Sequence[Mapping[str, Any]],
    fault: str | None = None,
) -> Account:
    """Return the account; a short position's quantity is negative whatever its sign on the wire.

    Its own flags count ahead of `fault`.
    """
    flags = [name for name in _BLOCKS if account.get(name)]
    return Account(
        cash=Decimal(account["cash"]),
        positions={str(held["symbol"]): _signed(held) for held in positions},
        average_prices={
            str(held["symbol"]): Decimal(held["avg_entry_price"]) for held in positions
        },
        buying_power=Decimal(account["buying_power"]),
        fault=f"Alpaca has set {', '.join(flags)} on the account." if flags else fault,
        lends=account.get("shorting_enabled") is not False,
    )


def skew_of(clock: Mapping[str, Any], now: datetime, most: float) -> str | None:
    """Return what is wrong when Alpaca's clock is more than `most` seconds from ours."""
    theirs = moment(str(clock["timestamp"]))
    if abs((theirs - now).total_seconds()) <= most:
        return None
    return f"Alpaca's clock says {theirs:%Y-%m-%d %H:%M:%S} UTC and ours {now:%Y-%m-%d %H:%M:%S}."


def _signed(held: Mapping[str, Any]) -> Decimal:
    quantity = Decimal(held["qty"])
    return -abs(quantity) if held.get("side") == "short" else quantity


def asset_of(raw: Mapping[str, Any]) -> Asset:
    """Return what may be done with an asset; what is hard to borrow is not sold short."""
    lendable = bool(raw.get("shortable")) and raw.get("easy_to_borrow") is not False
    return Asset(
        tradable=bool(raw.get("tradable")) and raw.get("status", "active") == "active",
        shortable=lendable,
        fractionable=bool(raw.get("fractionable")),
    )


def session_of(at: datetime) -> date:
    """Return the session a time belongs to: the day in New York, or the next session."""
    return session_on_or_after(at.astimezone(EXCHANGE_ZONE).date())


def moment(text: str) -> datetime:
    """Return an RFC 3339 time in UTC, its nanoseconds cut to microseconds."""
    return datetime.fromisoformat(text).astimezone(UTC)
