"""`trading-pipeline reconcile`, `bootstrap`, `gains`: the books against the broker, and by lot."""

import json as jsons
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final

from cyclopts import Parameter

from trading_pipeline import logs
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page, columns, signed
from trading_pipeline.core.accounting.entries import CashEntry
from trading_pipeline.core.accounting.lots import Gain, fold_lots
from trading_pipeline.core.execution.breaks import Break, Reconciliation
from trading_pipeline.core.market.calendar import last_closed_session
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.adopt import adopt
from trading_pipeline.flows.announce import FillWatch
from trading_pipeline.flows.bootstrap import bootstrap as open_books
from trading_pipeline.flows.bootstrap import opening_entries
from trading_pipeline.flows.order_updates import newest_closes
from trading_pipeline.flows.reconcile import ASKED, Clue, clues_of, reconcile
from trading_pipeline.settings import Settings, utc_now

PARTIAL: Final = 2
"""The exit code when a break is held."""

Flag = Annotated[bool, Parameter(negative="")]


def reconcile_books(
    *,
    adopt_breaks: Annotated[bool, Parameter(name="--adopt", negative="")] = False,
    symbol: str | None = None,
    reason: str = "",
    json: Flag = False,
) -> int:
    """Compare the books with the broker's: adopt what it tells, show what nothing explains.

    Ends with 2 when a break is held. With `--adopt` the breaks that are held are booked as they
    are, so that the books follow the broker: look at them first.

    Examples:
        trading-pipeline reconcile

        trading-pipeline reconcile --adopt --symbol AAPL --reason "sold by phone, ticket 7"

    Args:
        adopt_breaks: Book the held breaks as the broker has them.
        symbol: Only the breaks of this symbol; default all of them, cash included.
        reason: Why they are right, for whoever comes next; needed to adopt.
        json: Print a JSON document and nothing else.
    """
    settings, ledger = _open()
    broker, now = services.broker(settings), utc_now()
    clue, fills = _clue(settings, ledger), FillWatch(services.announcer(settings), ledger)
    found = reconcile(ledger, broker, cause=ASKED, now=now, clue=clue)
    fills.tell(now)
    if adopt_breaks and found.held:
        chosen = [each for each in found.held if symbol is None or each.symbol == symbol.upper()]
        adopt(ledger, chosen, session=found.session, clue=clue, reason=reason, now=now)
        found = reconcile(ledger, broker, cause=ASKED, now=now, clue=clue)
    _show(found, json=json)
    return PARTIAL if found.held else 0


def bootstrap(*, session: date | None = None, yes: Flag = False, json: Flag = False) -> int:
    """Open new books on what the broker's account holds; a first run does it by itself.

    Without `--yes` the entries are shown and nothing is written.

    Examples:
        trading-pipeline bootstrap --yes

    Args:
        session: As of which session; default the last that closed.
        yes: Open them.
        json: Print a JSON document and nothing else.
    """
    from trading_pipeline.defs import resources  # noqa: PLC0415 - heavy: on first use

    settings = Settings.load()
    logs.configure(settings.log_level)
    ledger, broker = resources.ledger(settings), services.broker(settings)
    as_of, now = session or last_closed_session(utc_now()), utc_now()
    prices = partial(newest_closes, services.vendor(settings), as_of)
    if yes:
        entries = open_books(ledger, broker, session=as_of, prices=prices, now=now)
    elif ledger.is_new():
        entries = opening_entries(broker.account(), session=as_of, prices=prices, now=now)
    else:
        raise SettingsError("The books are open already: `reconcile` compares them.")
    _show_entries(entries, opened=yes, json=json)
    return 0


