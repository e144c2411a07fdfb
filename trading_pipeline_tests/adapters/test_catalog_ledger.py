"""The ledger in the catalog: as it stands, with its types, never written."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from trading_pipeline.adapters.catalog import Catalog, LedgerTables
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.ledger.engine import normalized
from trading_pipeline.adapters.ledger.tables import metadata
from trading_pipeline.errors import SettingsError, TransientError
from trading_pipeline_tests.fakes import make_decision, make_fill, make_order


def test_the_ledger_is_read_as_it_stands_with_its_types(ledger: Ledger, ledger_url: str) -> None:
    order = make_order("AAPL")
    tables = LedgerTables(normalized(ledger_url), metadata)
    with Catalog(Path("no lake"), ledger=tables) as catalog:
        assert catalog.query("SELECT * FROM orders").is_empty()

        ledger.record_decision(make_decision(), [order])
        ledger.append_fills([make_fill(order)])

        found = catalog.query(
            "SELECT o.symbol, o.session, o.quantity, d.capital, d.decided_at, o.side"
            " FROM orders o JOIN decisions d USING (strategy, session)"
        )
        spent = catalog.query("SELECT sum(quantity * price) AS spent, count(*) AS n FROM fills")
        described = catalog.describe().filter(pl.col("from") == "ledger")

    decision, fill = make_decision(), make_fill(order)
    assert found.row(0) == (
        *("AAPL", order.session, order.quantity, decision.capital, decision.decided_at, "buy"),
    )
    assert isinstance(found["decided_at"][0], datetime)
    assert found.schema["quantity"] == pl.Decimal(38, 10)
    assert spent.row(0) == (fill.quantity * fill.price, 1)
    assert isinstance(spent["spent"][0], Decimal)
    assert described["table"].to_list() == list(metadata.tables)


@pytest.mark.usefixtures("ledger")
def test_every_table_of_the_ledger_can_be_read_and_none_written(ledger_url: str) -> None:
    tables = LedgerTables(normalized(ledger_url), metadata)
    with Catalog(Path("no lake"), ledger=tables) as catalog:
        for name in tables.names:
            columns = [column.name for column in metadata.tables[name].columns]
            assert catalog.query(f"SELECT * FROM {name}").columns == columns
    with tables._reading() as connection, pytest.raises(sa.exc.DBAPIError, match=r"read-?only"):
        connection.execute(sa.text("DELETE FROM halts"))


def test_without_a_ledger_the_lake_is_read_and_the_ledger_is_said_to_be_missing(
    tmp_path: Path,
) -> None:
    missing = tmp_path / "ledger.db"
    tables = LedgerTables(sa.make_url(f"sqlite:///{missing}"), metadata)
    with Catalog(tmp_path / "lake", ledger=tables) as catalog:
        assert catalog.stats("clean_bars")["rows"] == 0
        with pytest.raises(SettingsError, match="There is no ledger at"):
            catalog.query("SELECT * FROM orders")
        assert not missing.exists()
        missing.touch()
        with pytest.raises(SettingsError, match="There is no ledger at"):
            catalog.query("SELECT * FROM orders")
    with (
        Catalog(tmp_path / "lake") as catalog,
        pytest.raises(SettingsError, match="no table 'orders'"),
    ):
        catalog.query("SELECT * FROM orders")


def test_a_database_that_does_not_answer_is_said_without_its_password(tmp_path: Path) -> None:
    url = sa.make_url("postgresql+psycopg2://someone:hidden@127.0.0.1:1/ledger")
    with (
        Catalog(tmp_path / "lake", ledger=LedgerTables(url, metadata)) as catalog,
        pytest.raises(TransientError, match="cannot be read") as caught,
    ):
        catalog.query("SELECT * FROM orders")
    assert "hidden" not in str(caught.value)
