"""A write replaces the rows of the symbols, or of the strategy, it is for, and no others."""

import threading
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.lake import Lake, empty
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.errors import DataError, SchemaError, SettingsError
from trading_pipeline_tests.factories import random_bars, raw

YEAR = sessions_between(date(2012, 1, 1), date(2012, 12, 31))
MONTH = YEAR[:25]


def rows(symbols: str, sessions: list[date] = MONTH, *, seed: int = 1) -> pl.DataFrame:
    return raw(random_bars(symbols, sessions, seed=seed)).sort("session", "symbol")


def weights(strategy: str, session: date, **of: float) -> pl.DataFrame:
    return pl.DataFrame(
        [(symbol, session, strategy, weight) for symbol, weight in of.items()],
        schema=empty("target_weights").schema,
        orient="row",
    )


def whole(lake: Lake, table: str = "raw_bars") -> pl.DataFrame:
    return lake.read(table, YEAR[0], YEAR[-1])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.mark.parametrize("first", [1, 25], ids=["over session files", "over a year file"])
@pytest.mark.parametrize("second", [1, 25], ids=["session files", "a year file"])
def test_rows_of_other_symbols_stay(lake: Lake, first: int, second: int) -> None:
    before, after = MONTH[:first], MONTH[:second]
    lake.write("raw_bars", rows("ABC", before), before, symbols="ABC")
    lake.write("raw_bars", rows("AB", after, seed=2), after, symbols="AB")
    others = rows("ABC", before).filter((pl.col("symbol") == "C") | ~pl.col("session").is_in(after))
    expected = pl.concat([rows("AB", after, seed=2), others])
    assert_frame_equal(whole(lake), expected.sort("session", "symbol"))


def test_a_session_is_held_for_the_symbols_it_was_written_for(lake: Lake) -> None:
    lake.write("raw_bars", rows("AB"), MONTH, symbols="AB")
    lake.write("raw_bars", rows("BC", MONTH[:3]), MONTH[:3], symbols="BC")
    every = set(MONTH)
    for asked, held in (("A", every), ("BA", every), ("C", set(MONTH[:3])), ("D", set[date]())):
        assert lake.held("raw_bars", MONTH[0], MONTH[-1], symbols=asked) == held
    assert lake.held("raw_bars", MONTH[0], MONTH[-1], symbols="ABC") == set(MONTH[:3])
    assert lake.held("raw_bars", MONTH[0], MONTH[0], symbols="ABC") == {MONTH[0]}
    assert lake.held("raw_bars", MONTH[4], MONTH[4], symbols="C") == set()
    assert lake.held("raw_bars", MONTH[0], MONTH[-1]) == every


def test_a_symbol_without_a_row_is_held_too(lake: Lake) -> None:
    lake.write("raw_bars", rows("A"), MONTH, symbols=["A", "NOT_LISTED_YET"])
    assert lake.held("raw_bars", MONTH[0], MONTH[-1], symbols=["NOT_LISTED_YET"]) == set(MONTH)


def test_a_session_written_whole_is_held_for_every_symbol(lake: Lake) -> None:
    lake.write("raw_bars", rows("AB"), MONTH)
    lake.write("raw_bars", rows("A", MONTH[:2], seed=2), MONTH[:2], symbols="A")
    assert lake.held("raw_bars", MONTH[0], MONTH[-1], symbols="XYZ") == set(MONTH)
    assert whole(lake).filter(session=MONTH[0])["symbol"].to_list() == ["A", "B"]
    lake.write("raw_bars", rows("C", MONTH[:2]), MONTH[:2])
    assert whole(lake).filter(session=MONTH[0])["symbol"].to_list() == ["C"]


def test_a_symbol_that_lost_its_row_is_gone(lake: Lake) -> None:
    lake.write("raw_bars", rows("AB", MONTH[:1]), MONTH[:1], symbols="AB")
    lake.write("raw_bars", rows("A", MONTH[:1]), MONTH[:1], symbols="AB")
    assert whole(lake)["symbol"].to_list() == ["A"]


