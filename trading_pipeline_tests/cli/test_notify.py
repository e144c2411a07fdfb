"""A notice of one's own, over every channel that is set."""

from pathlib import Path

import pytest

from trading_pipeline.cli import run
from trading_pipeline_tests.receivers import receiving


def test_each_channel_says_whether_it_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with receiving() as receiver:
        monkeypatch.setenv("TP_ALERTS__SLACK_URL", f"{receiver.url}/slack")
        monkeypatch.setenv("TP_ALERTS__PAGERDUTY_KEY", "key")
        monkeypatch.setenv("TP_ALERTS__WEBHOOK_URL", "http://127.0.0.1:1/")
        assert run(["notify", "hello"]) == 1
        assert "hello" in receiver.bodies("/slack")[0]["text"]
    assert capsys.readouterr().out.splitlines() == [
        "pagerduty: does not take what is info",
        "slack: delivered",
        "webhook: webhook does not answer: ConnectError.",
    ]


def test_without_a_channel_it_says_how_to_set_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["notify"]) == 3
    assert "TP_ALERTS__SLACK_URL" in capsys.readouterr().err
