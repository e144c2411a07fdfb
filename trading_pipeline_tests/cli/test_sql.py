"""`trading-pipeline sql`: what is written, where, and how it ends."""

import csv
import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import sqlalchemy as sa
from cyclopts import App
from polars.testing import assert_frame_equal
from rich.console import Console

from trading_pipeline import cli
from trading_pipeline.adapters.catalog import Answer
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.ledger.engine import normalized
from trading_pipeline.cli import sql as command
from trading_pipeline.settings import Settings
from trading_pipeline_tests.factories import random_bars, sessions_from
from trading_pipeline_tests.fakes import make_decision, make_order

SESSIONS = sessions_from(count=25)
BARS = random_bars(("AAPL", "IBM"), SESSIONS)
AAPL = "SELECT session, close FROM clean_bars WHERE symbol = ? AND session >= ? ORDER BY session"
DOCS = Path(__file__).parents[2] / "docs/how-to"
PAGE, BI_PAGE = DOCS / "query-with-sql.md", DOCS / "connect-a-bi-tool.md"

Run = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a lake and a ledger, in which commands run."""
    home = tmp_path / "home"
    Lake(home / "data/lake").write("clean_bars", BARS, SESSIONS)
    ledger = Ledger(f"sqlite:///{home / 'data/ledger.db'}")
    ledger.create()
    ledger.record_decision(make_decision(), [make_order("AAPL")])
    ledger.close()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command as the shell does, whether or not the whole CLI has it already."""
    app = App(name="trading-pipeline")
    app.command(command.sql, name="sql")
    monkeypatch.setattr(cli, "app", app)
    return lambda *arguments: cli.run(["sql", *map(str, arguments)])


