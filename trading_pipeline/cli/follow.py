"""`trading-pipeline follow`: the orders at Alpaca, followed while they trade."""

import json as jsons
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from trading_pipeline import logs
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.errors import AdapterError, DataError, SettingsError, TradingError
from trading_pipeline.flows.announce import FillWatch
from trading_pipeline.flows.day import Desk, place_orders
from trading_pipeline.flows.reconcile import RECONNECTED, reconcile
from trading_pipeline.flows.trade_updates import Following, follow
from trading_pipeline.settings import Settings, utc_now

_log = logging.getLogger(__name__)

Flag = Annotated[bool, Parameter(negative="")]


def follow_orders(*, minutes: float | None = None, json: Flag = False) -> int:
    """Bring fills into the ledger as they happen, until interrupted.

    Trade updates are booked as they come; after each connection the books are reconciled. An order
    that waits for another one to fill, as the second leg of a position that changes sides, is sent
    when its turn comes.

    Examples:
        trading-pipeline follow

        trading-pipeline follow --minutes 400

    Args:
        minutes: End after so many minutes; default never.
        json: At the end, print a JSON object of what happened.
    """
    from trading_pipeline.adapters.alpaca_broker import AlpacaUpdates  # noqa: PLC0415 - heavy
    from trading_pipeline.defs import resources  # noqa: PLC0415 - heavy

    settings = Settings.load()
    logs.configure(settings.log_level)
    if settings.broker == "simulated":
        raise SettingsError("The simulated broker has no trade updates: expected one of Alpaca's.")
    ends = None if minutes is None else utc_now() + timedelta(minutes=minutes)
    watch = _Watch(settings, resources.desk(settings), ends)
    by = Following(
        clock=utc_now,
        poll_seconds=settings.alpaca.poll_seconds,
        is_over=watch.is_over,
        on_connect=watch.connected,
        on_move=watch.moved,
    )
    with AlpacaUpdates(settings.alpaca, live=settings.broker == "alpaca-live") as updates:
        follow(watch.desk.ledger, watch.desk.broker, updates, by=by)
    found, page = {"connections": watch.connections, "moves": watch.moves}, Page()
    if json:
        page.console.out(jsons.dumps(found), highlight=False)
        return 0
    for name, count in found.items():
        page.line(name.capitalize(), str(count))
    return 0


@dataclass
class _Watch:
    """What is done as orders are followed, and how often."""

    settings: Settings
    desk: Desk
    ends: datetime | None
    connections: int = 0
    moves: int = 0

    def __post_init__(self) -> None:
        self._fills = FillWatch(services.announcer(self.settings), self.desk.ledger)

    def is_over(self) -> bool:
        return self.ends is not None and utc_now() >= self.ends

    def connected(self) -> None:
        """Reconcile what may have happened meanwhile, and tell the fills that it brought."""
        reconcile(self.desk.ledger, self.desk.broker, cause=RECONNECTED, now=utc_now())
        self.connections += 1
        self._fills.tell(utc_now())

    def moved(self) -> None:
        """Send what waited for another order; what stands against it now is on record and told."""
        self.moves += 1
        self._fills.tell(utc_now())
        try:
            self._carry_on()
        except (AdapterError, DataError, TradingError) as error:
            _log.error("orders in waiting not sent", extra={"why": str(error)})

    def _carry_on(self) -> None:
        from trading_pipeline.defs.resources import mandate_of  # noqa: PLC0415 - heavy

        ledger, strategy = self.desk.ledger, self.settings.strategy
        last = ledger.last_decision(strategy)
        if last is None or not ledger.orders(
            strategy=strategy, session=last.session, states=[OrderState.PLANNED]
        ):
            return
        lake, session = self.desk.lake, last.session
        mandate = mandate_of(self.settings, lake, session, run_id=last.run_id)
        place_orders(self.desk, mandate, now=utc_now())
