import threading
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.lake import YEAR_FILE_FROM, Lake, empty
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.schemas import TABLES
from trading_pipeline.errors import DataError, SchemaError, SettingsError, TransientError
from trading_pipeline_tests.factories import FIRST, bars_of, random_bars, raw

YEAR = sessions_between(date(2012, 1, 1), date(2012, 12, 31))
MONTH = YEAR[:YEAR_FILE_FROM]
SYMBOLS = ("AAA", "BBB", "CCC")


def history(sessions: list[date] = MONTH, *, seed: int = 1) -> pl.DataFrame:
    return raw(random_bars(SYMBOLS, sessions, seed=seed))


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_what_was_written_is_read_back_sorted_by_session_and_symbol(lake: Lake) -> None:
    rows = history()
    lake.write("raw_bars", rows.sample(fraction=1, shuffle=True, seed=3), MONTH)
    assert_frame_equal(lake.read("raw_bars", MONTH[0], MONTH[-1]), rows.sort("session", "symbol"))


def test_a_range_includes_both_ends_and_nothing_outside(lake: Lake) -> None:
    lake.write("raw_bars", history(YEAR), YEAR)
    got = lake.read("raw_bars", YEAR[10], YEAR[12])
    assert got["session"].unique().to_list() == YEAR[10:13]


def test_symbols_and_columns_can_be_chosen(lake: Lake) -> None:
    lake.write("raw_bars", history(), MONTH)
    got = lake.read("raw_bars", MONTH[0], MONTH[1], symbols=["CCC", "AAA"], columns=["close"])
    assert got.columns == ["close"]
    expected = history().filter(pl.col("session") <= MONTH[1], pl.col("symbol") != "BBB")
    assert got["close"].to_list() == expected.sort("session", "symbol")["close"].to_list()


def test_an_unknown_column_is_a_schema_error_that_names_it(lake: Lake) -> None:
    lake.write("raw_bars", history(), MONTH)
    with pytest.raises(SchemaError, match="no column price: it has symbol, session"):
        lake.read("raw_bars", MONTH[0], MONTH[0], columns=["price"])


@pytest.mark.parametrize("table", TABLES)
def test_reading_nothing_gives_the_tables_columns(lake: Lake, table: str) -> None:
    got = lake.read(table, FIRST, FIRST + timedelta(days=9))
    assert got.is_empty()
    TABLES[table].validate(got)
    assert got.schema == empty(table).schema


def test_an_unknown_table_is_a_settings_error(lake: Lake) -> None:
    with pytest.raises(SettingsError, match="prices is no table of the lake: those are raw_bars"):
        lake.read("prices", FIRST, FIRST)
    with pytest.raises(SettingsError, match="prices is no table"):
        lake.write("prices", history(), MONTH)


def test_a_session_without_rows_is_held_as_empty(lake: Lake) -> None:
    lake.write("raw_bars", empty("raw_bars"), MONTH[:1])
    assert lake.held("raw_bars", MONTH[0], MONTH[5]) == {MONTH[0]}
    lake.write("raw_bars", empty("raw_bars"), MONTH)
    assert lake.held("raw_bars", MONTH[0], MONTH[-1]) == set(MONTH)
    assert lake.read("raw_bars", MONTH[0], MONTH[-1]).is_empty()


def test_few_sessions_make_session_files_and_many_a_year_file(lake: Lake) -> None:
    lake.write("raw_bars", history(MONTH[:2]), MONTH[:2])
    assert set(files(lake.root)) == {
        f"raw_bars/sessions/{MONTH[0]}.parquet",
        f"raw_bars/sessions/{MONTH[1]}.parquet",
    }
    lake.write("raw_bars", history(), MONTH)
    assert set(files(lake.root)) == {"raw_bars/years/2012.parquet"}


def test_a_year_file_is_sorted_by_symbol_and_then_session(lake: Lake) -> None:
    lake.write("raw_bars", history(), MONTH)
    held = pl.read_parquet(lake.root / "raw_bars/years/2012.parquet")
    assert_frame_equal(held, history().sort("symbol", "session"))


