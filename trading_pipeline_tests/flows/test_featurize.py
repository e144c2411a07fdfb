import logging
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.core.features.alpha158 import LOOK_BACK, NAMES, VERSION
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.corporate_actions import Convention, on_sessions
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.featurize import featurize
from trading_pipeline_tests.factories import (
    KNOWN_AT,
    actions_of,
    dividend,
    random_bars,
    raw,
    raw_actions,
    sessions_from,
    split,
)

SESSIONS = sessions_from(count=110)
SYMBOLS = ("AAA", "BBB", "CCC")
BARS = random_bars(SYMBOLS, SESSIONS)
ACTIONS = actions_of(
    split("AAA", SESSIONS[75], 2.0),
    dividend("BBB", SESSIONS[85], 0.8),
    dividend("AAA", SESSIONS[90], 0.4),
)


def lake_of(folder: Path, bars: pl.DataFrame = BARS, actions: pl.DataFrame | None = None) -> Lake:
    lake = Lake(folder)
    lake.write("clean_bars", bars, SESSIONS)
    known = raw_actions(ACTIONS) if actions is None else actions
    lake.write("corporate_actions", known, SESSIONS)
    return lake


def features_of(
    lake: Lake, *sessions: date, symbols: tuple[str, ...] = SYMBOLS, rule: Convention = "crsp"
) -> pl.DataFrame:
    return featurize(lake, sessions=sessions, symbols=symbols, convention=rule)


def stored(lake: Lake, first: date = SESSIONS[0], last: date = SESSIONS[-1]) -> pl.DataFrame:
    return lake.read("features", first, last)


@pytest.mark.parametrize("rule", ["crsp", "yahoo"])
def test_a_backfill_stores_what_its_sessions_store_one_by_one(
    tmp_path: Path, rule: Convention
) -> None:
    listed, gap = SESSIONS[66], SESSIONS[24:28]  # CCC is young; AAA has look-backs that begin so
    bars = BARS.filter(
        ~((pl.col("symbol") == "CCC") & (pl.col("session") < listed)),
        ~((pl.col("symbol") == "AAA") & pl.col("session").is_in(gap)),
    )
    at_once, one_by_one = lake_of(tmp_path / "a", bars), lake_of(tmp_path / "b", bars)
    asked = SESSIONS[70:96]
    found = features_of(at_once, *asked, rule=rule)
    for session in asked:
        features_of(one_by_one, session, rule=rule)
    assert_frame_equal(found, stored(at_once), check_exact=True)
    assert_frame_equal(found, stored(one_by_one), check_exact=True)
    assert found.height == 3 * len(asked)


def test_a_real_split_leaves_no_jump_and_a_real_range_equals_its_sessions(tmp_path: Path) -> None:
    split_day = date(2005, 2, 28)  # AAPL, two for one
    window = session_window(date(2005, 3, 10), LOOK_BACK + 20)
    vendor, lake = SampleData(), Lake(tmp_path)
    names = ("AAPL", "GOOG", "MSFT")  # GOOG is young: listed in August 2004
    actions = on_sessions(vendor.corporate_actions(names, window[0], window[-1]))
    assert actions.filter(pl.col("session") == split_day)["split_ratio"].to_list() == [2.0]
    lake.write("clean_bars", vendor.bars(names, window[0], window[-1]), window)
    lake.write("corporate_actions", raw(actions), window)
    asked = window[LOOK_BACK:]
    found = features_of(lake, *asked, symbols=names)
    apple = found.filter(pl.col("symbol") == "AAPL")
    assert apple["ROC5"].is_between(0.8, 1.2).all()
    for session in asked:
        alone = features_of(lake, session, symbols=names)
        assert_frame_equal(found.filter(pl.col("session") == session), alone, check_exact=True)


def test_features_are_those_of_the_symbols_with_a_clean_bar(tmp_path: Path) -> None:
    session = SESSIONS[100]
    bars = BARS.filter(~((pl.col("symbol") == "BBB") & (pl.col("session") == session)))
    found = features_of(lake_of(tmp_path, bars), session, symbols=("AAA", "BBB"))
    assert found["symbol"].to_list() == ["AAA"]
    assert found.columns == ["symbol", "session", "feature_version", *NAMES]
    assert found["feature_version"].to_list() == [VERSION]
    assert found.select(NAMES).null_count().sum_horizontal().item() == 0


