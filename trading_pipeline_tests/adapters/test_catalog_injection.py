"""What a statement may not do: every attempt is refused with a sentence, and changes nothing."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from trading_pipeline.adapters.catalog import Catalog, LedgerTables
from trading_pipeline.adapters.catalog.engine import Engine, Limits
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger.tables import metadata
from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline_tests.factories import random_bars, sessions_from

SESSIONS = sessions_from(count=25)
BARS = random_bars(("AAPL", "IBM"), SESSIONS)

NOT_ONE_SELECT = [
    "",
    ";",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW clean_bars",
    "SELECT * FROM clean_bars; COPY clean_bars TO '{out}'",
    "SELECT 1; SET lock_configuration = false",
    "SELECT 1 /* ; */ ; ATTACH '{db}'",
    "COPY clean_bars TO '{out}'",
    "COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
    "COPY clean_bars FROM '/etc/passwd'",
    "ATTACH '{db}' AS other",
    "ATTACH '{ledger}' (TYPE sqlite)",
    "DETACH memory",
    "USE memory",
    "PRAGMA database_list",
    "PRAGMA version",
    "SET enable_external_access = true",
    "SET GLOBAL memory_limit = '100GB'",
    "RESET lock_configuration",
    "SET VARIABLE x = 1",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL spatial FROM 'http://example.com'",
    "CREATE TABLE t AS SELECT * FROM clean_bars",
    "CREATE OR REPLACE VIEW clean_bars AS SELECT 1",
    "CREATE MACRO f(a) AS a",
    "CREATE SECRET s (TYPE s3)",
    "INSERT INTO clean_bars VALUES (1)",
    "UPDATE clean_bars SET close = 0",
    "DELETE FROM clean_bars",
    "TRUNCATE clean_bars",
    "DROP VIEW clean_bars",
    "ALTER VIEW clean_bars RENAME TO gone",
    "EXPORT DATABASE '{out}'",
    "IMPORT DATABASE '{out}'",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN TRANSACTION",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN ANALYZE SELECT * FROM clean_bars",
    "MERGE INTO clean_bars USING clean_bars AS s ON true WHEN MATCHED THEN DELETE",
    "COMMENT ON VIEW clean_bars IS 'mine'",
    "PIVOT clean_bars ON symbol USING sum(close)",
]
HIDDEN_WRITES = [
    "WITH gone AS (DELETE FROM clean_bars RETURNING *) SELECT * FROM gone",
    "WITH more AS (INSERT INTO clean_bars VALUES (1) RETURNING *) SELECT * FROM more",
    "WITH other AS (UPDATE clean_bars SET close = 0 RETURNING *) SELECT * FROM other",
    "SELECT * FROM (WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone)",
]
FILES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM read_blob('/etc/hostname')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_parquet('{lake}')",
    "SELECT * FROM parquet_scan('{lake}')",
    "SELECT * FROM parquet_metadata('{lake}')",
    "SELECT * FROM parquet_kv_metadata('{lake}')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM '{lake}'",
    'SELECT * FROM "/etc/passwd"',
    "FROM 'https://example.com/a.parquet'",
    "SELECT (SELECT content FROM read_text('/etc/hostname'))",
    "SELECT * FROM clean_bars WHERE symbol IN (SELECT content FROM read_text('/etc/hostname'))",
    "SELECT * FROM clean_bars UNION ALL SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM clean_bars, LATERAL (SELECT * FROM glob('/*'))",
    "WITH c AS (SELECT * FROM read_text('/etc/hostname')) SELECT * FROM c",
    'WITH "/etc/passwd" AS (SELECT * FROM "/etc/passwd") SELECT * FROM "/etc/passwd"',
    'SELECT * FROM (WITH "/etc/hosts" AS (SELECT 1) SELECT 1), "/etc/hosts"',
    "SELECT 1 ORDER BY (SELECT count(*) FROM glob('/*'))",
    "SELECT * FROM clean_bars LIMIT (SELECT count(*) FROM glob('/*'))",
    "SELECT sum(close) FILTER (EXISTS (FROM glob('/*'))) FROM clean_bars",
    "SELECT list_transform([1], lambda x: (SELECT count(*) FROM glob('/*'))) AS l",
    "SELECT * FROM main.read_text('/etc/hostname')",
    "SELECT * FROM READ_TEXT('/etc/hostname')",
    "SELECT * FROM \"read_text\"('/etc/hostname')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('clean_bars')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM sqlite_scan('{ledger}', 'orders')",
    "SELECT * FROM postgres_query('host=x', 'SELECT 1')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM python_map_function()",
    "SELECT * FROM seq_scan()",
]
THE_ENGINE = [
    "SELECT getenv('HOME')",
    "SELECT current_setting('allowed_paths')",
    "SELECT getvariable('x')",
    "SELECT set_config('memory_limit', '1TB', false)",
    "SELECT nextval('s')",
    "SELECT write_log('hello')",
    "SELECT sleep_ms(100000)",
    "SELECT pg_catalog.pg_sleep(100)",
    "SELECT version()",
    "SELECT json_serialize_plan('SELECT 1')",
    "SELECT json_deserialize_sql('x')",
    "SELECT error('x')",
    "SELECT repeat('x', 2000000000)",
    "SELECT list_sum(range(1000000000))",
    "SELECT printf('%2000000000d', 1)",
    "SELECT 'x'.repeat(2000000000)",
    "SELECT __internal_decompress_string(1)",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_views",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM pragma_table_info('clean_bars')",
    "SELECT * FROM enable_logging()",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM memory.main.clean_bars",
    "SELECT * FROM main.clean_bars",
    "SELECT * FROM _selected_bars",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "DESCRIBE clean_bars",
    "SUMMARIZE clean_bars",
    "SELECT * FROM (DESCRIBE clean_bars)",
    "SELECT * FROM (SHOW ALL TABLES)",
]
TOO_MUCH = [
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "SELECT " + "-" * 30_000 + "1",
    "SELECT '" + "x" * 200_000 + "'",
    "SELECT 1\0; DROP VIEW clean_bars",
    "SELECT '\ud800'",
    " UNION ALL ".join(["SELECT 1"] * 8_000),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake and a ledger to attack."""
    folder = tmp_path_factory.mktemp("place")
    Lake(folder / "lake").write("clean_bars", BARS, SESSIONS)
    engine = sa.create_engine(f"sqlite:///{folder / 'ledger.db'}")
    metadata.create_all(engine)
    engine.dispose()
    return folder


