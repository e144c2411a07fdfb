"""What a second vendor's bar makes of a suspect one."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from trading_pipeline.adapters.file_data import FileData
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.verdicts import suspended
from trading_pipeline.defs.resources import second_vendor
from trading_pipeline.errors import SettingsError, TransientError
from trading_pipeline.flows.clean import Cleaned, clean
from trading_pipeline.flows.confirm import SecondVendor
from trading_pipeline.flows.ingest import ingest_bars
from trading_pipeline.flows.quarantine import Word, listing, say
from trading_pipeline.settings import Settings
from trading_pipeline_tests.factories import FrameVendor, bars_of, sessions_from, with_close
from trading_pipeline_tests.flows.market_days import LATER, NOW, RULES, both

DAYS = sessions_from(count=4)
CRASH = DAYS[2]
BARS = bars_of({"AAA": [100.0, 100.0, 48.0, 99.0], "BBB": [5.0] * 4})
NAMES = ("AAA", "BBB")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three sessions, in the last of which AAA is suspect."""
    lake = Lake(tmp_path / "lake")
    both(lake, FrameVendor(BARS), DAYS[:3], symbols=NAMES)
    return lake


def files(folder: Path, close: float, *, symbol: str = "AAA") -> SecondVendor:
    """The vendor `files` with a CSV that has this close of the suspect bar."""
    folder.mkdir(exist_ok=True)
    rows = [
        f"{symbol},{day},{price},{price},{price},{price},900"
        for day, price in ((DAYS[1], 100.0), (CRASH, close))
    ]
    (folder / "bars.csv").write_text(
        "\n".join(["symbol,date,open,high,low,close,volume", *rows]) + "\n"
    )
    return SecondVendor(vendor=FileData(folder), within=0.01, now=NOW)


def judged(lake: Lake, second: SecondVendor | None, *, days: list[date] = DAYS[2:3]) -> Cleaned:
    return clean(lake, symbols=NAMES, sessions=days, rules=RULES, second=second)


def listed(lake: Lake) -> list[tuple[object, ...]]:
    found = listing(lake, DAYS[0], DAYS[-1])
    return found.select("symbol", "session", "reason", "verdict", "decided_by", "why").rows()


def test_a_bar_of_the_same_close_confirms_and_the_symbol_is_traded(
    lake: Lake, tmp_path: Path
) -> None:
    assert suspended(judged(lake, None).quarantined) == ["AAA"]
    done = judged(lake, files(tmp_path / "second", 48.3))
    assert done.quarantined.is_empty()
    assert done.clean["symbol"].to_list() == ["AAA", "BBB"]
    assert all(one.passed for one in done.outcomes[CRASH] if one.name == "quarantine")
    assert listed(lake) == [
        ("AAA", CRASH, None, "confirmed", "vendor files", "close 48.0 here, 48.3 there")
    ]
    assert done.second_words["known_at"].to_list() == [NOW]


def test_a_bar_of_another_close_leaves_it_suspect_and_its_next_bar_settles_it(
    lake: Lake, tmp_path: Path
) -> None:
    second = files(tmp_path / "second", 99.5)
    assert suspended(judged(lake, second).quarantined) == ["AAA"]
    assert listed(lake) == [
        (
            *("AAA", CRASH, "suspect_move_0.52", "contradicted", "vendor files"),
            "close 48.0 here, 99.5 there",
        ),
    ]
    both(lake, FrameVendor(BARS), DAYS, symbols=NAMES)
    judged(lake, second, days=DAYS[3:])
    reason, verdict, by = listed(lake)[0][2:5]
    assert (reason, verdict, by) == ("suspect_move_0.52; reverted", "reverted", "rule")


def test_what_two_vendors_saw_is_true_although_the_price_comes_back(
    lake: Lake, tmp_path: Path
) -> None:
    judged(lake, files(tmp_path / "second", 48.0))
    both(lake, FrameVendor(BARS), DAYS, symbols=NAMES)
    judged(lake, None, days=DAYS[2:])
    assert lake.read("clean_bars", CRASH, CRASH, symbols=["AAA"])["close"].to_list() == [48.0]
    words = lake.read("bar_verdicts", CRASH, CRASH).select("verdict", "decided_by").rows()
    assert sorted(words) == [("confirmed", "vendor files"), ("reverted", "rule")]


