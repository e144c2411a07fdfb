"""Each table of the lake takes what has its shape and names what has not."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from trading_pipeline.core.market import action_kinds
from trading_pipeline.core.schemas import KINDS, TABLES, validate
from trading_pipeline.errors import SchemaError

SESSION = date(2012, 6, 1)
PRICES = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 100.0, "vwap": None}
DELIVERED = {"vendor": "sample", "known_at": datetime(2012, 6, 2, tzinfo=UTC)}
ACTION = {
    "ex_date": SESSION,
    "kind": "split",
    "split_ratio": 2.0,
    "dividend": 0.0,
    "new_symbol": None,
    "new_shares": None,
}
VALUES = {
    "raw_bars": {**PRICES, **DELIVERED},
    "corporate_actions": {**ACTION, **DELIVERED},
    "action_checks": {
        "ex_date": SESSION,
        "kind": "split",
        "announced": 2.0,
        "moved": None,
        "verdict": "agrees",
    },
    "clean_bars": PRICES,
    "quarantined_bars": {**PRICES, "reason": "duplicate"},
    "universe": {"reason": "blocked", "version": "0123456789ab"},
    "bar_verdicts": {
        "verdict": "released",
        "decided_in": SESSION,
        "decided_by": "ann",
        "reason": "the news are true",
        "known_at": datetime(2012, 6, 2, tzinfo=UTC),
    },
    "features": {"feature_version": "alpha158-1", "KMID": 0.1, "VSUMD60": None},
    "predictions": {"strategy": "alpha_baseline", "prediction": 0.01, "model_version": "1"},
    "signals": {"strategy": "alpha_baseline", "score": 0.02, "rank": 1},
    "target_weights": {"strategy": "alpha_baseline", "target_weight": -0.5},
}
"""A row of each table, without its symbol and session."""

TYPES = {
    "vwap": pl.Float64,
    "moved": pl.Float64,
    "new_symbol": pl.String,
    "new_shares": pl.Float64,
    "KMID": pl.Float32,
    "VSUMD60": pl.Float32,
    "rank": pl.Int32,
}


def row(table: str, **changes: object) -> pl.DataFrame:
    values = {"symbol": "IBM", "session": SESSION, **VALUES[table], **changes}
    types = {name: kind for name, kind in TYPES.items() if name in values}
    return pl.DataFrame({name: [value] for name, value in values.items()}).cast(types)


def test_the_kinds_of_actions_are_those_that_have_an_effect() -> None:
    assert KINDS == action_kinds.KINDS


def test_there_is_a_row_of_each_table_here() -> None:
    assert VALUES.keys() == TABLES.keys()


@pytest.mark.parametrize("table", TABLES)
def test_a_row_of_its_shape_is_taken_unchanged(table: str) -> None:
    assert validate(table, row(table)).equals(row(table))


@pytest.mark.parametrize("table", TABLES)
def test_a_frame_without_rows_has_a_shape_too(table: str) -> None:
    assert validate(table, row(table).clear()).height == 0


@pytest.mark.parametrize("table", TABLES)
def test_a_lacking_column_is_named(table: str) -> None:
    with pytest.raises(SchemaError, match=f"{table} does not have the promised shape.*symbol"):
        validate(table, row(table).drop("symbol"))


@pytest.mark.parametrize("table", TABLES)
def test_a_column_more_is_named(table: str) -> None:
    with pytest.raises(SchemaError, match="surplus"):
        validate(table, row(table).with_columns(surplus=1))


@pytest.mark.parametrize("table", TABLES)
def test_a_session_that_is_text_is_refused(table: str) -> None:
    with pytest.raises(SchemaError, match="session"):
        validate(table, row(table).with_columns(session=pl.lit("2012-06-01")))


@pytest.mark.parametrize("table", TABLES)
def test_a_row_of_no_symbol_is_refused(table: str) -> None:
    for symbol in (None, ""):
        with pytest.raises(SchemaError, match="symbol"):
            validate(table, row(table).with_columns(symbol=pl.lit(symbol, pl.String)))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("clean_bars", "close", 0.0),
        ("clean_bars", "open", None),
        ("clean_bars", "volume", -1.0),
        ("corporate_actions", "kind", "merger"),
        ("corporate_actions", "split_ratio", 0.0),
        ("corporate_actions", "dividend", -0.1),
        ("signals", "rank", 0),
        ("target_weights", "target_weight", 1.5),
    ],
)
def test_a_value_out_of_bounds_is_named(table: str, column: str, value: object) -> None:
    kind = row(table).schema[column]

    with pytest.raises(SchemaError, match=column):
        validate(table, row(table).with_columns(pl.lit(value, kind).alias(column)))


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_a_time_that_is_not_utc_is_refused(zone: str | None) -> None:
    frame = row("raw_bars").with_columns(pl.col("known_at").dt.replace_time_zone(zone))

    with pytest.raises(SchemaError, match="known_at"):
        validate("raw_bars", frame)


def test_columns_in_another_order_are_refused() -> None:
    with pytest.raises(SchemaError):
        validate("clean_bars", row("clean_bars").select("session", "symbol", *PRICES))
