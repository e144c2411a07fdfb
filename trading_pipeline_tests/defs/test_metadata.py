"""What the web UI shows beside an asset."""

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import polars as pl

from trading_pipeline.core.schemas import MEANINGS, TABLES
from trading_pipeline.defs import shown
from trading_pipeline.defs.metadata import described, rounded


def test_every_column_of_every_table_has_a_meaning_and_no_meaning_is_of_none() -> None:
    columns = {
        name
        for model in TABLES.values()
        for name, column in model.to_schema().columns.items()
        if not column.regex
    }

    assert set(MEANINGS) == columns


def test_a_column_is_shown_with_its_meaning_and_a_kind_that_people_read() -> None:
    frame = pl.DataFrame(schema=RAW)

    schema = described(frame)["dagster/column_schema"]

    told = {column.name: (column.type, column.description) for column in schema.columns}
    assert told["close"] == ("float64", "last price, raw dollars a share")
    assert told["known_at"] == ("datetime (UTC)", "when it became known, UTC")


RAW = {"symbol": pl.String, "close": pl.Float64, "known_at": pl.Datetime("us", "UTC")}


def test_figures_are_shown_to_six_digits() -> None:
    assert rounded({"sharpe": -2.2064297863991724, "n": 189}) == {"sharpe": -2.20643, "n": 189.0}


def test_money_is_shown_in_cents_and_shares_with_their_sign() -> None:
    held = SimpleNamespace(
        symbol="AAPL",
        quantity=Decimal(-1200),
        average_cost=Decimal("437.7810"),
        price=Decimal("430.47"),
        source="close",
        value=Decimal("-516564.0000"),
        unrealized=Decimal("8773.2"),
    )
    pnl = SimpleNamespace(session=date(2013, 3, 1), open_positions=(held,))
    found: Any = SimpleNamespace(pnl=pnl, parts={}, netting=())

    (row,) = shown.positions(found)["positions"].records

    assert list(row.data.values()) == [
        *("AAPL", "-1,200", "437.7810", "430.47", "close", "-516,564.00", "8,773.20")
    ]
