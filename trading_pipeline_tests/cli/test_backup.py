"""Back-up and restore as commands."""

import json
from pathlib import Path

import pytest

from trading_pipeline.cli import run


@pytest.fixture(autouse=True)
def _home(first_day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(first_day))
    monkeypatch.chdir(tmp_path)


def test_a_back_up_is_made_checked_and_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    assert run(["backup", str(kept), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert run(["restore", str(kept), "--check"]) == 0
    assert f"Lake: {sum(name.startswith('lake/') for name in manifest['files'])} files" in (
        capsys.readouterr().out
    )

    monkeypatch.setenv("TP_DATA_DIR", str(tmp_path / "data"))
    assert run(["restore", str(kept)]) == 0
    assert run(["restore", str(kept)]) == 3
    assert "nothing is overwritten" in capsys.readouterr().err
    assert run(["backup", str(tmp_path / "again"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {name: digest for name, digest in again["files"].items() if "account" not in name} == {
        name: digest for name, digest in manifest["files"].items() if "account" not in name
    }


def test_without_a_ledger_there_is_nothing_to_back_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_DATA_DIR", str(tmp_path / "data"))
    assert run(["backup", str(tmp_path / "kept")]) == 2
    assert "There is no ledger" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
