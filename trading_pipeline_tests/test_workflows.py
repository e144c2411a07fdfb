"""Continuous integration runs what a person runs; what it deploys trades on paper."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = {path.stem: path for path in (ROOT / ".github/workflows").glob("*.yml")}


def read(name: str) -> dict[Any, Any]:
    return yaml.safe_load(WORKFLOWS[name].read_text())


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_job_ends_some_day_and_may_no_more_than_it_needs(name: str) -> None:
    workflow = read(name)

    assert workflow["permissions"]["contents"] in {"read", "write" if name == "release" else "read"}
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 120
        assert all(re.search(r"@v\d+$", step["uses"]) for step in job["steps"] if "uses" in step)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_target_and_every_script_that_is_called_exists(name: str) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    for job in read(name)["jobs"].values():
        for said in commands(job):
            assert set(re.findall(r"\bmake ([a-z-]+)", said)) <= targets
            assert all(
                (ROOT / path).is_file() for path in re.findall(r"(?:ba)?sh (\S+\.?\w+)", said)
            )


def test_the_tests_of_a_change_and_of_a_release_are_those_of_a_person() -> None:
    change, release = read("ci")["jobs"]["check-and-test"], read("release")["jobs"]["release"]

    assert change["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert commands(change) == ["bash .ci/run"]
    assert commands(release)[0] == "bash .ci/run"
    assert "make --keep-going check test" in (ROOT / ".ci/run").read_text()
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_screenshots_are_kept_whatever_the_browser_found() -> None:
    steps = read("ci")["jobs"]["browser"]["steps"]

    assert steps[-2]["run"].startswith("make browser")
    assert steps[-1]["if"] == "always()"
    assert f"screenshots in {steps[-1]['with']['path']}" in (ROOT / "Makefile").read_text()


def test_the_image_is_checked_before_it_is_built_and_built_before_it_is_deployed() -> None:
    jobs = read("image")["jobs"]

    assert (jobs["build"]["needs"], jobs["staging"]["needs"]) == ("check", "build")
    said = "\n".join(commands(jobs["check"]))
    assert "compose" in said
    assert "promtool" in said
    judged = (ROOT / "Makefile").read_text().split("\ndeployment:")[1].split("\n\n")[0]
    assert all(tool in judged for tool in ("hadolint Dockerfile", "actionlint", "shellcheck"))


def test_staging_makes_sure_of_paper_before_it_starts_anything() -> None:
    said = commands(read("image")["jobs"]["staging"])
    asked = next(i for i, command in enumerate(said) if "only-paper.sh" in command)
    begun = next(i for i, command in enumerate(said) if "compose" in command)

    assert asked < begun


PAPER = ["", "TP_BROKER=alpaca-paper\nAPCA_API_KEY_ID=PKTEST", "TP_BROKER=simulated", "# AK=AK"]
LIVE = [
    "TP_BROKER=alpaca-live",
    'export TP_BROKER="alpaca-live"',
    "tp_broker=alpaca-live",
    "TP_ALPACA__CONFIRM_LIVE=true",
    "TP_ALPACA__CONFIRM_LIVE='1'",
    "APCA_API_KEY_ID=AKREAL",
    'TP_ALPACA__KEY_ID="AKREAL"',
]


@pytest.mark.parametrize(("text", "code"), [*((t, 0) for t in PAPER), *((t, 1) for t in LIVE)])
def test_settings_that_could_trade_real_money_are_told_from_others(
    tmp_path: Path, text: str, code: int
) -> None:
    (tmp_path / "settings.env").write_text(f"TP_LEDGER_URL=x\n{text}\n")
    words = ["sh", ROOT / "docs/deploy/only-paper.sh", tmp_path / "settings.env"]

    judged = subprocess.run(words, capture_output=True, text=True, check=False)

    assert judged.returncode == code, judged.stderr
    assert "REAL" not in judged.stderr


def test_a_release_takes_its_notes_from_its_own_section(tmp_path: Path) -> None:
    notes = next(c for c in commands(read("release")["jobs"]["release"]) if "CHANGELOG" in c)
    old = "## Unreleased\n\n- later\n\n"
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n{old}## 1.2.0\n\n- it\n\n## 1.1.0\n- no\n"
    )

    def made(tag: str) -> int:
        environment = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
        words = ["sh", "-ec", notes]
        return subprocess.run(words, cwd=tmp_path, env=environment, check=False).returncode

    assert made("v1.2.0") == 0
    assert (tmp_path / "notes.md").read_text().split() == ["-", "it"]
    assert made("v9.9.9") != 0, "a version that the changelog does not know is not released"
