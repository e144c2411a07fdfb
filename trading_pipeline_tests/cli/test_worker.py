"""The command that executes runs of the queue; the runs are in `defs/test_run_workers.py`."""

import pytest

from trading_pipeline.cli import run


def test_a_worker_needs_a_queue(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker"]) == 3
    assert "A worker needs TP_CELERY_URL" in capsys.readouterr().err


def test_nobody_answers_where_no_worker_runs(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TP_CELERY_URL", redis_url)

    assert run(["worker", "--ping"]) == 1
    assert "none answers on this machine" in capsys.readouterr().out


def test_a_queue_that_is_down_is_said_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TP_CELERY_URL", "redis://:planted-secret@127.0.0.1:1/1")

    assert run(["worker", "--ping"]) == 1
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "planted-secret" not in said
