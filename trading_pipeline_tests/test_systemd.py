"""The units for systemd are sound, start what compose starts, and may do little."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_pipeline.cli import app
from trading_pipeline_tests.test_deployment import ROOT, run

UNITS = sorted((ROOT / "docs/deploy/systemd").glob("trading-pipeline-*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

DAGSTER = {
    key: value
    for key, value in COMPOSE["webserver"]["environment"].items()
    if key.startswith("DAGSTER_")
}


def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


def test_the_units_are_sound_and_give_no_rights(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text()
        if unit.suffix == ".service":
            assert "\nUser=trading\n" in text
            assert "\nNoNewPrivileges=yes\n" in text
            assert not re.search(r"(?i)(password|secret|token)=", text)
        found = text.replace("/opt/trading-pipeline/.venv/bin", str(Path(sys.executable).parent))
        (tmp_path / unit.name).write_text(found)

    said = run(analyze(), "verify", "--man=no", *(tmp_path / unit.name for unit in UNITS))

    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize(
    "unit", SERVICES, ids=lambda unit: unit.stem.removeprefix("trading-pipeline-")
)
def test_a_unit_may_do_no_more_than_it_needs(unit: Path) -> None:
    text, name = unit.read_text(), unit.stem.removeprefix("trading-pipeline-")
    assert ("ExecStartPre=/opt/trading-pipeline/.venv/bin/trading-pipeline init" in text) == (
        name != "backup"
    ), "the tables are there before it starts"
    judged = run(analyze(), "security", "--offline=true", "--no-pager", "--threshold=20", unit)

    assert judged.returncode == 0, judged.stdout.splitlines()[-1]


def test_a_unit_starts_what_compose_starts() -> None:
    service = {"ui": "webserver"}
    for unit in SERVICES:
        name = unit.stem.removeprefix("trading-pipeline-")
        (started,) = re.findall(r"(?m)^ExecStart=(?:.*?/bin/)?(?!sh)(\S+ \S+)", unit.read_text())
        if name != "backup":
            command = COMPOSE[service.get(name, name)]["command"]
            assert started == " ".join(command[:2]), name
            for key, value in DAGSTER.items():
                assert f"{key}={value}" in unit.read_text(), name


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_there_is(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    names = set(re.findall(r"bin/trading-pipeline (\w+)", line))

    assert names <= set(app), line
    assert names or "dagster-daemon" in line
