"""`trading-pipeline quarantine`: what is listed, and what a person's word does."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading_pipeline import cli
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline_tests.factories import FrameVendor, bars_of, sessions_from

DAYS = sessions_from(count=3)
CLOSES = {"AAA": [100.0, 100.0, 48.0], "BBB": [5.0] * 3}
RANGE = ["--first", str(DAYS[0]), "--last", str(DAYS[-1])]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    lake = Lake(tmp_path / "data" / "lake")
    ask = {"symbols": list(CLOSES), "sessions": DAYS}
    for ingest in (ingest_bars, ingest_actions):
        ingest(lake, FrameVendor(bars_of(CLOSES)), now=datetime(2026, 1, 2, tzinfo=UTC), **ask)
    rules = GateRules(quality=QualityRules(), freshness=FreshnessRules(), convention="crsp")
    clean(lake, rules=rules, **ask)
    return lake


def say(command: str, *more: str) -> int:
    return cli.run(["quarantine", command, "aaa", str(DAYS[2]), "--by", "ann", *more])


def test_the_list_says_what_is_set_aside_and_why(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["quarantine", "list", *RANGE]) == 0
    assert capsys.readouterr().out.startswith(f"Bar AAA {DAYS[2]}: symbol=AAA session={DAYS[2]}")
    assert cli.run(["quarantine", "list", *RANGE, "--json"]) == 0
    (bar,) = json.loads(capsys.readouterr().out)
    assert (bar["symbol"], bar["reason"], bar["verdict"]) == ("AAA", "suspect_move_0.52", None)


def test_an_empty_quarantine_is_said_to_be_empty(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["quarantine", "list", "--last", str(DAYS[1])]) == 0
    assert capsys.readouterr().out == "Quarantine: empty\n"


def test_a_release_takes_effect_at_once_and_is_signed(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("release", "--reason", "a profit warning") == 0
    assert "AAA of 2012-01-05: released by ann: a profit warning" in capsys.readouterr().out
    assert lake.read("quarantined_bars", DAYS[2], DAYS[2]).is_empty()
    said = lake.read("bar_verdicts", DAYS[2], DAYS[2])
    assert said.select("verdict", "decided_by", "reason").rows() == [
        ("released", "ann", "a profit warning")
    ]


def test_a_reject_takes_the_bar_out_of_the_history(lake: Lake) -> None:
    assert say("reject", "--reason", "a typo") == 0
    assert lake.read("clean_bars", DAYS[2], DAYS[2])["symbol"].to_list() == ["BBB"]


def test_a_word_without_a_reason_or_on_no_bar_is_refused(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("release") == 3
    assert "--reason" in capsys.readouterr().err
    assert cli.run(["quarantine", "release", "ZZZ", str(DAYS[2]), "--reason", "x"]) == 3
    assert f"ZZZ has no bar of {DAYS[2]}" in capsys.readouterr().err
