"""What keeps the ledger whole: triggers, migrations, concurrent processes, and clear errors."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from trading_pipeline.adapters.ledger import Ledger, Opening, Run, migrations, tables
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.core.accounting.attribution import Books, replay_parts
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.pnl import mark
from trading_pipeline.core.execution.order import OrderState, move
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import (
    AdapterError,
    IllegalTransitionError,
    SettingsError,
    TransientError,
)
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    filled,
    make_decision,
    make_entry,
    make_fill,
    make_order,
    make_reconciliation,
    run_at_once,
)

ORDER = make_order()


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """A ledger with a row in every table."""
    fill = make_fill(ORDER)
    ledger.record_decision(make_decision(), [ORDER], {"IBM": "zero_weight"})
    ledger.append(
        at=NOW,
        orders=filled(ORDER, fill),
        fills=[fill],
        entries=[make_entry()],
        settled=[SESSION],
    )
    ledger.append_snapshot(
        mark(replay(Book(), ledger.entries()), {}, fill.session), run_id="r", at=NOW
    )
    ledger.append_run(Run(run_id="r", phase="p", session=SESSION, at=NOW, detail={}))
    ledger.append_opening(Opening(session=SESSION, at=NOW, known=("a",)), [])
    books = replay_parts(Books(), ledger.entries())
    ledger.append_books(books, session=SESSION, counts=(1, 1), at=NOW)
    ledger.append_reconciliation(make_reconciliation())
    return ledger


def test_rows_are_neither_changed_nor_deleted(full: Ledger, ledger_url: str) -> None:
    engine = sa.create_engine(ledger_url.replace("postgresql://", "postgresql+psycopg2://"))
    for table in tables.metadata.tables.values():
        for statement in forbidden(table, engine.dialect.name):
            with (
                pytest.raises(sa.exc.DBAPIError, match="append-only"),
                engine.begin() as connection,
            ):
                connection.execute(sa.text(statement))
    engine.dispose()


def forbidden(table: sa.Table, dialect: str) -> list[str]:
    column = next(iter(table.columns)).name
    verbs = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
    if dialect == "postgresql":
        return [*verbs, f"TRUNCATE {table} CASCADE"]
    return [*verbs, f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"]


def test_the_migrations_build_the_tables_of_the_code(ledger: Ledger, ledger_url: str) -> None:
    with LedgerEngine(ledger_url).reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"
    return request.getfixturevalue("postgres_url")


def test_a_ledger_is_created_once(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no alembic.ini here
    ledger = Ledger(empty_url)
    ledger.create()
    ledger.append_cash_entries([make_entry()])
    ledger.create()
    assert ledger.entries() == [make_entry()]
    ledger.close()


def test_a_ledger_of_an_older_version_says_how_it_is_brought_up_to_date(empty_url: str) -> None:
    with LedgerEngine(empty_url).creating() as connection:
        migrations.upgrade(connection, "0001")
    ledger = Ledger(empty_url)

    for ask in (ledger.entries, ledger.history, ledger.opening, ledger.require_current):
        with pytest.raises(SettingsError, match="of revision 0001, and"):
            ask()
    ledger.create()

    ledger.require_current()
    assert ledger.entries() == []
    ledger.close()


def test_a_ledger_of_a_newer_version_is_left_alone(empty_url: str) -> None:
    ledger = Ledger(empty_url)
    ledger.create()
    with LedgerEngine(empty_url).writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="9999"):
        ledger.create()
    ledger.close()


def test_a_migration_that_fails_leaves_nothing(empty_url: str) -> None:
    engine = LedgerEngine(empty_url)
    with pytest.raises(AdapterError), engine.creating() as connection:  # noqa: PT012
        migrations.upgrade(connection)
        raise sa.exc.ArgumentError
    with pytest.raises(SettingsError, match="no ledger"):
        Ledger(empty_url).entries()
    with engine.reading() as connection:
        assert sa.inspect(connection).get_table_names() == []
    engine.close()


def test_a_ledger_without_a_trading_state_is_halted(empty_url: str) -> None:
    ledger, engine = Ledger(empty_url), LedgerEngine(empty_url)
    ledger.create()
    with engine.writing() as connection:
        connection.execute(sa.text("DROP TABLE halts"))
    standing = ledger.trading_state()
    assert (standing.state, standing.at) == (TradingState.HALTED, None)
    with engine.writing() as connection:
        tables.halts.create(connection)
    standing = ledger.trading_state()
    assert (standing.state, standing.at) == (TradingState.HALTED, None)
    assert "no trading state" in standing.reason
    ledger.close()
    engine.close()


def test_reading_does_not_create_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    for touch in (Ledger.entries, Ledger.last_settlement, Ledger.orders):
        with pytest.raises(SettingsError, match="no ledger"):
            touch(Ledger(f"sqlite:///{path}"))
    assert not path.exists()


@pytest.mark.parametrize(
    "url", ["", "ledger.db", "mysql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "secret"]
)
def test_a_url_that_cannot_hold_a_ledger_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Ledger(url)
    assert "secret" not in str(raised.value)


def test_a_ledger_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SettingsError, match="cannot be written"):
        Ledger(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}").create()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("symbol,close\n" * 1000)
    for touch in (Ledger.create, Ledger.entries):
        with pytest.raises(SettingsError, match="not a database"):
            touch(Ledger(f"sqlite:///{path}"))


def test_a_server_that_is_away_is_transient_and_its_password_stays_secret() -> None:
    with pytest.raises(TransientError) as raised:
        Ledger("postgres://me:secret@127.0.0.1:1/ledger").create()
    assert "secret" not in str(raised.value)


def test_a_database_that_does_not_exist_is_a_setting_to_mend(postgres_url: str) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        Ledger(f"{postgres_url}x").create()


# Several processes at once


def create(url: str, number: int) -> str:
    Ledger(url).create()
    return "created"


def append_a_hundred(url: str, number: int) -> str:
    ledger = Ledger(url)
    new = sum(
        ledger.append_cash_entries(
            [make_entry(f"shared-{step}"), make_entry(f"own-{number}-{step}")]
        )
        for step in range(50)
    )
    return str(new)


def decide(url: str, number: int) -> str:
    return str(Ledger(url).record_decision(make_decision(run_id=str(number)), [ORDER]))


def send(url: str, number: int) -> str:
    Ledger(url).append_event(move(ORDER, OrderState.SUBMITTING), at=NOW)
    return "sent"


def book_fill(url: str, number: int) -> str:
    fill = make_fill(ORDER)
    return str(len(Ledger(url).append(at=NOW, orders=filled(ORDER, fill), fills=[fill]).fills))


def test_processes_that_create_one_ledger_wait_for_each_other(empty_url: str) -> None:
    assert run_at_once(create, empty_url, 3) == ["created"] * 3
    assert Ledger(empty_url).entries() == []


def test_processes_that_append_lose_nothing_and_double_nothing(
    ledger: Ledger, ledger_url: str
) -> None:
    answers = run_at_once(append_a_hundred, ledger_url)
    assert sum(map(int, answers)) == 150
    assert len(ledger.entries()) == 150


def test_of_two_processes_one_decides(ledger: Ledger, ledger_url: str) -> None:
    assert run_at_once(decide, ledger_url) == ["False", "True"]
    assert len(ledger.orders()) == 1


def test_of_two_processes_one_sends(ledger: Ledger, ledger_url: str) -> None:
    ledger.record_decision(make_decision(), [ORDER])
    assert run_at_once(send, ledger_url) == [IllegalTransitionError.__name__, "sent"]


def test_of_two_processes_one_books_a_fill(ledger: Ledger, ledger_url: str) -> None:
    ledger.record_decision(make_decision(), [ORDER])
    assert run_at_once(book_fill, ledger_url) == ["1", IllegalTransitionError.__name__]
    assert ledger.entries() == [make_fill(ORDER)]
    assert ledger.orders()[0].filled_quantity == make_fill(ORDER).quantity