def test_a_person_goes_before_the_second_vendor(lake: Lake, tmp_path: Path) -> None:
    second = files(tmp_path / "second", 48.0)
    judged(lake, second)
    say(lake, "AAA", CRASH, Word(verdict="rejected", by="ann", reason="a bad print", at=LATER))
    assert judged(lake, second).clean["symbol"].to_list() == ["BBB"]
    with pytest.raises(SettingsError, match="the name of a person"):
        say(lake, "AAA", CRASH, Word(verdict="released", by="vendor x", reason="why", at=LATER))


@dataclass
class Dead(FrameVendor):
    """A vendor that does not answer."""

    def bars(self, symbols: object, first: date, last: date) -> pl.DataFrame:
        super().bars((), first, last)
        raise TransientError("No answer.")


@pytest.mark.parametrize(
    "vendor", [Dead(BARS, lists_symbols=False), FrameVendor(BARS.filter(symbol="BBB"))]
)
def test_a_second_vendor_without_an_answer_says_nothing_and_is_asked_again(
    lake: Lake, vendor: FrameVendor
) -> None:
    second = SecondVendor(vendor=vendor, within=0.01, now=NOW)
    for times in (1, 2):
        assert suspended(judged(lake, second).quarantined) == ["AAA"]
        assert vendor.asked == [(CRASH, CRASH)] * times
    assert lake.read("bar_verdicts", CRASH, CRASH).is_empty()


def test_who_has_answered_is_asked_again_only_about_a_restated_bar(lake: Lake) -> None:
    vendor = FrameVendor(BARS)
    for now in (NOW, LATER):
        judged(lake, SecondVendor(vendor=vendor, within=0.01, now=now))
    assert vendor.asked == [(CRASH, CRASH)]
    restated = with_close(BARS, "AAA", CRASH, 40.0)
    ingest_bars(lake, FrameVendor(restated), symbols=NAMES, sessions=DAYS[:3], now=LATER)
    later = LATER + timedelta(hours=1)
    done = judged(lake, SecondVendor(vendor=vendor, within=0.01, now=later))
    assert suspended(done.quarantined) == ["AAA"]
    assert listed(lake)[0][5] == "close 40.0 here, 48.0 there"


@pytest.mark.parametrize("verdict", ["released", "rejected"])
def test_what_was_said_of_a_close_does_not_speak_of_another_one(
    lake: Lake, verdict: Literal["released", "rejected"]
) -> None:
    judged(lake, SecondVendor(vendor=FrameVendor(BARS), within=0.01, now=NOW))
    say(lake, "AAA", CRASH, Word(verdict=verdict, by="ann", reason="seen on tape", at=NOW))
    more = BARS.with_columns(volume=pl.col("volume") + 1)
    other = with_close(BARS, "AAA", CRASH, 40.0)
    silent = SecondVendor(vendor=FrameVendor(BARS.clear()), within=0.01, now=LATER)
    for restated, at, still in ((more, LATER, True), (other, LATER + timedelta(hours=1), False)):
        ingest_bars(lake, FrameVendor(restated), symbols=NAMES, sessions=DAYS[:3], now=at)
        aside = judged(lake, silent).quarantined
        assert (suspended(aside) == []) is still


def test_a_session_as_known_before_the_second_vendor_spoke_is_still_suspect(
    lake: Lake,
) -> None:
    judged(lake, SecondVendor(vendor=FrameVendor(BARS), within=0.01, now=LATER))

    def at(moment: datetime) -> Cleaned:
        rules = replace(RULES, as_known_at=moment)
        return clean(lake, symbols=NAMES, sessions=[CRASH], rules=rules)

    assert suspended(at(NOW).quarantined) == ["AAA"]
    assert suspended(at(LATER).quarantined) == []


def test_the_second_vendor_is_another_one(tmp_path: Path) -> None:
    bars = {"path": str(tmp_path)}
    assert second_vendor(Settings()) is None
    second = second_vendor(Settings.load(second_vendor="files", second_files=bars))
    assert second is not None
    assert (second.vendor.name, second.within) == ("files", 0.01)
    with pytest.raises(SettingsError, match="The second vendor is the first one, sample"):
        second_vendor(Settings.load(second_vendor="sample"))
    with pytest.raises(SettingsError, match="the first one, files"):
        second_vendor(
            Settings.load(vendor="files", files=bars, second_vendor="files", second_files=bars)
        )
    with pytest.raises(SettingsError, match="TP_SECOND_FILES__PATH"):
        second_vendor(Settings.load(second_vendor="files"))