def test_rows_are_aligned_text_when_piped(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("SELECT symbol, count(*) AS bars FROM clean_bars GROUP BY ALL ORDER BY ALL") == 0

    assert capsys.readouterr().out == "symbol  bars\nAAPL      25\nIBM       25\n"


def test_values_are_given_one_after_the_other(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    last = str(SESSIONS[-2])
    assert run(AAPL, "--param", "AAPL", "--param", last, "--format", "csv") == 0

    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["session", "close"]
    assert [row[0] for row in rows[1:]] == [str(day) for day in SESSIONS[-2:]]
    assert run("SELECT ? AS a", "--param", "-1", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"a": "-1"}]


def test_json_has_dates_as_text_amounts_whole_and_no_nan(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (
        "SELECT session, quantity, 'nan'::DOUBLE AS n, [1.50::DECIMAL(5, 2)] AS l, 1 AS i,"
        " NULL AS z FROM orders"
    )
    assert run(asked, "--format", "json") == 0

    order = make_order("AAPL")
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "session": str(order.session),
        "quantity": f"{order.quantity:f}",
        "n": None,
        "l": ["1.5"],
        "i": 1,
        "z": None,
    }


@pytest.mark.parametrize("name", ["a.parquet", "a.PARQUET", "deep/er/a.parquet"])
def test_a_file_is_of_the_kind_its_name_says(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert run("FROM clean_bars ORDER BY session, symbol", "--output", path) == 0

    assert_frame_equal(pl.read_parquet(path), BARS)
    assert [found.name for found in path.parent.iterdir() if found.is_file()] == [path.name]


def test_a_file_is_replaced_whole(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    assert run("SELECT nothing FROM clean_bars", "--output", path) == 3
    assert path.read_text() == "old"
    assert run("SELECT 1 AS a, 2.50 AS b, [1] AS c", "--output", path) == 0
    assert path.read_text() == "a,b,c\n1,2.5,[1]\n"
    assert run("SELECT 1 AS a", "--output", tmp_path / "a.txt") == 0
    assert (tmp_path / "a.txt").read_text() == "a\n1\n"


def test_a_table_is_cut_at_the_limit_and_says_so(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("FROM clean_bars", "--limit", 3) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 4
    assert "the first 3 rows" in told.err
    assert run("FROM clean_bars", "--limit", 50) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_data_is_written_whole_or_not_at_all(
    run: Run, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert run("FROM clean_bars", "--limit", 3, "--format", kind) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "limit of 3" in told.err


def test_the_tables_are_listed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--tables", "--format", "json") == 0

    found = {row["table"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["clean_bars"]["from"] == "lake"
    assert found["clean_bars"]["columns"].startswith("symbol, session, open")
    assert found["features"]["columns"].endswith("… 149 more")
    assert found["fills"]["from"] == "ledger"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a query or --tables"),
        (["SELECT 1", "--tables"], "a query or --tables"),
        (["DROP TABLE clean_bars"], "Only SELECT"),
        (["SELECT * FROM read_csv('/etc/passwd')"], "'read_csv' is not answered"),
        (["SELECT ?"], "1 `?` and 0 values"),
        (["SELECT 1 AS a", "--param", "x"], "0 `?` and 1 values"),
        (["SELECT 1 AS a", "--format", "parquet"], "--output"),
        (["SELECT 1 AS a", "--output", "a.xlsx"], "no known ending"),
        (["SELECT 1 AS a", "--output", "data/lake/clean_bars/years/2012.parquet"], "data folder"),
        (["SELECT 1 AS a", "--output", "data/../data/a.csv"], "data folder"),
        (["SELECT 1 AS a", "--output", "/proc/no/a.csv"], "cannot be written"),
        (["SELECT 1 AS a", "--format", "xml"], "--format"),
        (["SELECT 1 AS a", "--timeout", "0"], "time limit"),
        (["SELECT 1 AS a", "--limit", "0"], "limit of 0 rows"),
        (["SELECT count(*) FROM range(9999999999), range(9)", "--timeout", "0.1"], "0.1 s"),
    ],
)
def test_what_cannot_be_answered_ends_with_3_and_a_sentence(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(*arguments) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert said in " ".join(told.err.split())


def test_a_terminal_gets_a_drawn_table_that_its_data_cannot_steer() -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True, _environ={"TERM": "xterm"})
    frame = pl.DataFrame({"a": ["[red]x[/]\x1b[31m"], "b": [Decimal("1.500")], "c": [None]})

    command.show(Answer(frame, is_cut=False), console=console)

    text = console.file.getvalue()
    assert "[red]x[/]\\x1b[31m" in text
    assert "1.5 " in text
    assert "\x1b[31m" not in text


def test_the_password_of_the_ledger_is_not_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TP_LEDGER_URL", "postgresql://someone:hidden@127.0.0.1:1/ledger")
    assert run("SELECT * FROM orders") == 1
    assert "hidden" not in capsys.readouterr().err


@pytest.mark.parametrize("page", [PAGE, BI_PAGE], ids=lambda page: page.stem)
def test_the_queries_of_the_docs_are_answered(home: Path, page: Path) -> None:
    queries = re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)
    assert queries

    with command.open_catalog(Settings.load()) as catalog:
        for query in queries:
            catalog.run(query, ["AAPL"] * query.count("?"))


def test_the_python_of_the_docs_runs(home: Path) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}

    exec(source, names)  # our own page

    assert names["returns"]["daily_return"].null_count() == 0
    assert names["facts"]["rows"] == BARS.height


def test_the_view_for_bi_tools_reads_as_the_catalog_does(home: Path) -> None:
    Lake(home / "data/lake").write("clean_bars", BARS.head(1), [SESSIONS[0]])
    (view,) = re.findall(r"```duckdb\n(.*?)```", BI_PAGE.read_text(), re.DOTALL)
    ordered = "FROM clean_bars ORDER BY session, symbol"
    with duckdb.connect() as connection, command.open_catalog(Settings.load()) as catalog:
        connection.sql(view.replace("/path/to/data", str(home / "data")))
        found = pl.from_arrow(connection.sql(ordered).to_arrow_table())
        expected = catalog.query(ordered)

    assert_frame_equal(found, expected)
    assert expected.height == BARS.height - 1


def test_the_role_for_bi_tools_reads_the_ledger_and_writes_nothing(postgres_url: str) -> None:
    ledger = Ledger(postgres_url)
    ledger.create()
    ledger.close()
    (statements,) = re.findall(r"```postgresql\n(.*?)```", BI_PAGE.read_text(), re.DOTALL)
    url = normalized(postgres_url)
    owner = sa.create_engine(url, poolclass=sa.NullPool)
    reader = sa.create_engine(
        url.set(username="dashboards", password="choose one"), poolclass=sa.NullPool
    )
    with owner.begin() as connection:
        connection.execute(sa.text(statements))
    try:
        with reader.begin() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM halts")) == 1
        with reader.begin() as connection, pytest.raises(sa.exc.DBAPIError):
            connection.execute(sa.text("INSERT INTO settlements VALUES ('2012-01-03', now())"))
    finally:
        with owner.begin() as connection:
            connection.execute(sa.text("DROP OWNED BY dashboards; DROP ROLE dashboards"))


@pytest.mark.usefixtures("home")
def test_the_notebook_runs_from_top_to_bottom() -> None:
    notebook = json.loads((DOCS / "queries.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    assert [cell["outputs"] for cell in cells] == [[]] * len(cells)

    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)  # our own page
    assert names["returns"].height
