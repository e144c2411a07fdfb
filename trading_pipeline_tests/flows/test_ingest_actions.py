"""Corporate actions as they are announced, moved and taken back."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.restatements import known_actions
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.ingest import ingest_actions
from trading_pipeline_tests.factories import (
    actions_of,
    dividend,
    random_bars,
    split,
)
from trading_pipeline_tests.flows.market_days import (
    LATER,
    NOW,
    SESSIONS,
    SYMBOLS,
    files,
    frames,
    whole,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_dividend_on_a_closed_day_belongs_to_the_next_session(lake: Lake) -> None:
    # KO went ex on 2001-09-12; the exchange was closed from the 11th to the 14th.
    reopened = date(2001, 9, 17)
    vendor = frames(
        held=random_bars(["KO"], [date(2001, 9, 10), reopened]),
        actions=actions_of(dividend("KO", date(2001, 9, 12), 0.18)),
    )
    ask = {"symbols": ["KO"], "now": NOW}
    before = ingest_actions(lake, vendor, sessions=[date(2001, 9, 10)], **ask)
    done = ingest_actions(lake, vendor, sessions=[reopened], **ask)
    after = ingest_actions(lake, vendor, sessions=[date(2001, 9, 18)], **ask)
    assert (before.rows.height, done.rows.height, after.rows.height) == (0, 1, 0)
    stored = lake.read("corporate_actions", reopened, reopened)
    assert stored.select("session", "ex_date", "dividend").row(0) == (
        reopened,
        date(2001, 9, 12),
        0.18,
    )


def test_a_restated_dividend_is_kept_and_reported(lake: Lake) -> None:
    day = SESSIONS[5]
    first = frames(actions=actions_of(dividend("AAA", day, 0.5), split("AAA", day, 2.0)))
    second = frames(actions=actions_of(dividend("AAA", day, 0.6), split("AAA", day, 2.0)))
    for vendor, now in ((first, NOW), (second, LATER)):
        done = ingest_actions(lake, vendor, symbols=SYMBOLS, sessions=SESSIONS, now=now)
    assert done.restated.select("symbol", "kind", "column", "old", "new").rows() == [
        ("AAA", "dividend", "dividend", 0.5, 0.6)
    ]
    assert whole(lake, "corporate_actions").height == 3


def acted(lake: Lake, *announced: pl.DataFrame, now: datetime = NOW, **more: Any) -> pl.DataFrame:
    """Ingest what was announced, and return what is known after it."""
    vendor = frames(actions=actions_of(*announced))
    ingest_actions(lake, vendor, symbols=SYMBOLS, sessions=SESSIONS, now=now, **more)
    return known_actions(whole(lake, "corporate_actions"))


def test_an_ex_date_that_a_vendor_moves_takes_the_old_one_back(lake: Lake) -> None:
    before, after = dividend("AAA", SESSIONS[5], 0.5), dividend("AAA", SESSIONS[6], 0.5)
    kept = split("BBB", SESSIONS[5], 2.0)
    assert acted(lake, before, kept)["ex_date"].to_list() == [SESSIONS[5]] * 2
    known = acted(lake, after, kept, now=LATER)
    assert known.select("symbol", "ex_date").rows() == [
        ("AAA", SESSIONS[6]),
        ("BBB", SESSIONS[5]),
    ]
    then = known_actions(whole(lake, "corporate_actions"), NOW)
    assert then.select("symbol", "ex_date").rows() == [("AAA", SESSIONS[5]), ("BBB", SESSIONS[5])]
    held = files(lake)
    assert acted(lake, after, kept, now=LATER + timedelta(days=1)).equals(known)
    assert files(lake) == held
    back = acted(lake, before, kept, now=LATER + timedelta(days=2))
    assert back.filter(symbol="AAA")["ex_date"].to_list() == [SESSIONS[5]]


def test_a_delivery_that_is_not_complete_takes_nothing_back(lake: Lake) -> None:
    acted(lake, dividend("AAA", SESSIONS[5], 0.5))
    known = acted(lake, dividend("BBB", SESSIONS[6], 0.5), now=LATER, complete=False)
    assert known["symbol"].to_list() == ["AAA", "BBB"]


def test_another_vendors_actions_and_other_sessions_are_not_taken_back(lake: Lake) -> None:
    acted(lake, dividend("AAA", SESSIONS[5], 0.5), dividend("AAA", SESSIONS[50], 0.5))
    ask = {"symbols": SYMBOLS, "now": LATER}
    ingest_actions(lake, frames(name="other"), sessions=SESSIONS, **ask)
    ingest_actions(lake, frames(), sessions=SESSIONS[:10], **ask)
    known = known_actions(whole(lake, "corporate_actions"))
    assert known["ex_date"].to_list() == [SESSIONS[50]]


def test_an_empty_answer_is_not_taken_for_the_truth(lake: Lake) -> None:
    announced = [dividend("AAA", day, 0.5) for day in SESSIONS[:4]]
    known = acted(lake, *announced)
    with pytest.raises(MissingDataError, match=r"frames no longer has 4 actions .* not complete"):
        acted(lake, now=LATER)
    assert known_actions(whole(lake, "corporate_actions")).equals(known)
