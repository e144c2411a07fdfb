"""What people say of bars, and its effect on the day."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.quarantine import Word, listing, record, say
from trading_pipeline_tests.factories import FrameVendor, bars_of, sessions_from, with_close

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
DAYS = sessions_from(count=4)
CLOSES = {"AAA": [100.0, 100.0, 48.0, 99.0], "BBB": [5.0] * 4}
RULES = GateRules(quality=QualityRules(), freshness=FreshnessRules(), convention="crsp")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three sessions, in the last of which AAA is suspect."""
    lake = Lake(tmp_path / "lake")
    cleaned(lake, 3)
    return lake


def cleaned(lake: Lake, count: int) -> None:
    vendor = FrameVendor(bars_of(CLOSES))
    ask = {"symbols": list(CLOSES), "sessions": DAYS[:count]}
    for ingest in (ingest_bars, ingest_actions):
        ingest(lake, vendor, now=NOW, **ask)
    clean(lake, rules=RULES, **ask)


def word(verdict: Literal["released", "rejected"], *, hours: int = 0, by: str = "ann") -> Word:
    return Word(verdict=verdict, by=by, reason="seen on tape", at=NOW + timedelta(hours=hours))


def listed(lake: Lake) -> list[tuple[object, ...]]:
    rows = listing(lake, DAYS[0], DAYS[-1])
    return rows.select("symbol", "session", "reason", "verdict", "decided_by").rows()


def test_a_suspect_is_listed_until_its_next_bar_settles_it(lake: Lake) -> None:
    assert listed(lake) == [("AAA", DAYS[2], "suspect_move_0.52", None, None)]
    cleaned(lake, 4)
    assert listed(lake) == [
        ("AAA", DAYS[2], "suspect_move_0.52; reverted", "reverted", "rule"),
    ]


def test_a_released_bar_is_traded_once_its_session_is_cleaned_again(lake: Lake) -> None:
    say(lake, "AAA", DAYS[2], word("released"))
    cleaned(lake, 3)
    assert lake.read("quarantined_bars", DAYS[2], DAYS[2]).is_empty()
    assert listed(lake) == [("AAA", DAYS[2], None, "released", "ann")]
    cleaned(lake, 4)
    assert lake.read("clean_bars", DAYS[2], DAYS[2])["symbol"].to_list() == ["AAA", "BBB"]


def test_a_rejected_bar_leaves_the_history_and_may_come_back(lake: Lake) -> None:
    say(lake, "AAA", DAYS[2], word("rejected"))
    cleaned(lake, 3)
    assert lake.read("clean_bars", DAYS[2], DAYS[2])["symbol"].to_list() == ["BBB"]
    say(lake, "AAA", DAYS[2], word("released", hours=1, by="bob"))
    cleaned(lake, 3)
    assert lake.read("clean_bars", DAYS[2], DAYS[2])["symbol"].to_list() == ["AAA", "BBB"]
    kept = lake.read("bar_verdicts", DAYS[2], DAYS[2])
    assert kept.select("verdict", "decided_by", "reason").rows() == [
        ("rejected", "ann", "seen on tape"),
        ("released", "bob", "seen on tape"),
    ]


def test_the_same_word_twice_is_kept_once(lake: Lake) -> None:
    for hours in (0, 0, 5):
        say(lake, "AAA", DAYS[2], word("released", hours=hours))
    assert lake.read("bar_verdicts", DAYS[2], DAYS[2]).height == 1
    assert record(lake, lake.read("bar_verdicts", DAYS[2], DAYS[2])).is_empty()


def test_a_bar_that_does_not_exist_cannot_be_judged(lake: Lake) -> None:
    with pytest.raises(SettingsError, match=f"ZZZ has no bar of {DAYS[1]}"):
        say(lake, "ZZZ", DAYS[1], word("released"))
    with pytest.raises(SettingsError, match=r"\(Saturday\) is no session"):
        say(lake, "AAA", DAYS[3] + timedelta(days=1), word("released"))
    assert not (lake.root / "bar_verdicts").exists()


def test_a_faulty_bar_cannot_be_released(lake: Lake) -> None:
    vendor = FrameVendor(with_close(bars_of(CLOSES), "BBB", DAYS[3], -1.0))
    ask = {"symbols": list(CLOSES), "sessions": DAYS}
    for ingest in (ingest_bars, ingest_actions):
        ingest(lake, vendor, now=NOW, **ask)
    clean(lake, rules=RULES, **ask)
    with pytest.raises(
        SettingsError, match=r"BBB .* is faulty \(non_positive_price.*\), not suspect"
    ):
        say(lake, "BBB", DAYS[3], word("released"))


@pytest.mark.parametrize(
    "unsigned",
    [
        Word(verdict="released", by=" ", reason="why", at=NOW),
        Word(verdict="released", by="rule", reason="why", at=NOW),
        Word(verdict="released", by="ann", reason="", at=NOW),
        Word(verdict="released", by="ann", reason="why", at=NOW.replace(tzinfo=None)),
    ],
)
def test_a_word_is_signed_reasoned_and_dated(lake: Lake, unsigned: Word) -> None:
    with pytest.raises(SettingsError, match=r"a person and a reason|no time zone"):
        say(lake, "AAA", DAYS[2], unsigned)
    assert not (lake.root / "bar_verdicts").exists()


def test_nothing_said_writes_nothing(lake: Lake) -> None:
    assert record(lake, pl.DataFrame(schema=lake.read("bar_verdicts", *DAYS[:2]).schema)).is_empty()
    assert not (lake.root / "bar_verdicts").exists()
