"""The files that set up, check and deploy the project do what they say."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

STORES = {"postgres", "redis"}
DAGSTER = {"webserver", "daemon", "worker"}
OURS = {"mlflow", "init", "stream", "metrics", *DAGSTER}
WATCHERS = {"prometheus", "alertmanager", "grafana", "loki", "alloy"}
OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "ARGS", "PYTHON"}
"""Variables that a make around these tests would hand to the makes inside them."""
TUNED = ("DAGSTER_EVENT_BATCH_SIZE", "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS")


def run(
    *command: str | Path, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env=inherited | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """docker-compose.yml as the real compose binary reads it, every profile on."""
    shown = run(BIN / "docker-compose", "--profile", "*", "config")
    assert shown.returncode == 0, shown.stderr
    return yaml.safe_load(shown.stdout)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the Makefile and what it depends on, and no environment yet."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def fake_python(folder: Path, *, fails_on: str) -> Path:
    """A python that ends with 1 for a `-c` program holding the word, and with 0 for any other."""
    path = folder / "fake-python"
    path.write_text(f'#!/bin/sh\ncase "$*" in *"{fails_on}"*) exit 1;; esac\nexit 0\n')
    path.chmod(0o755)
    return path


def test_the_real_compose_accepts_the_file() -> None:
    checked = run(BIN / "docker-compose", "config", "--quiet")

    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_service_is_watched_restarted_and_pinned(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == STORES | OURS | WATCHERS
    for name, service in compose["services"].items():
        ends = name == "init"
        assert ends or service["healthcheck"]["test"], name
        assert service["restart"] == ("no" if ends else "unless-stopped"), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert re.fullmatch(r"[\w/.-]+:v?\d[\w.-]*", service["image"]), name


def test_the_stream_is_started_with_the_rest_and_waits_rather_than_ends() -> None:
    shown = yaml.safe_load(run(BIN / "docker-compose", "config").stdout)

    assert shown["services"]["stream"]["command"] == ["trading-pipeline", "stream", "--stand-by"]


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    published = {
        name: [(port["host_ip"], port["published"]) for port in service.get("ports", [])]
        for name, service in compose["services"].items()
    }

    assert published["webserver"] == [("127.0.0.1", "3000")]
    assert published["mlflow"] == [("127.0.0.1", "5000")]
    assert not any(ports for name, ports in published.items() if name in STORES)
    assert {ip for ports in published.values() for ip, _ in ports} == {"127.0.0.1"}


def test_the_stores_are_reachable_from_inside_only(compose: dict[str, Any]) -> None:
    assert compose["networks"]["stores"]["internal"] is True
    assert all(list(compose["services"][store]["networks"]) == ["stores"] for store in STORES)


def test_what_must_survive_lies_in_volumes(compose: dict[str, Any]) -> None:
    kept = {
        (name, mount["source"], mount["target"])
        for name, service in compose["services"].items()
        for mount in service.get("volumes", [])
    }

    assert ("postgres", "postgres", "/var/lib/postgresql") in kept
    assert ("redis", "redis", "/data") in kept
    assert {name for name, source, _ in kept if source == "data"} == OURS


def test_everything_waits_for_the_tables(compose: dict[str, Any]) -> None:
    waits = {name: service.get("depends_on", {}) for name, service in compose["services"].items()}

    for name in OURS - {"mlflow", "init"}:
        assert waits[name]["init"]["condition"] == "service_completed_successfully", name
    assert {name: on["condition"] for name, on in waits["init"].items()} == dict.fromkeys(
        ["postgres", "redis", "mlflow"], "service_healthy"
    )


def test_every_dagster_process_has_the_same_tuned_environment(compose: dict[str, Any]) -> None:
    webserver, *others = [compose["services"][name] for name in sorted(DAGSTER, reverse=True)]

    assert all(webserver["environment"][name] for name in TUNED)
    for other in others:
        assert other["environment"] == webserver["environment"]
        assert other["secrets"] == webserver["secrets"]


def test_no_password_stands_in_the_environment_or_on_a_command_line(
    compose: dict[str, Any],
) -> None:
    for name, service in compose["services"].items():
        said = yaml.safe_dump([service.get("environment"), service.get("command")])
        assert not re.search(r"://[^/@\s]*:[^/@\s]+@", said), name
        assert not re.search(r"(?i)password(?!_file)\w*: (?!/run/secrets/)\S", said), name


def test_the_secrets_are_made_once_and_fit_together(tmp_path: Path) -> None:
    script = ROOT / "docs/deploy/secrets.sh"
    assert run("sh", script, "kept", cwd=tmp_path).returncode == 0
    kept = tmp_path / "kept"
    first = {path.name: path.read_text() for path in kept.iterdir()}
    (kept / "slack_webhook_url").write_text("https://hooks.example/1")
    (kept / "postgres_password").write_text("mine")
    assert run("sh", script, "kept", cwd=tmp_path).returncode == 0
    again = {path.name: path.read_text() for path in kept.iterdir()}

    assert again == first | {
        "slack_webhook_url": "https://hooks.example/1",
        "postgres_password": "mine",
    }
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert all(path.stat().st_mode & stat.S_IROTH for path in kept.iterdir())
    assert re.fullmatch(r"[0-9a-f]{48}", first["web_password"])
    said = dotenv_values(kept / "settings.env")
    assert said["TP_LEDGER_URL"] == (
        f"postgresql://trading:{first['postgres_password']}@postgres:5432/ledger"
    )
    assert said["TP_REDIS_URL"] == f"redis://:{first['redis_password']}@redis:6379/0"


def test_every_secret_that_is_mounted_is_made(compose: dict[str, Any], tmp_path: Path) -> None:
    run("sh", ROOT / "docs/deploy/secrets.sh", "kept", cwd=tmp_path)
    named = {Path(each["file"]).name for each in compose["secrets"].values()}

    assert named == {path.name for path in (tmp_path / "kept").iterdir()}


def test_settings_that_are_secret_lie_where_each_command_looks(compose: dict[str, Any]) -> None:
    """A health check and `exec` have the environment of the container, not that of its service."""
    for name in OURS - {"mlflow"}:
        service = compose["services"][name]
        assert {"source": "settings", "target": "/app/.env"} in service["secrets"], name
        assert "entrypoint" not in service, name
    assert "WORKDIR /app" in (ROOT / "Dockerfile").read_text().splitlines()


def test_mlflow_gets_its_password_from_a_file(compose: dict[str, Any], tmp_path: Path) -> None:
    shell, flags, script, marker = compose["services"]["mlflow"]["entrypoint"]
    script = script.replace("$$", "$").replace("/run/secrets", str(tmp_path))
    assert run(shell, flags, script, marker, "true").returncode != 0
    (tmp_path / "postgres_password").write_text("first\n")

    assert "PGPASSWORD=first" in run(shell, flags, script, marker, "env").stdout.splitlines()


def test_the_password_of_redis_goes_in_by_its_standard_input(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "redis_password").write_text("second\n")
    server = tmp_path / "docker-entrypoint.sh"
    server.write_text('#!/bin/sh\necho "arguments: $*"\ncat\n')
    server.chmod(0o755)
    shell, flags, script = compose["services"]["redis"]["entrypoint"]
    script = script.replace("$$", "$").replace("/run/secrets", str(tmp_path))

    said = run(shell, flags, script, PATH=f"{tmp_path}:{os.environ['PATH']}").stdout.splitlines()

    assert said[0] == "arguments: valkey-server -"
    assert "requirepass second" in said


def test_the_image_runs_without_rights_from_hashed_packages() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")}

    assert users == ["10001:10001"]
    assert all(re.fullmatch(r"python:3\.1[1-3]-slim-\w+", base) for base in bases)
    assert any("--require-hashes --constraint requirements.lock" in line for line in lines)
    assert any(line.split()[-2:] == ["scale", "\\"] for line in lines), "with workers"


def test_the_image_has_the_same_uv_as_the_makefile() -> None:
    pinned = re.findall(r"uv==([\d.]+)", (ROOT / "Dockerfile").read_text())

    assert pinned == re.findall(r"(?m)^UV_PIN *:= *([\d.]+)$", (ROOT / "Makefile").read_text())


def test_help_names_every_target_a_person_calls() -> None:
    named = re.findall(r"(?m)^  make ([\w-]+)", run("make", "help").stdout)

    assert named == [
        *("help", "setup", "paper-run", "status", "ui"),
        *("test", "coverage", "soak", "bench", "browser", "check", "fix", "site", "audit", "lock"),
    ]


def test_a_machine_without_a_python_of_the_right_age_is_told_so(checkout: Path) -> None:
    old = fake_python(checkout, fails_on="version_info")

    setup = run("make", "setup", f"PYTHON={old}", cwd=checkout)

    assert setup.returncode != 0
    assert f"CPython 3.11, 3.12 or 3.13 is needed, and {old} is not one" in setup.stderr
    assert not (checkout / ".venv").exists()


def test_a_machine_without_the_venv_module_is_told_how_to_get_it(checkout: Path) -> None:
    bare = fake_python(checkout, fails_on="ensurepip")

    setup = run("make", "setup", f"PYTHON={bare}", cwd=checkout)

    assert setup.returncode != 0
    assert "has no venv module" in setup.stderr
    assert "python3-venv" in setup.stderr
    assert not (checkout / ".venv").exists()


@pytest.fixture
def ready(checkout: Path) -> Iterator[Path]:
    """A checkout whose environment is set up, as far as make can tell."""
    folder = checkout / ".venv/bin"
    folder.mkdir(parents=True)
    for name in ("python", "uv"):
        (folder / name).symlink_to("/bin/true")
    (checkout / ".venv/.ready").touch()
    return checkout


def would_sync(folder: Path) -> bool:
    return "pip sync" in run("make", "--dry-run", "setup", cwd=folder).stdout


def test_setting_up_twice_does_nothing_the_second_time(ready: Path) -> None:
    assert not would_sync(ready)


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed_again(ready: Path, name: str) -> None:
    stamp = (ready / ".venv/.ready").stat().st_mtime
    os.utime(ready / name, (stamp + 10, stamp + 10))

    assert would_sync(ready)


def test_an_interpreter_that_is_gone_means_setting_up_again(ready: Path) -> None:
    (ready / ".venv/bin/python").unlink()
    (ready / ".venv/bin/python").symlink_to("/nowhere/python3")

    assert would_sync(ready)


def test_arguments_and_the_home_reach_the_command(ready: Path) -> None:
    (ready / ".venv/bin/trading-pipeline").write_text('#!/bin/sh\necho "$DAGSTER_HOME: $*"\n')
    (ready / ".venv/bin/trading-pipeline").chmod(0o755)

    said = run("make", "paper-run", "ARGS=--dry-run --top-n 1", cwd=ready).stdout

    assert said == f"{ready}: paper-run --dry-run --top-n 1\n"


def test_the_ui_listens_on_this_machine_only() -> None:
    assert "--host 127.0.0.1" in run("make", "--dry-run", "ui").stdout


def test_the_commit_hooks_are_valid_and_local() -> None:
    checked = run(BIN / "pre-commit", "validate-config")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())

    assert checked.returncode == 0, checked.stderr
    assert [source["repo"] for source in hooks["repos"]] == ["local"]


def test_dagster_loads_the_package_by_either_of_its_files() -> None:
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]

    assert location["python_module"] == {
        "module_name": "trading_pipeline.definitions",
        "location_name": "trading_pipeline",
    }
    assert 'module_name = "trading_pipeline.definitions"' in (ROOT / "pyproject.toml").read_text()