def test_a_session_file_wins_over_the_year_file(lake: Lake) -> None:
    lake.write("raw_bars", history(), MONTH)
    corrected = history(MONTH[3:4], seed=9)
    lake.write("raw_bars", corrected, MONTH[3:4])
    got = lake.read("raw_bars", MONTH[0], MONTH[-1])
    expected = pl.concat([history().filter(pl.col("session") != MONTH[3]), corrected])
    assert_frame_equal(got, expected.sort("session", "symbol"))
    assert_frame_equal(lake.read("raw_bars", MONTH[3], MONTH[3]), corrected)


def test_a_range_write_over_a_session_file_is_what_is_read(lake: Lake) -> None:
    lake.write("raw_bars", history(MONTH[3:4], seed=9), MONTH[3:4])
    lake.write("raw_bars", history(), MONTH)
    assert_frame_equal(
        lake.read("raw_bars", MONTH[3], MONTH[3]),
        history(MONTH).filter(pl.col("session") == MONTH[3]).sort("symbol"),
    )


def test_a_range_write_leaves_the_other_sessions_of_the_year(lake: Lake) -> None:
    lake.write("raw_bars", history(YEAR), YEAR)
    lake.write("raw_bars", history(YEAR[30:31], seed=5), YEAR[30:31])
    later = YEAR[100:140]
    lake.write("raw_bars", history(later, seed=6), later)
    expected = pl.concat(
        [
            history(YEAR).filter(~pl.col("session").is_in([YEAR[30], *later])),
            history(YEAR[30:31], seed=5),
            history(later, seed=6),
        ]
    ).sort("session", "symbol")
    assert_frame_equal(lake.read("raw_bars", YEAR[0], YEAR[-1]), expected)


def test_a_range_over_the_turn_of_the_year_is_one_range(lake: Lake) -> None:
    turn = sessions_between(date(2011, 11, 15), date(2012, 1, 6))
    lake.write("raw_bars", history(turn), turn)
    assert {name for name in files(lake.root) if "years" in name} == {"raw_bars/years/2011.parquet"}
    assert_frame_equal(lake.read("raw_bars", turn[0], turn[-1]), history(turn))
    assert lake.held("raw_bars", turn[0], turn[-1]) == set(turn)


def test_writing_the_same_again_leaves_every_byte(lake: Lake) -> None:
    lake.write("raw_bars", history(YEAR), YEAR)
    lake.write("raw_bars", history(YEAR[:3]), YEAR[:3])
    before = files(lake.root)
    lake.write("raw_bars", history(YEAR[:3]), YEAR[:3])
    assert files(lake.root) == before
    lake.write("raw_bars", history(YEAR), YEAR)
    lake.write("raw_bars", history(YEAR[:3]), YEAR[:3])
    assert files(lake.root) == before


def test_rows_of_other_sessions_are_refused_and_nothing_is_written(lake: Lake) -> None:
    with pytest.raises(SchemaError, match=f"3 rows outside the sessions.*{MONTH[1]}"):
        lake.write("raw_bars", history(MONTH[:2]), MONTH[:1])
    assert files(lake.root) == {}


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (history().drop("close"), "close"),
        (history().with_columns(pl.col("volume").cast(pl.Int64)), "volume"),
        (history().with_columns(extra=1), "extra"),
        (history().with_columns(symbol=pl.lit("")), "symbol"),
        (history().with_columns(pl.col("known_at").dt.replace_time_zone(None)), "known_at"),
    ],
)
def test_a_frame_of_another_shape_is_refused_and_nothing_is_written(
    lake: Lake, broken: pl.DataFrame, named: str
) -> None:
    with pytest.raises(SchemaError, match=f"raw_bars.*{named}"):
        lake.write("raw_bars", broken, MONTH)
    assert files(lake.root) == {}


@pytest.mark.parametrize("name", ["sessions/2012-01-03.parquet", "years/2012.parquet"])
@pytest.mark.parametrize("keep", [0, 3, 200])
def test_a_truncated_file_is_a_data_error_that_names_it(lake: Lake, name: str, keep: int) -> None:
    lake.write("raw_bars", history(), MONTH)
    lake.write("raw_bars", history(MONTH[:1]), MONTH[:1])
    path = lake.root / "raw_bars" / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=f"{name} is damaged .*rematerialize the session.*2012"):
        lake.read("raw_bars", MONTH[0], MONTH[-1])


