"""The trading half of a day: place the orders of a session, take their fills, value the book.

Each step reads what an earlier one wrote, so a day that was cut short is finished by doing its
steps again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Final

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.execution.breaks import Reconciliation
from trading_pipeline.core.market.calendar import next_session, session_window
from trading_pipeline.core.market.verdicts import suspended
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.books import books_of
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.mark import Accounts, accounts_of, value
from trading_pipeline.flows.order_updates import Settled, settle
from trading_pipeline.flows.ports import Broker, MarketData
from trading_pipeline.flows.reconcile import (
    AFTER_FILLS,
    BEFORE_ORDERS,
    before_orders,
    clues_of,
    reconcile,
)
from trading_pipeline.flows.risk_monitor import Prices, watch
from trading_pipeline.flows.splits import clear_splits, splitting
from trading_pipeline.flows.trade import CLOSE, Mandate, Traded, trade

MARK_LOOK_BACK: Final = 10
"""How many sessions back a close may lie that still serves as a mark."""

RULES: Final = "rules"
"""The version of the model where a strategy asks none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a day trades with: data, a vendor of it, the record, and the place orders go to."""

    lake: Lake
    vendor: MarketData
    ledger: Ledger
    broker: Broker


def place_orders(desk: Desk, mandate: Mandate, *, now: datetime) -> Traded:
    """Settle, reconcile, look at the breaker, then decide and send the orders of the session.

    The breaker looks at the book at the session's closes. Symbols whose bar of the session is
    suspect, of which our books differ from the broker's, or that split at the open are neither
    bought nor sold. With `dry_run` nothing is settled, written or sent. Raises MissingDataError
    when the session has no targets, ReconciliationError when cash does not tie.
    """
    session, act = mandate.session, not mandate.dry_run
    around = (desk.ledger, desk.broker, desk.vendor)
    if act:
        settle(*around, through=session, now=now)
        clear_splits(*around, session=session, now=now)
    broken = before_orders(*around, session=session, now=now, write=act)
    targets = targets_of(desk.lake, mandate.strategy, session)
    held = _held(desk.ledger, session)
    marks = _marks(desk, targets["symbol"].to_list(), held, session)
    if act:
        closed, rules = Prices(marks=marks, session=session), mandate.limits.breaker
        watch(desk.ledger, desk.broker, rules=rules, now=now, prices=closed)
    aside = suspended(desk.lake.read("quarantined_bars", session, session))
    split = splitting(desk.vendor, marks.keys(), session)
    mandate = replace(mandate, suspended=broken.union(aside, split))
    prices = {symbol: mark.price for symbol, mark in marks.items()}
    return trade(desk.ledger, desk.broker, targets, prices, mandate=mandate, now=now)


def tie_out(desk: Desk, session: date, *, now: datetime, write: bool = True) -> Reconciliation:
    """Settle through `session` and reconcile; without `write` only look.

    Books that are not open yet have nothing to compare: the first settlement opens them.
    """
    if write:
        settle(desk.ledger, desk.broker, desk.vendor, through=session, now=now)
    clue = partial(clues_of, desk.vendor, session)
    return reconcile(desk.ledger, desk.broker, cause=BEFORE_ORDERS, now=now, clue=clue, write=write)


def take_fills(desk: Desk, session: date, *, now: datetime) -> Settled:
    """Settle the session the orders of `session` were for, once it has closed, and reconcile."""
    through = next_session(session)
    settled = settle(desk.ledger, desk.broker, desk.vendor, through=through, now=now)
    clue = partial(clues_of, desk.vendor, through)
    reconcile(desk.ledger, desk.broker, cause=AFTER_FILLS, now=now, clue=clue)
    return settled


def value_book(desk: Desk, session: date, *, now: datetime, run_id: str) -> Accounts:
    """Value the book at the newest close the orders of `session` have seen, and snapshot it.

    That is the close of the session they were for, once it is settled, else that of `session`.
    """
    valued = valued_session(desk.ledger, session)
    marks = vendor_closes(desk.vendor, _held(desk.ledger, valued), valued)
    pnl = value(desk.ledger, marks=marks, session=valued, now=now, run_id=run_id)
    return accounts_of(desk.ledger, pnl, marks)


def valued_session(ledger: Ledger, session: date) -> date:
    """The session at whose close the book of a decision on `session` is valued."""
    traded, settled = next_session(session), ledger.last_settlement()
    return traded if settled is not None and settled >= traded else session


def targets_of(lake: Lake, strategy: str, session: date) -> pl.DataFrame:
    """The strategy's target weights of a session; MissingDataError when there are none."""
    targets = lake.read("target_weights", session, session).filter(pl.col("strategy") == strategy)
    if targets.is_empty():
        raise MissingDataError(
            f"{strategy} has no target weights of {session}: materialize them before its orders."
        )
    return targets


def model_version_of(lake: Lake, cast: Cast, session: date) -> str:
    """The version of the strategy's own model that predicted the session, RULES where it asks none.

    Where it asks the models of others, each version after its name.
    """
    versions = {model: _version_of(lake, model, session) for model in cast.models}
    if not versions:
        return RULES
    if own := versions.get(cast.name):
        return own
    return ", ".join(f"{model} {version}" for model, version in versions.items())


def _version_of(lake: Lake, model: str, session: date) -> str:
    predictions = lake.read("predictions", session, session)
    versions = predictions.filter(pl.col("strategy") == model)["model_version"].unique()
    if len(versions) != 1:
        raise MissingDataError(
            f"{model} has predictions of {session} by {len(versions)} models: expected one."
        )
    return str(versions[0])


def closes(lake: Lake, symbols: Sequence[str], session: date) -> dict[str, Mark]:
    """The newest clean raw close of each symbol, at most MARK_LOOK_BACK sessions old."""
    first = session_window(session, MARK_LOOK_BACK)[0]
    bars = lake.read("clean_bars", first, session, symbols=sorted(set(symbols)))
    return _newest(bars, session)


def _marks(
    desk: Desk, wanted: Sequence[str], held: Sequence[str], session: date
) -> dict[str, Mark]:
    """The newest closes of the lake; of what is held and was never ingested, the vendor's."""
    found = closes(desk.lake, [*wanted, *held], session)
    first = session_window(session, MARK_LOOK_BACK)[0]
    unpriced = sorted(set(held) - found.keys())
    ingested = desk.lake.read("raw_bars", first, session, symbols=unpriced, columns=["symbol"])
    strange = sorted(set(unpriced) - set(ingested["symbol"])) if unpriced else []
    return found | vendor_closes(desk.vendor, strange, session)


def vendor_closes(vendor: MarketData, symbols: Sequence[str], session: date) -> dict[str, Mark]:
    """The newest raw close the vendor has of each symbol, at most MARK_LOOK_BACK sessions old."""
    if not symbols:
        return {}
    first = session_window(session, MARK_LOOK_BACK)[0]
    return _newest(vendor.bars(symbols, first, session), session)


def _newest(bars: pl.DataFrame, session: date) -> dict[str, Mark]:
    priced = bars.filter(pl.col("close").is_finite(), pl.col("close") > 0).sort("session")
    newest = priced.group_by("symbol", maintain_order=True).last()
    return {
        symbol: Mark(
            price=Decimal(repr(price)),
            source=CLOSE if day == session else f"{CLOSE} of {day}",
        )
        for symbol, day, price in newest.select("symbol", "session", "close").iter_rows()
    }


def _held(ledger: Ledger, session: date) -> list[str]:
    return sorted(books_of(ledger, session).held)
