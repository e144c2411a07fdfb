"""A session made once more as it was known, late restatements, and the lake compacted."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.catalog import Catalog
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import LOOK_BACK as FEATURE_LOOK_BACK
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.compact import compact
from trading_pipeline.flows.featurize import featurize
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.replay import MADE, replay
from trading_pipeline.flows.window import with_history
from trading_pipeline_tests.factories import FrameVendor, dividend, random_bars, sessions_from
from trading_pipeline_tests.flows.market_days import LATER, NOW, RULES, SYMBOLS, files

SESSIONS = sessions_from(count=75)
BARS = random_bars(SYMBOLS, SESSIONS)
LAST = SESSIONS[-1]
THEN = GateRules(
    quality=RULES.quality,
    freshness=RULES.freshness,
    convention=RULES.convention,
    as_known_at=NOW + timedelta(hours=1),
)


def ran(lake: Lake, vendor: FrameVendor, sessions: list[date], *, late: bool = False) -> None:
    """The data of a day, as the assets make it."""
    now = LATER if late else NOW
    for ingest in (ingest_bars, ingest_actions):
        ingest(lake, vendor, symbols=SYMBOLS, sessions=sessions, now=now)
    clean(lake, symbols=SYMBOLS, sessions=sessions, rules=RULES)
    featured = [day for day in sessions if day >= SESSIONS[FEATURE_LOOK_BACK]]
    featurize(lake, sessions=featured, symbols=SYMBOLS, convention=RULES.convention)


@pytest.fixture(scope="module")
def restated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, bytes]]:
    """A lake whose newest days were restated a day later, and its files from before."""
    lake = Lake(tmp_path_factory.mktemp("restated") / "lake")
    ran(lake, FrameVendor(held=BARS), SESSIONS[:-1])
    ran(lake, FrameVendor(held=BARS), [LAST])
    before = files(lake)
    changed = pl.col("session").is_in(SESSIONS[-3:]) & (pl.col("symbol") == "AAA")
    prices = pl.col("open", "high", "low", "close")
    better = BARS.with_columns(pl.when(changed).then(prices * 1.01).otherwise(prices).name.keep())
    paid = dividend("BBB", SESSIONS[-2], 0.4)
    ran(lake, FrameVendor(held=better, actions=paid), SESSIONS[-5:], late=True)
    return lake, before


def test_a_replay_as_known_then_is_what_the_session_used_to_the_byte(
    restated: tuple[Lake, dict[str, bytes]], tmp_path: Path
) -> None:
    lake, before = restated
    beside = Lake(tmp_path / "beside")
    found = replay(lake, beside, session=LAST, symbols=SYMBOLS, rules=THEN)
    again = files(beside)
    for table in MADE:
        name = f"{table}/sessions/{LAST}.parquet"
        assert again[name] == before[name], table
    assert {each.table: each.changed for each in found} == {
        "clean_bars": 2,
        "quarantined_bars": 0,
        "action_checks": 0,
        "features": 4,
    }


def test_a_replay_of_all_that_is_known_now_is_what_is_held(
    restated: tuple[Lake, dict[str, bytes]], tmp_path: Path
) -> None:
    found = replay(
        restated[0], Lake(tmp_path / "beside"), session=LAST, symbols=SYMBOLS, rules=RULES
    )
    assert [each.changed for each in found] == [0, 0, 0, 0]


def test_a_session_that_was_not_known_yet_cannot_be_replayed(
    restated: tuple[Lake, dict[str, bytes]], tmp_path: Path
) -> None:
    early = GateRules(
        quality=RULES.quality,
        freshness=RULES.freshness,
        convention=RULES.convention,
        as_known_at=NOW - timedelta(days=1),
    )
    with pytest.raises(MissingDataError, match=r"No bar.*: the first came at"):
        replay(restated[0], Lake(tmp_path / "b"), session=LAST, symbols=SYMBOLS, rules=early)


def test_sql_reads_what_was_known_at_a_time(restated: tuple[Lake, dict[str, bytes]]) -> None:
    lake, _ = restated
    asked = "SELECT close FROM raw_bars WHERE symbol = 'AAA' AND session = ?"
    first = BARS.filter(symbol="AAA", session=LAST)["close"][0]
    with Catalog(lake.root) as now, Catalog(lake.root, as_known_at=THEN.as_known_at) as then:
        assert then.query(asked, [LAST]).item() == first
        assert now.query(asked, [LAST]).item() == pytest.approx(first * 1.01)
        assert then.query("SELECT count(*) FROM corporate_actions").item() == 0
        assert now.query("SELECT count(*) FROM corporate_actions").item() == 1
        assert then.query("SELECT count(*) FROM raw_bars_history").item() == BARS.height
        assert then.stats("raw_bars")["rows"] == BARS.height
        for derived in ("clean_bars", "adjusted_bars", "features"):
            with pytest.raises(SettingsError, match="no table"):
                then.query(f"SELECT * FROM {derived}")
        with pytest.raises(SettingsError, match="no table"):
            then.adjusted_bars(["AAA"])
        assert "raw_bars" in then.describe()["table"].to_list()


def test_more_sessions_are_asked_for_again_for_late_restatements(
    restated: tuple[Lake, dict[str, bytes]],
) -> None:
    lake, _ = restated
    ask = {"history": 30, "symbols": SYMBOLS}
    assert with_history(lake, "raw_bars", [LAST], **ask) == [LAST]
    assert with_history(lake, "raw_bars", [LAST], again=5, **ask) == SESSIONS[-6:]
    assert (
        with_history(lake, "raw_bars", [LAST], history=3, symbols=SYMBOLS, again=5)
        == (SESSIONS[-3:])
    )


def test_compacting_changes_no_row_and_is_done_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    days = sessions_from(date(2012, 12, 20), 15)
    bars = random_bars(("AAA", "BBB"), days)
    for day in days:
        lake.write("clean_bars", bars.filter(session=day), [day], symbols=["AAA", "BBB"])
    lake.write("clean_bars", bars.clear(), [days[2]], symbols=["AAA"])
    held = lake.read("clean_bars", days[0], days[-1])
    ends = (days[0], days[-1])
    covered = lake.held("clean_bars", *ends, symbols=["AAA"])
    assert compact(lake, ["clean_bars"], before=days[10]) == {"clean_bars": 10}
    names = sorted(path for path in files(lake) if "sessions" in path)
    assert [name[-18:-8] for name in names] == [str(day) for day in days[10:]]
    assert {name for name in files(lake) if "years" in name} == {
        "clean_bars/years/2012.parquet",
        "clean_bars/years/2013.parquet",
    }
    assert_frame_equal(lake.read("clean_bars", *ends), held)
    assert lake.held("clean_bars", *ends, symbols=["AAA"]) == covered == set(days)
    assert compact(lake, ["clean_bars"], before=days[10]) == {"clean_bars": 0}


def test_compacted_years_are_sorted_by_symbol_and_session(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    days = sessions_from(count=4)
    for day in days:
        lake.write("clean_bars", random_bars(("B", "A"), [day]), [day])
    compact(lake, ["clean_bars"], before=date(2013, 1, 1))
    rows = pl.read_parquet(lake.root / "clean_bars/years/2012.parquet", glob=False)
    assert rows.select("symbol", "session").rows() == [(x, day) for x in "AB" for day in days]