def test_one_strategy_leaves_what_another_wants(lake: Lake) -> None:
    day = MONTH[:1]
    first, second = (weights(name, *day, A=0.5, B=-0.5) for name in ("first", "second"))
    lake.write("target_weights", first, day, strategy="first")
    lake.write("target_weights", second, day, strategy="second")
    assert_frame_equal(
        whole(lake, "target_weights"), pl.concat([first, second]).sort("symbol", "strategy")
    )
    changed = weights("first", *day, C=1.0)
    lake.write("target_weights", changed, day, strategy="first")
    assert_frame_equal(whole(lake, "target_weights"), pl.concat([second, changed]))
    for strategy, held in (("first", set(day)), ("third", set[date]())):
        assert lake.held("target_weights", *day, *day, strategy=strategy) == held


def test_rows_of_others_than_those_to_write_are_refused(lake: Lake) -> None:
    with pytest.raises(SchemaError, match=r"25 rows of another symbol .* of B"):
        lake.write("raw_bars", rows("AB"), MONTH, symbols="A")
    asked = weights("first", MONTH[0], A=0.5, B=0.5)
    with pytest.raises(SchemaError, match="2 rows of another strategy"):
        lake.write("target_weights", asked, MONTH[:1], strategy="second")
    with pytest.raises(SettingsError, match="raw_bars is replaced by symbol, not by strategy"):
        lake.write("raw_bars", rows("A"), MONTH, strategy="first")
    with pytest.raises(SettingsError, match="signals is replaced by strategy, not by symbol"):
        lake.held("signals", MONTH[0], MONTH[1], symbols="A")
    assert not lake.root.exists()


def test_a_file_that_says_nothing_of_symbols_keeps_its_rows_and_is_asked_for_again(
    lake: Lake,
) -> None:
    lake.write("raw_bars", rows("AB"), MONTH)
    path = lake.root / "raw_bars/years/2012.parquet"
    listed = ",".join(map(str, MONTH))
    pl.read_parquet(path).write_parquet(path, metadata={"sessions": listed})
    assert lake.held("raw_bars", MONTH[0], MONTH[-1]) == set(MONTH)
    assert lake.held("raw_bars", MONTH[0], MONTH[-1], symbols="A") == set()
    lake.write("raw_bars", rows("A", MONTH[:20], seed=2), MONTH[:20], symbols="A")
    assert whole(lake).height == 50


def test_a_truncated_file_is_named_when_its_symbols_are_asked_for(lake: Lake) -> None:
    lake.write("raw_bars", rows("AB", MONTH[:1]), MONTH[:1], symbols="AB")
    path = lake.root / f"raw_bars/sessions/{MONTH[0]}.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{MONTH[0]}\.parquet is damaged .*: delete it"):
        lake.held("raw_bars", MONTH[0], MONTH[-1], symbols="A")
    with pytest.raises(DataError, match=rf"{MONTH[0]}\.parquet is damaged .*: delete it"):
        lake.write("raw_bars", rows("A", MONTH[:1]), MONTH[:1], symbols="A")


def test_what_is_read_and_written_while_holding_a_place_loses_no_row(lake: Lake) -> None:
    def add(symbol: str) -> None:
        with lake.writing("raw_bars", MONTH):
            held = whole(lake)
            lake.write("raw_bars", pl.concat([held, rows(symbol)]), MONTH)

    lake.write("raw_bars", empty("raw_bars"), MONTH)
    writers = [threading.Thread(target=add, args=(symbol,)) for symbol in "ABCDEF"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert whole(lake)["symbol"].unique().sort().to_list() == list("ABCDEF")


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.sampled_from([1, 2, 20, 30]),
            st.frozensets(st.sampled_from("ABC"), min_size=1),
            st.integers(0, 99),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_lake_reads_as_if_each_symbol_of_a_session_were_a_cell_of_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, int, frozenset[str], int]]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    cells: dict[tuple[date, str], pl.DataFrame] = {}
    for start, count, symbols, seed in writes:
        part = YEAR[start : start + count]
        frame = rows("".join(sorted(symbols)), part, seed=seed)
        frame = frame.filter(pl.col("session") != part[seed % count])  # one session is empty
        lake.write("raw_bars", frame, part, symbols=symbols)
        cells |= {
            (day, symbol): frame.filter(session=day, symbol=symbol)
            for day in part
            for symbol in symbols
        }
    assert_frame_equal(
        whole(lake), pl.concat(cells.values()).sort("session", "symbol"), check_row_order=True
    )
    for symbol in "ABC":
        held = {day for day, of in cells if of == symbol}
        assert lake.held("raw_bars", YEAR[0], YEAR[-1], symbols=[symbol]) == held
