"""`trading-pipeline quarantine`: the bars set aside, and a person's word on them.

What is said is kept for good in the lake's table bar_verdicts; nothing is ever overwritten.
"""

import json as jsons
from datetime import date
from typing import Annotated, Final, Literal

import polars as pl
from cyclopts import App, Parameter

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.cli import services
from trading_pipeline.cli.page import Page, columns, price
from trading_pipeline.core.market.calendar import last_closed_session, session_window
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.quarantine import Word, listing, say
from trading_pipeline.settings import Settings, utc_now

OPERATOR: Final = "operator"
SHOWN: Final = 21
"""Sessions listed unless others are asked for: about a month."""

app = App(name="quarantine", help="List bars set aside; release or reject a suspect one.")

Words = Annotated[str, Parameter(negative="")]


@app.command(name="list")
def show(*, first: date | None = None, last: date | None = None, json: bool = False) -> int:
    """List the bars set aside, newest first, each with what was said of it.

    Example: `trading-pipeline quarantine list --first 2012-05-01 --last 2012-06-01 --json`.

    Args:
        first: The first session; default about a month before the last.
        last: The last session; default the newest that closed.
        json: Print a JSON array and nothing else.
    """
    through = last or last_closed_session(utc_now())
    found = listing(_lake(Settings.load()), first or session_window(through, SHOWN)[0], through)
    page = Page()
    if json:
        page.console.out(jsons.dumps(found.to_dicts(), default=str, indent=2), highlight=False)
    elif found.is_empty():
        page.line("Quarantine", "empty")
    else:
        _table(page, found)
    return 0


@app.command
def release(symbol: str, session: date, *, reason: Words, by: str = OPERATOR) -> int:
    """Say that a suspect bar is true: its symbol may be traded in that session.

    Example: `trading-pipeline quarantine release AAPL 2012-06-01 --reason "profit warning"`.

    Args:
        symbol: Whose bar.
        session: Of which session.
        reason: How it is known, for whoever comes next.
        by: Who says so.
    """
    return _say(symbol, session, "released", by=by, reason=reason)


@app.command
def reject(symbol: str, session: date, *, reason: Words, by: str = OPERATOR) -> int:
    """Say that a bar is wrong: it leaves the history.

    Example: `trading-pipeline quarantine reject AAPL 2012-06-01 --reason "a slip of the vendor"`.

    Args:
        symbol: Whose bar.
        session: Of which session.
        reason: How it is known, for whoever comes next.
        by: Who says so.
    """
    return _say(symbol, session, "rejected", by=by, reason=reason)


def _say(
    symbol: str,
    session: date,
    verdict: Literal["released", "rejected"],
    *,
    by: str,
    reason: str,
) -> int:
    settings = Settings.load()
    lake, name = _lake(settings), symbol.strip().upper()
    word = Word(verdict=verdict, by=by, reason=reason, at=utc_now())
    say(lake, name, session, word)
    rules = GateRules(
        quality=settings.quality, freshness=settings.freshness, convention=settings.adjustment
    )
    clean(lake, symbols=[name], sessions=[session], rules=rules)
    page = Page()
    page.line("Bar", f"{name} of {session}: {verdict} by {by}: {reason}")
    page.line(
        "Next", f"materialize features from {session} on: those there are were made without this."
    )
    return 0


def _lake(settings: Settings) -> Lake:
    return services.lake(settings)


def _table(page: Page, found: pl.DataFrame) -> None:
    table = columns("Session", "Symbol", "Close>", "Reason", "Verdict", "By", "Why")
    rows = found.to_dicts()
    for row in rows:
        table.add_row(
            str(row["session"]),
            row["symbol"],
            "-" if row["close"] is None else price(str(row["close"])),
            *(row[name] or "-" for name in ("reason", "verdict", "decided_by", "why")),
        )
    page.rows("Bar", {f"{row['symbol']} {row['session']}": row for row in rows}, table)
