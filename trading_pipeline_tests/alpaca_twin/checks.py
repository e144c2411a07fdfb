"""What Alpaca refuses, with the statuses, codes and words it refuses in."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trading_pipeline_tests.alpaca_twin.exchange import Exchange

CENT = Decimal("0.01")
SHARE = Decimal("0.000000001")


class RefusedError(Exception):
    """An answer that is no."""

    def __init__(self, status: int, code: int | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **({"code": code} if code else {}), **more}


def number(body: Mapping[str, Any], name: str) -> Decimal | None:
    """A field as a decimal."""
    if body.get(name) in {None, ""}:
        return None
    try:
        return Decimal(str(body[name]))
    except InvalidOperation:
        raise RefusedError(422, 40010001, f"{name} is not a number") from None


def check(exchange: "Exchange", body: Mapping[str, Any]) -> None:
    """Raise RefusedError for the first thing that is wrong with a new order."""
    for problem in chain(_form(exchange, body), _asset(exchange, body), _money(exchange, body)):
        raise problem


def _form(exchange: "Exchange", body: Mapping[str, Any]) -> Iterator[RefusedError]:
    if body.get("client_order_id") in exchange.orders:
        yield RefusedError(422, 40010001, "client_order_id must be unique")
    if len(body.get("client_order_id") or "") > 128:
        yield RefusedError(422, 40010001, "client_order_id must be at most 128 characters")
    quantity = number(body, "qty")
    if quantity is None or quantity <= 0:
        yield RefusedError(422, 40010001, "qty or notional is required")
        return
    if quantity != quantity.quantize(SHARE):
        yield RefusedError(422, 42210000, f"qty {quantity} has more than 9 decimals")
    if quantity % 1 and body.get("time_in_force") != "day":
        yield RefusedError(422, 42210000, "fractional orders must be DAY orders")
    yield from _prices(body)


def _prices(body: Mapping[str, Any]) -> Iterator[RefusedError]:
    for name in ("limit_price", "stop_price"):
        price = number(body, name)
        wanted = name.removesuffix("_price") in str(body.get("type"))
        if wanted != (price is not None):
            yield RefusedError(422, 40010001, f"{body.get('type')} orders: {name}")
        if price is not None and price >= 1 and price != price.quantize(CENT):
            yield RefusedError(
                422,
                42210000,
                f"invalid {name} {price}. sub-penny increment does not fulfill minimum pricing "
                "criteria",
            )


def _asset(exchange: "Exchange", body: Mapping[str, Any]) -> Iterator[RefusedError]:
    symbol, quantity = body.get("symbol"), number(body, "qty") or Decimal(0)
    asset = exchange.assets.get(str(symbol))
    if asset is None:
        yield RefusedError(422, 42210000, f'asset "{symbol}" not found')
        return
    if not asset["tradable"]:
        yield RefusedError(422, 42210000, f'asset "{symbol}" is not tradable')
    if quantity % 1 and not asset["fractionable"]:
        yield RefusedError(403, 40310000, f'asset "{symbol}" is not fractionable')
    held = exchange.books.quantity(str(symbol))
    if body["side"] == "sell" and held <= 0 and not asset["shortable"]:
        yield RefusedError(422, 42210000, f'asset "{symbol}" cannot be sold short')
    if body["side"] == "sell" and held <= 0 and quantity % 1:
        yield RefusedError(422, 42210000, "fractional orders cannot be sold short")


def _money(exchange: "Exchange", body: Mapping[str, Any]) -> Iterator[RefusedError]:
    symbol, quantity = body["symbol"], number(body, "qty") or Decimal(0)
    sign = 1 if body["side"] == "buy" else -1
    held = exchange.books.quantity(symbol)
    resting = [order for order in exchange.open_orders() if order["symbol"] == symbol]
    for other in resting:
        if other["side"] != body["side"]:
            yield RefusedError(
                403,
                40310000,
                "potential wash trade detected. use complex orders",
                existing_order_id=other["id"],
                reject_reason="opposite side market/stop order exists",
            )
    if held * sign < 0:
        free = abs(held) - sum(Decimal(order["qty"]) for order in resting)
        if quantity > free:
            yield RefusedError(
                403,
                40310000,
                f"insufficient qty available for order (requested: {quantity:f}, available: "
                f"{free:f})",
                symbol=symbol,
                available=f"{free:f}",
                existing_qty=f"{held:f}",
                related_orders=[order["id"] for order in resting],
            )
    elif quantity * exchange.price(symbol) > (power := exchange.buying_power()):
        yield RefusedError(403, 40310000, "insufficient buying power", buying_power=f"{power:.2f}")
