"""`trading-pipeline halt`, `resume`, `reduce`, `flatten`: the kill switch and the way back.

Only the ledger and the broker are opened: these commands work when Redis, MLflow or the vendor of
market data are down.
"""

from collections.abc import Iterable
from typing import Annotated, Final
from uuid import uuid4

from cyclopts import Parameter

from trading_pipeline import logs
from trading_pipeline.adapters.ledger import Ledger, Standing
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page
from trading_pipeline.core.execution.order import Order, OrderState
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows import halt as flow
from trading_pipeline.flows import reduce as shrink
from trading_pipeline.flows.announce import of_halt
from trading_pipeline.settings import Settings, utc_now

OPERATOR: Final = "operator"
PARTIAL: Final = 2
"""The exit code when an order that should be gone may still fill, or one to be sent was not."""

Words = Annotated[str, Parameter(negative="")]


def halt(*, reason: Words, by: str = OPERATOR) -> int:
    """Stop everything: from now on no order leaves, reducing ones neither.

    Orders not sent yet are canceled, orders at the broker asked back where it can do that.

    Example: `trading-pipeline halt --reason "odd fills at the open" --by ada`.

    Args:
        reason: Why, for whoever comes next.
        by: Who says so.
    """
    settings, ledger = _open()
    now = utc_now()
    found = flow.stop(ledger, TradingState.HALTED, who=by, reason=_said(reason), now=now)
    page = _say(found)
    services.announcer(settings).tell(of_halt(found, now=now))
    broker = services.broker(settings)
    taken = flow.withdraw(
        ledger, broker, now=now, reason=f"Halted: {_said(reason)}", everything=True
    )
    return _say_withdrawn(page, taken)


def resume(*, reason: Words, by: str = OPERATOR) -> int:
    """Let trading go on: reducing orders at once, all orders after the quiet period.

    Example: `trading-pipeline resume --reason "the feed was wrong, corrected" --by ada`.

    Args:
        reason: Why it may, for whoever comes next.
        by: Who says so.
    """
    settings, ledger = _open()
    rules = settings.risk.breaker
    found = flow.release(ledger, who=by, reason=_said(reason), now=utc_now(), rules=rules)
    _say(found)
    return 0


def reduce(
    *,
    reason: Words,
    by: str = OPERATOR,
    act: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Let only reducing orders go, and show those that cure the limits the book is over.

    Examples: `trading-pipeline reduce --reason "over the gross limit"`;
    `trading-pipeline reduce --reason "over the gross limit" --act`.

    Args:
        reason: Why, for whoever comes next.
        by: Who says so.
        act: Send the orders that are shown.
    """
    settings, ledger = _open()
    now = utc_now()
    found = flow.stop(ledger, TradingState.REDUCING, who=by, reason=_said(reason), now=now)
    services.announcer(settings).tell(of_halt(found, now=now))
    page, broker = _say(found), services.broker(settings)
    taken = flow.withdraw(ledger, broker, now=now, reason=f"Reducing: {_said(reason)}")
    done = shrink.cure(ledger, broker, shrinking=_shrinking(settings, ledger, act=act), now=now)
    for use in done.reduction.breaches:
        numbers = f"{use.value:,.2f}, the limit is {use.limit:,.2f}"
        page.line(f"Breach {use.code}", f"{use.subject}: {numbers}", "red")
    page.line("Breaches", f"{len(done.reduction.breaches)}")
    _say_orders(page, done.orders)
    return max(_say_withdrawn(page, taken), _code_of(done.orders) if act else 0)


def flatten(
    *,
    reason: Words,
    by: str = OPERATOR,
    yes: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Cancel every open order and close every position; trading stays reducing after that.

    Example: `trading-pipeline flatten --reason "closing the account" --yes`.

    Args:
        reason: Why, for whoever comes next.
        by: Who says so.
        yes: That every position shall really be closed.
    """
    if not yes:
        raise SettingsError("`flatten` closes every position: add --yes to say that it shall.")
    settings, ledger = _open()
    broker, shrinking = services.broker(settings), _shrinking(settings, ledger, act=True)
    done = shrink.flatten(
        ledger, broker, shrinking=shrinking, who=by, reason=_said(reason), now=utc_now()
    )
    found = ledger.trading_state()
    services.announcer(settings).tell(of_halt(found, now=utc_now()))
    page = _say(found)
    _say_orders(page, done.orders)
    return max(_say_withdrawn(page, done.withdrawn), _code_of(done.orders))


def _open() -> tuple[Settings, Ledger]:
    settings = Settings.load()
    logs.configure(settings.log_level)
    return settings, services.open_ledger(settings)


def _said(reason: str) -> str:
    """The reason as one line; SettingsError for none."""
    said = " ".join(reason.split())
    if not said:
        raise SettingsError("A reason is expected: --reason 'odd fills at the open'.")
    return said


def _shrinking(settings: Settings, ledger: Ledger, *, act: bool) -> shrink.Shrinking:
    return shrink.Shrinking(
        session=shrink.session_for(ledger, now=utc_now(), is_archive=services.is_archive(settings)),
        run_id=str(uuid4()),
        limits=settings.risk,
        act=act,
    )


def _say(found: Standing) -> Page:
    page = Page()
    page.line("Trading", f"{found.state.upper()} by {found.who}: {found.reason}")
    return page


def _say_orders(page: Page, orders: Iterable[Order]) -> None:
    for order in orders:
        what = f"{order.side} {order.quantity} {order.symbol}: {order.state.replace('_', ' ')}"
        page.line("Order", f"{what} {order.reason or ''}")


def _say_withdrawn(page: Page, taken: flow.Withdrawn) -> int:
    count = len(taken.canceled)
    page.line("Canceled", f"{count} order{'' if count == 1 else 's'}")
    for order in taken.standing:
        page.line("May still fill", f"{order.side} {order.quantity} {order.symbol}", "yellow")
    return PARTIAL if taken.standing else 0


def _code_of(orders: Iterable[Order]) -> int:
    unsent = {OrderState.BLOCKED, OrderState.REJECTED, OrderState.UNKNOWN, OrderState.PLANNED}
    return PARTIAL if any(order.state in unsent for order in orders) else 0