def test_the_same_session_again_stores_the_same(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    first = features_of(lake, SESSIONS[80])
    features_of(lake, SESSIONS[80])
    assert_frame_equal(stored(lake), first, check_exact=True)


def test_nothing_later_than_the_session_is_read(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "whole")
    session = SESSIONS[80]
    past = Lake(tmp_path / "past")
    window = SESSIONS[:81]
    past.write("clean_bars", BARS.filter(pl.col("session") <= session), window)
    known = raw_actions(ACTIONS).filter(pl.col("session") <= session)
    past.write("corporate_actions", known, window)
    assert_frame_equal(features_of(lake, session), features_of(past, session), check_exact=True)


def test_of_a_restated_action_the_newest_delivery_counts(tmp_path: Path) -> None:
    day = SESSIONS[75]
    right, wrong = raw_actions(split("AAA", day, 2.0)), raw_actions(split("AAA", day, 20.0))
    later = right.with_columns(pl.lit(KNOWN_AT + timedelta(days=1)).alias("known_at"))
    restated = lake_of(tmp_path / "restated", actions=pl.concat((wrong, later)))
    clean = lake_of(tmp_path / "clean", actions=right)
    assert_frame_equal(
        features_of(restated, SESSIONS[80]), features_of(clean, SESSIONS[80]), check_exact=True
    )


@pytest.mark.parametrize("table", ["clean_bars", "corporate_actions"])
def test_a_session_missing_from_the_look_back_is_an_error_and_nothing_is_stored(
    tmp_path: Path, table: str
) -> None:
    lake = Lake(tmp_path)
    frames = {"clean_bars": BARS, "corporate_actions": raw_actions(ACTIONS)}
    for name, frame in frames.items():
        held = SESSIONS[21:] if name == table else SESSIONS
        lake.write(name, frame.filter(pl.col("session").is_in(held)), held)
    with pytest.raises(MissingDataError, match=f"{table} from .*the first {SESSIONS[20]}"):
        features_of(lake, SESSIONS[20 + LOOK_BACK])
    assert lake.held("features", SESSIONS[0], SESSIONS[-1]) == set()
    assert features_of(lake, SESSIONS[21 + LOOK_BACK]).height == 3


def test_sessions_far_apart_need_their_own_look_backs_only(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    much_later = sessions_from(date(2014, 1, 2), 61)
    bars = random_bars(SYMBOLS, much_later)
    lake.write("clean_bars", bars, much_later)
    lake.write("corporate_actions", raw_actions(actions_of()), much_later)
    both = features_of(lake, SESSIONS[60], much_later[60])
    assert both["session"].unique().sort().to_list() == [SESSIONS[60], much_later[60]]
    alone = features_of(lake, much_later[60])
    assert_frame_equal(both.tail(3), alone, check_exact=True)


def test_no_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No session"):
        features_of(Lake(tmp_path))


def test_a_session_without_any_bar_is_held_as_empty(tmp_path: Path) -> None:
    session = SESSIONS[70]
    lake = lake_of(tmp_path, BARS.filter(pl.col("session") != session))
    assert features_of(lake, session).is_empty()
    assert lake.held("features", session, session) == {session}


def test_one_log_line_tells_what_was_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lake = lake_of(tmp_path)
    with caplog.at_level(logging.INFO, logger="trading_pipeline.flows.featurize"):
        features_of(lake, SESSIONS[80], SESSIONS[81])
    (record,) = caplog.records
    assert record.getMessage() == "features written"
    assert (record.__dict__["rows"], record.__dict__["sessions"]) == (6, 2)


def test_a_suspect_bar_is_history_and_has_no_features_of_its_own(tmp_path: Path) -> None:
    day, lake = SESSIONS[80], lake_of(tmp_path / "suspect")
    bar = BARS.filter(session=day, symbol="AAA")
    aside = bar.with_columns(reason=pl.lit("suspect_move_0.52"))
    lake.write("quarantined_bars", aside, [day])
    assert "AAA" not in features_of(lake, day)["symbol"]
    assert_frame_equal(
        features_of(lake, SESSIONS[81]),
        features_of(lake_of(tmp_path / "sound"), SESSIONS[81]),
        check_exact=True,
    )


def test_what_is_not_credible_is_not_adjusted_by(tmp_path: Path) -> None:
    day = SESSIONS[75]
    announced = raw_actions(split("AAA", day, 7.0))
    lake = lake_of(tmp_path / "announced", actions=announced)
    nothing = lake_of(tmp_path / "nothing", actions=announced.clear())
    expected = features_of(nothing, SESSIONS[80])
    assert not features_of(lake, SESSIONS[80]).equals(expected)
    check = announced.select(
        "symbol", "session", "ex_date", "kind", announced=pl.lit(7.0), moved=pl.lit(1.0)
    ).with_columns(verdict=pl.lit("contradicted"))
    lake.write("action_checks", check, [day])
    assert_frame_equal(features_of(lake, SESSIONS[80]), expected, check_exact=True)


def test_features_as_known_then_do_not_know_what_was_said_later(tmp_path: Path) -> None:
    day = SESSIONS[75]
    right, wrong = raw_actions(split("AAA", day, 2.0)), raw_actions(split("AAA", day, 20.0))
    later = right.with_columns(pl.lit(KNOWN_AT + timedelta(days=1)).alias("known_at"))
    restated = lake_of(tmp_path / "restated", actions=pl.concat((wrong, later)))
    then = featurize(
        restated,
        sessions=[SESSIONS[80]],
        symbols=SYMBOLS,
        convention="crsp",
        as_known_at=KNOWN_AT,
    )
    before = lake_of(tmp_path / "before", actions=wrong)
    assert_frame_equal(then, features_of(before, SESSIONS[80]), check_exact=True)
