"""What commands print with: tables for a terminal, plain `Key: value` lines when piped."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from trading_pipeline.adapters.report_files import direction, dollars, order_value, price, shares

STYLES: Final = {
    "up": "green",
    "down": "red",
    "flat": "",
    "success": "bold green",
    "dry_run": "bold blue",
    "partial": "bold yellow",
    "failed": "bold red",
    "filled": "green",
    "rejected": "red",
    "unknown": "red",
    "blocked": "yellow",
    "expired": "yellow",
    "canceled": "yellow",
}

Row = Mapping[str, Any]
"""A part of a document's JSON form."""

_VALUES_FROM: Final = 22
"""The column of a terminal that values begin in."""


def progress_bar() -> Progress:
    """Return a bar on standard error that goes when it is done; nothing when nobody watches."""
    console = Console(stderr=True)
    watched = console.is_terminal and not console.is_dumb_terminal
    return Progress(transient=True, console=console, disable=not watched)


class Page:
    """A console to write on; piped, nothing is wrapped, colored or drawn at any width."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.for_terminal = self.console.is_terminal and not self.console.is_dumb_terminal

    def write(self, text: Text) -> None:
        """A line of its own."""
        if self.for_terminal:
            self.console.print(text)
        else:
            self.console.out(text.plain, highlight=False)

    def line(self, key: str, value: str, style: str = "") -> None:
        """A key and its value; on a terminal the values stand in a column of their own."""
        text = Text(" ".join(value.split()), style)
        if not self.for_terminal:
            self.write(Text(f"{key}: ").append_text(text))
        elif " " not in text.plain:  # a path, say: the terminal breaks it, so that it can be copied
            line = Text(f"  {key}:".ljust(_VALUES_FROM)).append_text(text)
            self.console.print(line, soft_wrap=True)
        else:
            grid = Table.grid(padding=(0, 2))
            grid.add_column(min_width=_VALUES_FROM - 4, no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(f"{key}:", text)
            self._indented(grid)

    def rows(self, name: str, rows: Mapping[str, Row], table: Table) -> None:
        """Like things: a table on a terminal; piped, a line each, under the name and the key."""
        if self.for_terminal and rows:
            self.table(table)
        elif not self.for_terminal:
            for key, row in rows.items():
                self.line(f"{name} {key}", pairs(row))

    def table(self, table: Table) -> None:
        """A table between two empty lines."""
        self.console.print()
        self._indented(table)
        self.console.print()

    def _indented(self, part: RenderableType) -> None:
        self.console.print(Padding(part, (0, 0, 0, 2), expand=False))


def orders_table(orders: Iterable[Row]) -> Table:
    """The orders of a day, each with its status and the reason for it."""
    table = columns("Symbol", "Side", "Qty>", "Sized at>", "Filled at>", "Value>", "Status")
    for order in orders:
        status = Text(order["status"].replace("_", " "), STYLES.get(order["status"], ""))
        if order["reason"]:
            status.append(f"\n{order['reason']}", "dim")
        table.add_row(
            order["symbol"],
            order["side"],
            plain(shares(order["qty"])),
            price(order["reference_price"]),
            price(order["filled_price"]).replace("–", "-"),
            dollars(order_value(order)),
            status,
        )
    return table


def positions_table(day: Row) -> Table:
    """The positions of a day with their gains, closed ones last."""
    table = columns(
        "Symbol", "Qty>", "Avg cost>", "Mark>", "Value>", "Unrealized>", "Realized>", "Fees>"
    )
    held = {row["symbol"]: row for row in day["positions"]}
    gained = sorted(day["pnl"]["per_symbol"].items(), key=lambda item: item[0] not in held)
    for symbol, gains in gained:
        row = held.get(symbol)
        table.add_row(
            symbol,
            plain(shares(row["qty"], signed=True)) if row else "closed",
            price(row["average_cost"]) if row else "",
            _mark(row) if row else "",
            plain(dollars(row["value"])) if row else "",
            Text(signed(gains["unrealized"]), STYLES[direction(gains["unrealized"])]),
            Text(signed(gains["realized"]), STYLES[direction(gains["realized"])]),
            dollars(gains["fees"]),
        )
    return table


def _mark(position: Row) -> str:
    return "at cost" if position["mark_source"] == "cost" else price(position["mark"])


def columns(*heads: str) -> Table:
    """A table with these heads; those that end in `>` are numbers, to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        numeric = head.endswith(">")
        table.add_column(
            head.rstrip(">"),
            justify="right" if numeric else "left",
            no_wrap=numeric,
            overflow="fold",
        )
    return table


def signed(amount: str | None) -> str:
    """Dollars with their sign."""
    return plain(dollars(amount, signed=True))


def plain(text: str) -> str:
    """With the minus sign that every program reads."""
    return text.replace("−", "-")


def pairs(row: Row) -> str:
    """The fields of a row that have a value, as `name=value`, quoted as in JSON where need be."""
    return " ".join(_pair(name, value) for name, value in row.items() if value is not None)


def _pair(name: str, value: object) -> str:
    text = str(value)
    plain = text and not any(mark in text for mark in ' "=\n')
    return f"{name}={text if plain else json.dumps(text, ensure_ascii=False)}"