@pytest.fixture(scope="module")
def catalog(place: Path) -> Iterator[Catalog]:
    ledger = LedgerTables(sa.make_url(f"sqlite:///{place / 'ledger.db'}"), metadata)
    with Catalog(place / "lake", ledger=ledger) as opened:
        opened.query("SELECT count(*) AS n FROM clean_bars")
        yield opened


def state(place: Path) -> dict[str, str]:
    """Every file and what is in it, and the ledger's own words."""
    files = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in place.rglob("*")
        if path.is_file()
    }
    with sqlite3.connect(place / "ledger.db") as connection:
        files["ledger"] = "".join(connection.iterdump())
    return files


def test_the_attempts_are_many() -> None:
    everything = [*NOT_ONE_SELECT, *HIDDEN_WRITES, *FILES, *THE_ENGINE, *TOO_MUCH]

    assert len(set(everything)) == len(everything) > 100


@pytest.mark.parametrize(
    "attempt",
    [*NOT_ONE_SELECT, *HIDDEN_WRITES, *FILES, *THE_ENGINE, *TOO_MUCH],
    ids=lambda attempt: attempt[:60].encode("ascii", "replace").decode(),
)
def test_is_refused_and_changes_nothing(catalog: Catalog, place: Path, attempt: str) -> None:
    before = state(place)
    names = {"out": "out.csv", "db": "other.db", "ledger": "ledger.db"}
    for name, file in names.items():
        attempt = attempt.replace(f"{{{name}}}", str(place / file))
    attempt = attempt.replace("{lake}", str(place / "lake/clean_bars/years/2012.parquet"))

    with pytest.raises(SettingsError) as caught:
        catalog.query(attempt)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert state(place) == before
    assert catalog.query("SELECT count(*) AS n FROM clean_bars")["n"].to_list() == [50]


@pytest.mark.parametrize(
    "value",
    ["'; DROP VIEW clean_bars --", "AAPL' OR '1' = '1", "AAPL\0", "?", "%", "/etc/passwd", "$1"],
)
def test_a_value_is_never_read_as_sql(catalog: Catalog, place: Path, value: str) -> None:
    before = state(place)

    assert catalog.query("SELECT * FROM clean_bars WHERE symbol = ?", [value]).is_empty()
    assert catalog.query("SELECT ? AS said", [value])["said"].to_list() == [value]
    assert catalog.daily_returns([value]).is_empty()
    assert catalog.side_by_side([value]).columns == ["session", value]
    assert state(place) == before


@pytest.mark.parametrize(
    "name",
    [
        "clean_bars; DROP VIEW clean_bars",
        "clean_bars LIMIT 0 --",
        "(SELECT 1)",
        "read_text('/etc/hostname')",
        "../clean_bars",
        "orders",
        "CLEAN_BARS",
        "",
    ],
)
@pytest.mark.parametrize("ask", [Catalog.stats, Catalog.symbols, Catalog.date_range])
def test_a_name_that_is_no_table_of_the_lake_is_refused(
    catalog: Catalog, ask: Callable[[Catalog, str], object], name: str
) -> None:
    with pytest.raises(SettingsError, match="is no table of the lake"):
        ask(catalog, name)


def test_a_table_is_not_taken_for_a_variable_of_the_caller(catalog: Catalog) -> None:
    secret = pl.DataFrame({"a": [1]})
    with pytest.raises(SettingsError, match="no table 'secret'"):
        catalog.query("SELECT * FROM secret")
    assert secret.height == 1


def attack_unjudged(place: Path) -> list[str]:
    other = place / "lake/clean_bars/sessions/2012-01-03.parquet"
    return [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/etc/*')",
        f"COPY (SELECT 1) TO '{place / 'out.csv'}'",
        f"SELECT * FROM read_parquet('{other}')",
        f"ATTACH '{place / 'other.db'}'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "LOAD httpfs",
    ]


@pytest.mark.parametrize("number", range(8))
def test_the_engine_refuses_by_itself_what_the_judge_would_not_let_by(
    place: Path, number: int
) -> None:
    """Were a statement misjudged, the locked engine still opens nothing but the bound files."""
    before = state(place)
    file = str(place / "lake/clean_bars/years/2012.parquet")
    engine = Engine({"v": f"SELECT * FROM read_parquet('{file}')"}, [file], memory="1GB")
    try:
        with pytest.raises(TradingPipelineError):
            engine.run(attack_unjudged(place)[number], [], Limits())
        assert engine.run("SELECT count(*) AS n FROM v", [], Limits()).frame["n"][0] == 50
    finally:
        engine.close()
    assert state(place) == before
