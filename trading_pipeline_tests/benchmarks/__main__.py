"""`python -m trading_pipeline_tests.benchmarks [name …]`: measure, print, write a JSON file."""

import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trading_pipeline_tests.benchmarks import (
    backfill,
    backtest,
    books,
    data,
    day,
    features,
    models,
    orders,
    risk,
    scrape,
    signals,
    sql,
    stream,
    training,
)
from trading_pipeline_tests.benchmarks.harness import RUNS, Figure

SUITES = {
    "backfill": backfill.figures,
    "books": books.figures,
    "backtest": backtest.figures,
    "data": data.figures,
    "day": day.figures,
    "features": features.figures,
    "models": models.figures,
    "orders": orders.figures,
    "risk": risk.figures,
    "scrape": scrape.figures,
    "signals": signals.figures,
    "sql": sql.figures,
    "stream": stream.figures,
    "training": training.figures,
}
OUTPUT = Path("data/benchmarks.json").resolve()


def main(names: list[str]) -> int:
    """Run the named suites, or all; end with 1 when a figure is over its limit."""
    console = Console()
    found: list[Figure] = []
    for name in names or SUITES:
        with console.status(f"measuring {name} …"):
            found += SUITES[name]()
    table = Table("figure", "median", "limit", "ratio", "to", "note", title=f"medians of {RUNS}")
    for figure in found:
        limit = f"{figure.limit:g} {figure.unit}" if figure.limit else "–"
        ratio = f"{figure.ratio:.2f}" if figure.ratio else "–"
        colour = "green" if figure.holds else "red"
        seconds = f"[{colour}]{figure.seconds:.4f} {figure.unit}[/]"
        table.add_row(figure.name, seconds, limit, ratio, figure.ratio_to or "–", figure.note)
    console.print(table)
    OUTPUT.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    document = {"machine": machine, "figures": [asdict(figure) for figure in found]}
    OUTPUT.write_text(json.dumps(document, indent=2) + "\n")
    console.print(f"written to {OUTPUT}")
    return 0 if all(figure.holds for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
