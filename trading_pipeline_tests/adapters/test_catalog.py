"""What the catalog reads: the lake by its rules, as the lake itself reads it, and the ledger."""

import os
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.catalog import (
    ADJUSTED_BARS,
    LAKE_TABLES,
    Catalog,
)
from trading_pipeline.adapters.lake import Lake, empty
from trading_pipeline.core.market.restatements import current, merge
from trading_pipeline.core.schemas import TABLES
from trading_pipeline.errors import DataError, SettingsError, TransientError
from trading_pipeline_tests.factories import (
    KNOWN_AT,
    bars_of,
    random_bars,
    raw,
    sessions_from,
)

SESSIONS = sessions_from(count=40)
SYMBOLS = ("AAPL", "IBM", "MSFT")
BARS = random_bars(SYMBOLS, SESSIONS)
EVER = (date(2000, 1, 1), date(2030, 1, 1))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A year file of 40 sessions, and three sessions with files of their own after it."""
    lake = Lake(tmp_path / "lake")
    lake.write("clean_bars", BARS, SESSIONS)
    return lake


@pytest.fixture
def catalog(lake: Lake) -> Iterator[Catalog]:
    with Catalog(lake.root) as opened:
        yield opened


def everything(catalog: Catalog, table: str = "clean_bars") -> pl.DataFrame:
    return catalog.query(f"SELECT * FROM {table} ORDER BY session, symbol")


def test_the_names_are_the_tables_of_the_lake() -> None:
    assert set(LAKE_TABLES) == set(TABLES), "LAKE_TABLES lists what core.schemas has"


def test_a_year_file_is_read_as_the_lake_reads_it(lake: Lake, catalog: Catalog) -> None:
    assert_frame_equal(everything(catalog), lake.read("clean_bars", *EVER))


def test_a_session_file_wins_over_its_year_file(lake: Lake, catalog: Catalog) -> None:
    replaced = BARS.filter(pl.col("session") == SESSIONS[3]).head(2)
    lake.write("clean_bars", replaced.with_columns(volume=pl.lit(1.0)), [SESSIONS[3]])
    lake.write("clean_bars", BARS.clear(), [SESSIONS[4]])  # held as empty

    found = everything(catalog)

    assert_frame_equal(found, lake.read("clean_bars", *EVER))
    assert found.filter(pl.col("session") == SESSIONS[3])["volume"].to_list() == [1.0, 1.0]
    assert found.filter(pl.col("session") == SESSIONS[4]).is_empty()
    assert found.height == BARS.height - 1 - 3


def test_an_open_catalog_sees_what_is_written_later(lake: Lake, catalog: Catalog) -> None:
    assert catalog.stats("clean_bars")["sessions"] == 40
    later = random_bars(SYMBOLS, sessions_from(count=43)[40:], seed=8)
    for session in sessions_from(count=43)[40:]:
        lake.write("clean_bars", later.filter(pl.col("session") == session), [session])

    assert_frame_equal(everything(catalog), lake.read("clean_bars", *EVER))
    assert catalog.stats("clean_bars")["sessions"] == 43


@pytest.mark.parametrize("table", [*LAKE_TABLES, "raw_bars_history", ADJUSTED_BARS])
def test_a_table_without_files_has_its_columns_and_no_rows(table: str, tmp_path: Path) -> None:
    with Catalog(tmp_path / "nothing") as catalog:
        found = catalog.query(f"SELECT * FROM {table}")

    assert found.is_empty()
    stored = table.removesuffix("_history")
    if stored in LAKE_TABLES:
        assert found.columns == empty(stored).columns
    assert not (tmp_path / "nothing").exists()


deliveries = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from(["A", "B"]), st.integers(0, 4)),
        st.sampled_from([1.0, 2.0, 3.0]),
        max_size=6,
    ),
    min_size=1,
    max_size=5,
)


@given(deliveries, st.booleans())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_raw_bars_are_the_newest_known_rows_and_the_history_is_all_of_them(
    tmp_path_factory: pytest.TempPathFactory, told: list[dict], as_year: bool
) -> None:
    held = raw(bars_of({})).clear()
    for number, delivery in enumerate(told):
        rows = [bars_of({name: [None] * at + [close]}) for (name, at), close in delivery.items()]
        if rows:
            known_at = KNOWN_AT + timedelta(days=number)
            held = merge(held, raw(pl.concat(rows), known_at=known_at)).frame
    lake = Lake(tmp_path_factory.mktemp("lake"))
    sessions = SESSIONS if as_year else SESSIONS[:5]
    lake.write("raw_bars", held, sessions)

    with Catalog(lake.root) as catalog:
        newest = everything(catalog, "raw_bars")
        history = catalog.query("FROM raw_bars_history ORDER BY session, symbol, known_at")

    order = ["session", "symbol"]
    assert_frame_equal(newest, current(held).sort(order), check_dtypes=True)
    assert_frame_equal(history, held.sort([*order, "known_at"]))


def test_a_restated_session_beside_a_year_file_shows_the_newest_row(tmp_path: Path) -> None:
    lake, first = Lake(tmp_path), raw(BARS)
    lake.write("raw_bars", first, SESSIONS)
    of_one = first.filter(pl.col("session") == SESSIONS[0])
    again = of_one.with_columns(close=pl.lit(7.0), known_at=pl.col("known_at") + timedelta(days=1))
    lake.write("raw_bars", merge(of_one, again).frame, [SESSIONS[0]])

    with Catalog(lake.root) as catalog:
        found = everything(catalog, "raw_bars")
        history = catalog.stats("raw_bars_history")

    assert found.filter(pl.col("session") == SESSIONS[0])["close"].to_list() == [7.0, 7.0, 7.0]
    assert (found.height, history["rows"]) == (BARS.height, BARS.height + 3)


def test_a_damaged_file_is_named_and_other_tables_are_still_read(
    lake: Lake, catalog: Catalog
) -> None:
    lake.write("signals", empty("signals"), [SESSIONS[0]])
    catalog.query("SELECT * FROM signals")
    path = lake.root / "signals/sessions" / f"{SESSIONS[0]}.parquet"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(DataError, match=rf"{path} .* rematerialize the session {SESSIONS[0]}"):
        catalog.query("SELECT * FROM signals")
    assert catalog.stats("clean_bars")["rows"] == BARS.height


@pytest.mark.parametrize("name", ["it's", "we[i]rd *?", "a;b--", 'quo"te', "ünï code"])
def test_any_name_of_the_folder_is_just_a_name(name: str, tmp_path: Path) -> None:
    lake = Lake(tmp_path / name)
    lake.write("clean_bars", BARS, SESSIONS)
    lake.write("clean_bars", BARS.head(3), [SESSIONS[0]])

    with Catalog(lake.root) as catalog:
        assert catalog.stats("clean_bars")["rows"] == BARS.height


def test_reading_goes_on_while_sessions_are_taken_into_a_year_file(lake: Lake) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for session in SESSIONS[:3]:
                lake.write("clean_bars", BARS.filter(pl.col("session") == session), [session])
            lake.write("clean_bars", BARS, SESSIONS)

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    try:
        with Catalog(lake.root) as catalog:
            for _ in range(25):
                try:
                    seen.append(catalog.stats("clean_bars")["rows"])
                except TransientError:  # said, not half a table
                    continue
    finally:
        stop.set()
        writer.join()

    assert seen
    assert set(seen) == {BARS.height}


def test_values_are_given_for_question_marks_only(catalog: Catalog) -> None:
    asked = "SELECT count(*) AS n FROM clean_bars WHERE symbol = ? AND session >= ?"

    assert catalog.query(asked, ["AAPL", SESSIONS[10]])["n"].to_list() == [30]
    assert catalog.query(asked, ["AAPL", str(SESSIONS[10])])["n"].to_list() == [30]
    assert catalog.query(asked, ["' OR 1 = 1 --", SESSIONS[0]])["n"].to_list() == [0]
    several = "SELECT count(*) AS n FROM clean_bars WHERE symbol IN (SELECT unnest(?))"
    assert catalog.query(several, [["AAPL", "IBM"]])["n"].to_list() == [80]
    for values in ([], ["AAPL"], ["AAPL", SESSIONS[0], 1]):
        with pytest.raises(SettingsError, match="2 `\\?`"):
            catalog.query(asked, values)
    with pytest.raises(SettingsError, match="one text"):
        catalog.query("SELECT ?", "x")
    with pytest.raises(SettingsError, match="cannot be object"):
        catalog.query("SELECT ?", [object()])


def test_the_catalog_says_what_a_table_holds(catalog: Catalog) -> None:
    assert catalog.stats("clean_bars") == {
        "rows": 120,
        "symbols": 3,
        "first_session": SESSIONS[0],
        "last_session": SESSIONS[-1],
        "sessions": 40,
    }
    assert catalog.symbols("clean_bars") == list(SYMBOLS)
    assert catalog.date_range("clean_bars") == (SESSIONS[0], SESSIONS[-1])
    assert catalog.date_range("signals") is None
    described = catalog.describe().rows_by_key("table", named=True, unique=True)
    assert described["clean_bars"]["columns"] == BARS.columns
    assert described[ADJUSTED_BARS]["columns"][-2:] == ["price_factor", "volume_factor"]
    with Catalog(Path("nowhere")) as nothing:
        assert nothing.describe()["table"].to_list() == list(nothing.names)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT clos FROM clean_bars", '"clos" not found'),
        ("SELEC 1", "cannot be read"),
        ("SELECT close AS a, open AS a FROM clean_bars", "AS"),
        ("SELECT INTERVAL 1 DAY AS i", "cast it"),
        ("SELECT CAST(symbol AS INTEGER) FROM clean_bars", "Could not convert"),
        ("SELECT * FROM clean_bars WHERE symbol = $name", "write `\\?`"),
    ],
)
def test_a_wrong_query_is_one_sentence(catalog: Catalog, sql: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        catalog.query(sql)
    assert "\n" not in str(caught.value)


def test_nothing_is_left_on_disk(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    before = sorted(os.walk(lake.root))
    with Catalog(lake.root) as catalog:
        catalog.query("SELECT symbol, count(*) AS n FROM clean_bars GROUP BY symbol ORDER BY n")

    assert sorted(os.walk(lake.root)) == before
    assert list(here.iterdir()) == []