def gains(*, first: date | None = None, last: date | None = None, json: Flag = False) -> int:
    """List realized gains by tax lot, first in, first out; dollars before fees.

    Examples:
        trading-pipeline gains --first 2012-01-01 --last 2012-12-31

    Args:
        first: The first session in which a lot was closed; default all.
        last: The last one; default all.
        json: Print a JSON array and nothing else.
    """
    _, ledger = _open()
    found = [
        gain
        for gain in fold_lots(ledger.entries(last)).gains
        if first is None or gain.closed >= first
    ]
    page, rows = Page(), [_gain_row(gain) for gain in found]
    if json:
        page.console.out(jsons.dumps(rows, indent=2), highlight=False)
        return 0
    table = columns("Closed", "Opened", "Symbol", "Qty>", "Cost>", "Proceeds>", "Gain>", "Term")
    for row in rows:
        table.add_row(*(row[name] for name in row))
    page.rows("Gain", {str(number): row for number, row in enumerate(rows, 1)}, table)
    for term in ("short", "long"):
        total = sum((g.gain for g in found if g.is_long_term is (term == "long")), Decimal(0))
        page.line(f"{term.capitalize()} term", signed(str(total)))
    return 0


def _open() -> tuple[Settings, Ledger]:
    settings = Settings.load()
    logs.configure(settings.log_level)
    return settings, services.open_ledger(settings)


def _clue(settings: Settings, ledger: Ledger) -> Clue:
    settled = ledger.last_settlement() or last_closed_session(utc_now())
    return partial(clues_of, services.vendor(settings), settled)


def _show(found: Reconciliation, *, json: bool) -> None:
    page = Page()
    if json:
        document = {
            "version": 1,
            "session": str(found.session),
            "at": found.at.isoformat(),
            "cash": str(found.cash),
            "broker_cash": str(found.broker_cash),
            "blocks_everything": found.blocks_everything,
            "blocked": list(found.blocked),
            "breaks": [_break_row(each) for each in found.breaks],
        }
        page.console.out(jsons.dumps(document, indent=2), highlight=False)
        return
    page.line("Cash", f"{found.cash:,.2f} here, {found.broker_cash:,.2f} at the broker")
    page.line("Compared", f"{found.positions} positions, {found.orders} open orders")
    for each in found.breaks:
        page.line(each.resolution.capitalize(), each.sentence, "red" if each.is_held else "green")
    page.line("Books", "do not tie out" if found.held else "tie out")


def _break_row(each: Break) -> dict[str, Any]:
    return {
        "subject": each.subject,
        "kind": each.kind,
        "resolution": each.resolution,
        "symbol": each.symbol,
        "reference": each.reference,
        "ours": str(each.ours),
        "theirs": str(each.theirs),
        "explanation": each.explanation,
    }


def _show_entries(entries: Sequence[CashEntry], *, opened: bool, json: bool) -> None:
    page, rows = Page(), [_entry_row(entry) for entry in entries]
    if json:
        document = {"version": 1, "opened": opened, "entries": rows}
        page.console.out(jsons.dumps(document, indent=2), highlight=False)
        return
    for row in rows:
        page.line("Entry", " ".join(f"{name}={value}" for name, value in row.items() if value))
    if not rows:
        page.line(
            "Books", "what the broker tells of deposits gives its account: nothing to take in"
        )
    elif not opened:
        page.line("Books", "nothing was written: add --yes to open them so")


def _entry_row(entry: CashEntry) -> dict[str, str]:
    price = "" if entry.price is None else f"{entry.price:f}"
    return {
        "kind": entry.kind.value,
        "symbol": entry.symbol or "",
        "quantity": f"{entry.quantity:f}" if entry.symbol else "",
        "price": price,
        "amount": f"{entry.amount:f}",
    }


def _gain_row(gain: Gain) -> dict[str, str]:
    return {
        "closed": str(gain.closed),
        "opened": str(gain.opened),
        "symbol": gain.symbol,
        "qty": f"{gain.quantity:f}",
        "cost": f"{gain.cost:.4f}",
        "proceeds": f"{gain.proceeds:.4f}",
        "gain": f"{gain.gain:.4f}",
        "term": "long" if gain.is_long_term else "short",
    }
