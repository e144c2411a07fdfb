"""`trading-pipeline sweep`: many parameters of a strategy tried over the same past sessions."""

import json as json_format
from datetime import date
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from trading_pipeline import logs
from trading_pipeline.adapters.report_files import percent
from trading_pipeline.cli.page import Page, columns, plain, progress_bar
from trading_pipeline.defs.backtest import Asked
from trading_pipeline.defs.sweep import Made, make
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings

SHOWN = 10
"""At most this many trials are printed, the best ones; all are on record."""


def sweep(
    *,
    vary: Annotated[list[str], Parameter(name="--vary", consume_multiple=True, negative="")],
    first: Annotated[date, Parameter(name="--from")],
    last: Annotated[date, Parameter(name="--to")],
    strategy: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Try every combination of parameters, and say what is left of the best one after luck.

    Each trial is put on record in MLflow and counts in the deflated Sharpe ratio of every later
    backtest of the strategy.

    Examples: `trading-pipeline sweep --strategy momentum --from 2011-01-01 --to 2012-12-31 --vary
    strategies.momentum.min_adx=15,20,25 portfolio.top_n=1,2`.

    Args:
        vary: Settings and their values, as in `portfolio.top_n=1,2,3`, of the groups strategies,
            portfolio, allocation, sizing, costs and backtest.
        first: The first day, YYYY-MM-DD.
        last: The last day, YYYY-MM-DD.
        strategy: The strategy; by default the one that trades.
        json: Print the trials as JSON and nothing else.
    """
    settings = Settings.load()
    logs.configure(settings.log_level)
    asked = Asked(strategy=strategy or settings.strategy, first=first, last=last)
    with progress_bar() as bar:
        task = bar.add_task("trials", total=1.0)
        made = make(
            settings, asked, dict(_pair(each) for each in vary),
            lambda what, share: bar.update(task, description=what, completed=share),
        )  # fmt: skip
    show(made, as_json=json)
    return 0


def show(made: Made, *, as_json: bool) -> None:
    """Print the trials, the best first."""
    page = Page()
    rows = made.rows
    if as_json:
        document = {
            "trials": made.swept.trials,
            "deflated_sharpe": made.swept.deflated_sharpe,
            "tried": rows,
        }
        page.console.out(json_format.dumps(document, indent=2), highlight=False)
        return
    page.write(Text(made.sentence))
    heads = list(rows[0]) if rows else []
    short = [head.rpartition(".")[2] for head in heads]
    table = columns(*(f"{head}>" for head in (short if len(set(short)) == len(heads) else heads)))
    texts = [{name: _cell(name, value) for name, value in row.items()} for row in rows[:SHOWN]]
    for row in texts:
        table.add_row(*row.values())
    page.rows("Trial", {str(place): row for place, row in enumerate(texts, 1)}, table)


def _cell(name: str, value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if name == "sharpe":
        return f"{value:.2f}"
    return plain(percent(value, signed=name == "total_return"))


def _pair(text: str) -> tuple[str, list[str]]:
    name, separator, values = text.partition("=")
    if not (separator and values):
        raise SettingsError(f"{text} cannot be tried: NAME=VALUE,VALUE is expected.")
    return name, values.split(",")
