"""All checks of the gate in their order, the limits each of them reads, and the page of both."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trading_pipeline.core.risk import permissions, sizes
from trading_pipeline.core.risk.limits import BreakerRules, RiskLimits
from trading_pipeline.core.risk.step import Check

STATE_CHECKS: Final[tuple[Check, ...]] = (
    permissions.trading_state,
    permissions.breaker,
    permissions.tradable,
    permissions.known_orders,
    permissions.fractionable,
)
"""What every order must pass."""

SIZE_CHECKS: Final[tuple[Check, ...]] = (
    permissions.known_prices,
    permissions.fresh_price,
    permissions.trusted_data,
    permissions.restricted,
    permissions.shortable,
    sizes.order_value,
    sizes.order_quantity,
    sizes.price_collar,
    sizes.volume_share,
    sizes.position_quantity,
    sizes.position_value,
    sizes.position_share,
    sizes.gross_exposure,
    sizes.net_exposure,
    sizes.long_exposure,
    sizes.short_exposure,
    sizes.sector_exposure,
    sizes.borrowing,
    sizes.buying_power,
    sizes.concentration,
    sizes.turnover,
    sizes.minute_rate,
    sizes.session_rate,
    sizes.mean_correlation,
    sizes.pair_correlation,
)
"""What an order that only shrinks a position need not pass: a limit must never keep risk on."""

CHECKS: Final = STATE_CHECKS + SIZE_CHECKS
"""All checks in order; the first that objects blocks the order under its own name."""

READS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "breaker": ("breaker",),
        "fresh_price": ("max_sessions_behind",),
        "restricted": ("restricted",),
        "order_value": ("max_order_value",),
        "order_quantity": ("max_order_quantity",),
        "price_collar": ("max_price_deviation",),
        "volume_share": ("max_volume_share",),
        "position_quantity": ("max_position_quantity",),
        "position_value": ("max_position_value",),
        "position_share": ("max_position_share",),
        "gross_exposure": ("max_gross_exposure",),
        "net_exposure": ("max_net_exposure",),
        "long_exposure": ("max_long_exposure",),
        "short_exposure": ("max_short_exposure",),
        "sector_exposure": ("max_sector_exposure", "sectors"),
        "borrowing": ("max_borrowing",),
        "concentration": ("max_concentration",),
        "turnover": ("max_turnover",),
        "minute_rate": ("max_orders_per_minute",),
        "session_rate": ("max_orders_per_session",),
        "mean_correlation": ("max_mean_correlation", "correlation_look_back"),
        "pair_correlation": ("max_pair_correlation", "correlation_look_back"),
    }
)
"""The fields of `RiskLimits` that a check reads, by the check's name."""

_INTRO: Final = """\
Every order passes these checks in this order before it is sent; the first that objects blocks it,
and its code and a sentence with the numbers stand beside the order. An order that only shrinks a
position, whatever else fills, need only pass those marked *every order*: a limit never keeps risk
on. Sizes are at the marks and at the worst that orders still open at the broker can bring; the
orders of the basket let through before count as filled. See [risk](../explanation/risk.md)."""


def page() -> str:
    """Return the reference page of the gate's codes and of the breaker's rules, in Markdown."""
    lines = [
        "# Risk codes",
        "",
        _INTRO,
        "",
        "| code | rule | setting | judges |",
        "|---|---|---|---|",
    ]
    for check in CHECKS:
        settings = ", ".join(f"`{_setting(name)}`" for name in READS.get(check.__name__, ()))
        whom = "every order" if check in STATE_CHECKS else "orders that do not only reduce"
        rule = " ".join((check.__doc__ or "").split())
        lines.append(f"| `{check.__name__}` | {rule} | {settings or '–'} | {whom} |")
    lines += ["", "## The breaker", "", "| setting | default | meaning |", "|---|---|---|"]
    for name, field in BreakerRules.model_fields.items():
        default, meaning = field.default, field.description
        lines.append(f"| `TP_RISK__BREAKER__{name.upper()}` | `{default}` | {meaning} |")
    return "\n".join([*lines, ""])


def _setting(name: str) -> str:
    nested = "__…" if name == "breaker" else ""
    return f"TP_RISK__{name.upper()}{nested}" if name in RiskLimits.model_fields else name