def test_a_truncated_year_file_is_never_merged_into(lake: Lake) -> None:
    lake.write("raw_bars", history(YEAR), YEAR)
    path = lake.root / "raw_bars/years/2012.parquet"
    path.write_bytes(path.read_bytes()[:-2000])
    before = files(lake.root)
    with pytest.raises(DataError, match=r"2012\.parquet is damaged"):
        lake.write("raw_bars", history(), MONTH)
    with pytest.raises(DataError, match=r"2012\.parquet is damaged"):
        lake.held("raw_bars", YEAR[0], YEAR[-1])
    assert files(lake.root) == before


def test_files_of_different_shapes_are_a_data_error_that_says_so(lake: Lake) -> None:
    def features(session: date, name: str) -> pl.DataFrame:
        return pl.DataFrame(
            {"symbol": ["AAA"], "session": [session], "feature_version": ["v"], name: [1.0]}
        ).cast({name: pl.Float32})

    lake.write("features", features(MONTH[0], "OLD"), MONTH[:1])
    lake.write("features", features(MONTH[1], "NEW"), MONTH[1:2])
    with pytest.raises(DataError, match="features holds files of different shapes"):
        lake.read("features", MONTH[0], MONTH[1])
    assert lake.read("features", MONTH[1], MONTH[1])["NEW"].to_list() == [1.0]


def test_a_folder_whose_name_is_a_pattern_is_only_a_name(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "a[1]*=b" / "lake")
    lake.write("raw_bars", history(YEAR), YEAR)
    lake.write("raw_bars", history(YEAR).head(6), YEAR[:2])
    assert_frame_equal(lake.read("raw_bars", YEAR[0], YEAR[-1]), history(YEAR))


def test_a_place_that_cannot_be_written_to_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file stands where the folder should be")
    with pytest.raises(SettingsError, match="raw_bars cannot be written to: Not a directory"):
        Lake(tmp_path / "lake").write("raw_bars", history(), MONTH)


def test_two_writers_of_different_sessions_of_a_year_both_land(lake: Lake) -> None:
    lake.write("raw_bars", history(YEAR), YEAR)
    parts = [YEAR[start : start + 25] for start in range(0, 250, 25)]
    writers = [
        threading.Thread(target=lake.write, args=("raw_bars", history(part, seed=99), part))
        for part in parts
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    expected = pl.concat([*(history(p, seed=99) for p in parts), history(YEAR)]).unique(
        ["symbol", "session"], keep="first", maintain_order=True
    )
    assert_frame_equal(lake.read("raw_bars", YEAR[0], YEAR[-1]), expected.sort("session", "symbol"))


def test_readers_see_each_session_whole_while_it_is_rewritten(lake: Lake) -> None:
    lake.write("raw_bars", history(), MONTH)
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            lake.write("raw_bars", history(MONTH[:2], seed=2), MONTH[:2])
            lake.write("raw_bars", history(), MONTH)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(60):
            got = lake.read("raw_bars", MONTH[0], MONTH[-1])
            assert got.select("session", "symbol").equals(history().select("session", "symbol"))
    finally:
        stop.set()
        writer.join()


def test_a_writer_that_waits_too_long_gets_a_transient_error(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", patience=0.05)
    lake.write("raw_bars", history(), MONTH)
    held = FileLock(lake.root / "raw_bars/locks/2012.lock")
    with held, pytest.raises(TransientError, match="raw_bars of 2012 has been written by another"):
        lake.write("raw_bars", history(), MONTH)


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from([1, 3, 19, 20, 30]), st.integers(0, 99)),
        min_size=1,
        max_size=5,
    )
)
def test_the_lake_reads_as_if_each_session_were_a_cell_of_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, int, int]]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    cells: dict[date, pl.DataFrame] = {}
    for start, count, seed in writes:
        part = YEAR[start : start + count]
        rows = raw(bars_of({"AAA": [float(seed + 1)] * count}, first=part[0]))
        rows = rows.filter(pl.col("session") != part[seed % count])  # one session is empty
        lake.write("raw_bars", rows, part)
        cells |= {session: rows.filter(pl.col("session") == session) for session in part}
    assert lake.held("raw_bars", YEAR[0], YEAR[-1]) == set(cells)
    expected = pl.concat(cells[session] for session in sorted(cells))
    assert_frame_equal(lake.read("raw_bars", YEAR[0], YEAR[-1]), expected)
