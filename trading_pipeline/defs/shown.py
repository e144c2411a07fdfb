"""The account as the web UI shows it: tables and curves beside positions, exposure and pnl."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl

from trading_pipeline.adapters import plots
from trading_pipeline.core.accounting.pnl import Pnl, PositionPnl
from trading_pipeline.defs.metadata import dollars, table
from trading_pipeline.flows.mark import Accounts

_GAINS = ("realized", "unrealized", "total", "dividends", "fees")


def positions(found: Accounts) -> dict[str, Any]:
    """Every holding, each strategy's part of it, and what they net."""
    held = found.pnl.open_positions
    columns = ("symbol", "quantity", "average_cost", "price", "source", "value", "unrealized")
    rows = [_holding(position) for position in held]
    parts = [
        [name, *_holding(position)]
        for name, part in found.parts.items()
        for position in part.open_positions
    ]
    netted = [
        [each.symbol, str(each.quantity), str(each.netted), _shares(each.quantities.items())]
        for each in found.netting
    ]
    return {
        "dagster/row_count": len(rows),
        "valued_session": str(found.pnl.session),
        "positions": _table(columns, rows),
        "by_strategy": _table(("strategy", *columns), parts),
        "netting": _table(("symbol", "account", "netted", "by strategy"), netted),
    }


def exposure(found: Accounts) -> dict[str, Any]:
    """Gross and net exposure of the book, and the share of NAV of every part of it."""
    pnl = found.pnl
    longs = sum((each.value for each in pnl.open_positions if each.value > 0), Decimal(0))
    rows = [
        [each.symbol, f"{each.value:,.2f}", _share(each.value, pnl.nav)]
        for each in sorted(pnl.open_positions, key=lambda each: -abs(each.value))
    ]
    parts = [
        [name, f"{part.gross:,.2f}", f"{part.net:,.2f}", _share(part.gross, pnl.nav)]
        for name, part in found.parts.items()
    ]
    return {
        "dagster/row_count": len(rows),
        "valued_session": str(pnl.session),
        "gross": dollars(pnl.gross),
        "net": dollars(pnl.net),
        "long": dollars(longs),
        "short": dollars(pnl.net - longs),
        "gross_share": float(round(pnl.gross / pnl.nav, 4)) if pnl.nav else 0.0,
        "net_share": float(round(pnl.net / pnl.nav, 4)) if pnl.nav else 0.0,
        "per_symbol": _table(("symbol", "value", "of NAV"), rows),
        "per_strategy": _table(("strategy", "gross", "net", "of NAV"), parts),
    }


def pnl(found: Accounts, history: Sequence[Pnl]) -> dict[str, Any]:
    """P&L of the book, by symbol and by strategy, how NAV moved, and the curve so far."""
    book, moved = found.pnl, found.change
    curve = [(each.session, float(each.nav)) for each in history if each.session <= book.session]
    figure = plots.equity_curve(curve, cash_in=float(book.cash_in))
    symbols = [
        [each.symbol, *(f"{getattr(each, column):,.2f}" for column in _GAINS)]
        for each in book.positions
    ]
    parts = [
        [
            name,
            *(f"{getattr(part, column):,.2f}" for column in ("realized", "unrealized", "total")),
            f"{part.fees:,.2f}",
            f"{part.total - part.fees:,.2f}",
        ]
        for name, part in found.parts.items()
    ]
    accounts = [[name, f"{amount:,.4f}"] for name, amount in found.journal.accounts.items()]
    return {
        "valued_session": str(book.session),
        **{
            name: dollars(getattr(book, name))
            for name in ("nav", "cash", "realized", "unrealized", "fees", "total")
        },
        "nav_change": dollars(moved.nav - moved.flows),
        "flows": dollars(moved.flows),
        "per_symbol": _table(("symbol", *_GAINS), symbols),
        "per_strategy": _table(
            ("strategy", "realized", "unrealized", "total", "fees", "after fees"), parts
        ),
        "accounts": _table(("account", "dollars"), accounts),
        "equity_curve": dg.MetadataValue.md(
            plots.markdown_image(plots.to_png(figure), text="equity curve")
        ),
    }


def _holding(held: PositionPnl) -> list[str]:
    prices = (f"{held.average_cost:,.4f}", f"{held.price:,f}", f"{held.source}")
    amounts = (f"{held.value:,.2f}", f"{held.unrealized:,.2f}")
    return [held.symbol, f"{held.quantity:+,f}", *prices, *amounts]


def _share(amount: Decimal, nav: Decimal) -> str:
    return f"{amount / nav:.1%}" if nav else "–"


def _shares(held: Iterable[tuple[str, Decimal]]) -> str:
    return ", ".join(f"{name} {quantity:+f}" for name, quantity in held)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dg.MetadataValue:
    schema = dict.fromkeys(columns, pl.String)
    return table(pl.DataFrame(list(rows), schema=schema, orient="row"))
