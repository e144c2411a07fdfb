"""A project folder in which whole days are run, as a person or a schedule would run them."""

import io
import json
import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path
from signal import SIGKILL
from typing import Any

from trading_pipeline.cli import run
from trading_pipeline.cli.console import Progress
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline_tests.forks import FORKS

FIRST = date(2012, 11, 1)
"""The session of the first day of a made folder; its orders fill on November 2."""

MONTH = sessions_between(FIRST, date(2012, 11, 30))[:20]
"""Twenty sessions in a row from there; a half day and a holiday are among them."""

SMALL_TRAINING = {
    "TP_TRAINING__TRAIN_SESSIONS": "252",
    "TP_TRAINING__VALID_SESSIONS": "42",
    "TP_TRAINING__TEST_SESSIONS": "21",
    "TP_TRAINING__FOLDS": "1",
    "TP_TRAINING__GBM__ROUNDS": "20",
}
_PROJECT = Path(__file__).parents[1]
_STATE = ("lake", "ledger.db", "simulated_broker.db", "models")
_QUICK_RECORDS = """
telemetry: {{enabled: false}}
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
storage:
  custom:
    module: trading_pipeline_tests.quick_records
    class: QuickRecords
    config: {{folder: {folder}/records}}
"""


def make_home(folder: Path) -> Path:
    """A project folder without data; Dagster's records stay in memory, which is faster."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(_QUICK_RECORDS.format(folder=folder))
    return folder


def make_checkout(folder: Path) -> Path:
    """A project folder without data, with the product's own configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(_PROJECT / name, folder)
    return folder


def copy_state(home: Path, to: Path) -> Path:
    """A second folder with the same data; Dagster's own records start anew."""
    make_home(to)
    for name in _STATE:
        source, target = home / "data" / name, to / "data" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            for file in source.parent.glob(f"{name}*"):
                shutil.copy(file, target.parent)
    return to


def paper_run(home: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """`trading-pipeline paper-run …` in a process of its own: exit code, output, errors."""
    ((code, out, errors),) = paper_runs(home, [arguments], **environment)
    return code, out, errors


def paper_runs(
    home: Path, runs: Sequence[Sequence[str]], **environment: str
) -> list[tuple[int, str, str]]:
    """Several of them, one after the other, in one process that has imported everything once."""
    return commands(home, [["paper-run", *words] for words in runs], **environment)


def commands(
    home: Path, lines: Sequence[Sequence[str]], **environment: str
) -> list[tuple[int, str, str]]:
    """`trading-pipeline …` for each of the lines, in one process: exit code, output, errors."""
    results = home / "results.json"
    process = FORKS.Process(target=_commands, args=(home, lines, environment, results), daemon=True)
    process.start()
    process.join(240 + 30 * len(lines))
    assert process.exitcode == 0, f"the process ended with {process.exitcode}"
    return [(code, out, errors) for code, out, errors in json.loads(results.read_text())]


def reports_of(home: Path, sessions: Sequence[date], **environment: str) -> list[dict[str, Any]]:
    """Run the days of these sessions one after the other and return their reports."""
    words = [("--json", "--as-of-date", str(session)) for session in sessions]
    found = paper_runs(home, words, **environment)
    assert all(code == 0 for code, _, _ in found), found
    return [json.loads(out) for _, out, _ in found]


def report_of(home: Path, session: date, **environment: str) -> dict[str, Any]:
    """Run the day of a session and return its report."""
    return reports_of(home, [session], **environment)[0]


def killed_run(home: Path, session: date, step: str) -> int | None:
    """Run the day and kill -9 its process at the moment that `step` has succeeded."""
    process = FORKS.Process(target=_killed, args=(home, session, step), daemon=True)
    process.start()
    process.join(240)
    return process.exitcode


def books(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the ledger and of the broker's account that a second run must not change.

    Left out: when a row was written and by which run, and the log of runs.
    """
    found: dict[str, list[tuple[Any, ...]]] = {}
    for file in ("ledger.db", "simulated_broker.db"):
        with sqlite3.connect(home / "data" / file) as database:
            names = [
                name
                for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
                if name not in {"runs", "alembic_version", "sqlite_sequence"}
            ]
            for name in names:
                columns = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
                kept = [c for c in columns if not c.endswith("_at") and c not in {"at", "run_id"}]
                query = f"SELECT {', '.join(kept)} FROM {name}"
                found[f"{file}:{name}"] = sorted(database.execute(query), key=repr)
    return found


def _commands(
    home: Path, lines: Sequence[Sequence[str]], environment: Mapping[str, str], results: Path
) -> None:
    _enter(home, environment)
    found = [_command([*words]) for words in lines]
    results.write_text(json.dumps(found))
    os._exit(0)  # a forked process has nothing to tidy up


def _killed(home: Path, session: date, step: str) -> None:
    _enter(home, {})
    Progress.finished = lambda _, name: os.kill(os.getpid(), SIGKILL) if name == step else None
    _command(["paper-run", "--as-of-date", str(session)])


def _command(words: list[str]) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        code = run(words)
    return code, out.getvalue(), errors.getvalue()


def _enter(home: Path, environment: Mapping[str, str]) -> None:
    os.chdir(home)
    for name in [name for name in os.environ if name.startswith("TP_")]:
        del os.environ[name]
    os.environ |= {"DAGSTER_HOME": str(home), **SMALL_TRAINING, **environment}
