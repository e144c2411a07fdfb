"""Log lines are JSON with what is bound and what is given."""

import json
import logging
import re
import subprocess
import sys
from contextvars import Context
from pathlib import Path
from threading import Thread

import pytest

from trading_pipeline import logs
from trading_pipeline.cli import _fail, _tell_the_unforeseen
from trading_pipeline.flows.probe import sentence
from trading_pipeline.logs import JsonFormatter, bind, bind_run, redacted
from trading_pipeline.settings import Settings
from trading_pipeline_tests import whole_day


def test_a_line_is_json_with_bound_and_given_fields() -> None:
    bind(session="2013-02-28", run_id="r1")
    record = logging.makeLogRecord(
        {"msg": "rows %s", "args": (3,), "levelname": "INFO", "name": "x", "table": "raw_bars"}
    )
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "rows 3"
    assert (line["session"], line["run_id"], line["table"]) == ("2013-02-28", "r1", "raw_bars")
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_one_field_of_the_line() -> None:
    try:
        raise ValueError("boom")  # noqa: TRY301
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "x", "exc_info": (ValueError, error, None)})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "boom" in json.loads(line)["exception"]


SECRET = 'pl4nted "secret"\\é'


@pytest.fixture
def _planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of every kind, in the settings."""
    monkeypatch.setattr(logs, "_hidden", set())
    monkeypatch.setenv("TP_ALPACA__KEY_ID", "PLANTEDKEYID")
    monkeypatch.setenv("TP_ALPACA__SECRET_KEY", SECRET)
    monkeypatch.setenv("TP_LEDGER_URL", "postgresql://ada:pl%24nted@db/ledger")
    monkeypatch.setenv("TP_REDIS_URL", "redis://:plantedredis@cache:6379/0")
    Settings.load(home=tmp_path)


@pytest.mark.usefixtures("_planted")
@pytest.mark.parametrize(
    "secret",
    [SECRET, "PLANTEDKEYID", "postgresql://ada:pl%24nted@db/ledger", "pl$nted", "plantedredis"],
)
def test_a_planted_secret_is_in_no_line(secret: str) -> None:
    try:
        raise ValueError(f"cannot reach {secret}")  # noqa: TRY301
    except ValueError as error:
        failure = (ValueError, error, error.__traceback__)
    given = {"msg": f"with {secret}", "headers": {"Authorization": [secret]}, "exc_info": failure}

    line = JsonFormatter().format(logging.makeLogRecord(given))

    found = json.loads(line)
    assert secret not in json.dumps(found, ensure_ascii=False)
    assert secret not in f"{found['message']}{found['headers']}{found['exception']}"
    assert "***" in found["message"]


@pytest.mark.usefixtures("_planted")
def test_a_planted_secret_is_in_no_error_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert _fail("The key PLANTEDKEYID is refused.", 1) == 1
    assert capsys.readouterr().err == "trading-pipeline: The key *** is refused.\n"


def test_the_password_of_any_url_is_blotted_out() -> None:
    said = "at mysql://ada:hunter2@db:1/x and http://ada@db, redis://:pw@h/0"

    assert redacted(said) == "at mysql://ada:***@db:1/x and http://ada@db, redis://:***@h/0"
    assert redacted("'http://ada:p@ss@db/x'") == "'http://ada:***@db/x'"


@pytest.mark.parametrize("mark", ["/", "@", "#", "?", ":"])
@pytest.mark.parametrize(
    "name", ["TP_LEDGER_URL", "TP_DAGSTER_URL", "TP_CELERY_URL", "TP_MLFLOW_TRACKING_URI"]
)
def test_a_password_that_breaks_its_url_is_told_in_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, name: str
) -> None:
    """A library that takes such a URL apart complains of half the password as of a port."""
    monkeypatch.setattr(logs, "_hidden", set())
    monkeypatch.setenv(name, f"postgresql://ada:planted{mark}secret@127.0.0.1:1/x")
    Settings.load(home=tmp_path)

    for said in ("no port: 'planted'", "no such host: secret@127.0.0.1"):
        assert "***" in redacted(said)
    assert sentence(ValueError("no port: planted")) == "ValueError: no port: ***"


def test_what_nobody_foresaw_is_told_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("no port in redis://:hunter2@h")  # noqa: TRY301
    except ValueError as error:
        _tell_the_unforeseen(ValueError, error, error.__traceback__)

    assert capsys.readouterr().err.endswith("ValueError: no port in redis://:***@h\n")


def test_a_run_is_its_own_trace() -> None:
    bind_run("0fd2f9d4-3ac8-4b3a-8b16-0d1f3c8c9e11")
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"msg": "x"})))

    assert line["run_id"] == "0fd2f9d4-3ac8-4b3a-8b16-0d1f3c8c9e11"
    assert line["trace_id"] == "0fd2f9d43ac84b3a8b160d1f3c8c9e11"


def test_the_lines_of_a_command_share_a_trace_and_those_of_its_run_have_the_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_named", {})
    logs.begin_trace()

    def trace() -> str:
        return json.loads(JsonFormatter().format(logging.makeLogRecord({"msg": "x"})))["trace_id"]

    elsewhere: list[str] = []
    other = Thread(target=lambda: elsewhere.append(trace()))
    other.start()
    other.join()
    own = Context().run(trace)

    assert re.fullmatch("[0-9a-f]{32}", own)
    assert elsewhere == [own]
    bind_run("0fd2f9d4-3ac8-4b3a-8b16-0d1f3c8c9e11")
    assert trace() == "0fd2f9d43ac84b3a8b160d1f3c8c9e11"


def test_a_step_of_dagster_bears_the_run_on_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg  # noqa: PLC0415 - heavy: on first use

    from trading_pipeline.defs.resources import resources  # noqa: PLC0415

    lines: list[str] = []

    @dg.op
    def speak(settings: dg.ResourceParam[Settings]) -> None:
        lines.append(JsonFormatter().format(logging.makeLogRecord({"msg": "done"})))

    @dg.job(resource_defs={"settings": resources(Settings.load(home=tmp_path))["settings"]})
    def spoken() -> None:
        speak()

    result = spoken.execute_in_process()

    assert json.loads(lines[0])["run_id"] == result.run_id


def test_libraries_speak_json_too_where_nobody_else_has_a_say() -> None:
    program = (
        "import logging; from trading_pipeline import logs; logs.configure('INFO');"
        "logging.getLogger('trading_pipeline.x').info('ours');"
        "logging.getLogger('httpx').warning('theirs at http://a:b@c/')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    first, second = map(json.loads, done.stderr.splitlines())

    assert first["service"] == second["service"] == "trading-pipeline"
    assert (first["logger"], first["message"]) == ("trading_pipeline.x", "ours")
    assert (second["logger"], second["message"]) == ("httpx", "theirs at http://a:***@c/")


@pytest.fixture
def _json_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server does when it loads the definitions, put back afterward."""
    from dagster._core.execution import context_creation_job as runs  # noqa: PLC0415 - heavy

    from trading_pipeline.defs.console import speak_json  # noqa: PLC0415

    monkeypatch.setattr(runs, "default_system_loggers", vars(runs)["default_system_loggers"])
    speak_json()


@pytest.mark.usefixtures("_planted", "_json_of_runs")
def test_dagster_says_the_same_kind_of_lines_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    import dagster as dg  # noqa: PLC0415 - heavy: on first use

    @dg.op
    def fail(context: dg.OpExecutionContext) -> None:
        context.log.info("before")
        raise ValueError("the key PLANTEDKEYID is refused")

    @dg.job
    def failing() -> None:
        fail()

    result = failing.execute_in_process(raise_on_error=False)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert {line["trace_id"] for line in lines} == {result.run_id.replace("-", "")}
    assert {line["job_name"] for line in lines} == {"failing"}
    said, step, run = lines
    assert (said["message"], said["step_key"], said["level"]) == ("before", "fail", "INFO")
    assert (step["event"], step["level"]) == ("STEP_FAILURE", "ERROR")
    assert "the key *** is refused" in step["error"]
    assert run["event"] == "PIPELINE_FAILURE"


@pytest.mark.soak
def test_a_planted_secret_is_in_nothing_that_a_day_leaves(home: Path) -> None:
    """Reports, Dagster's records and events, the ledger, the lake, and what was printed.

    Of a day that succeeds, and of one that fails because nobody answers.
    """
    planted = {
        "TP_ALPACA__KEY_ID": "PLANTEDkeyid",
        "TP_ALPACA__SECRET_KEY": "PLANTEDsecretkey",
        "TP_BUCKET__SECRET_KEY": "PLANTEDbucketkey",
        "TP_ALERTS__PAGERDUTY_KEY": "PLANTEDpagerduty",
        "TP_ALERTS__SLACK_URL": "http://127.0.0.1:1/PLANTEDslack",
        "TP_REDIS_URL": "redis://:PLANTEDredis@127.0.0.1:1/0",
    }
    whole_day.make_checkout(home)

    words = ("--as-of-date", "2012-11-02", "--verbose", "--output", str(home / "day.html"))
    code, out, errors = whole_day.paper_run(home, *words, **planted)

    assert code == 0, errors
    assert '"level": "INFO"' in errors
    assert "PLANTED" not in out + errors
    planted["TP_LEDGER_URL"] = "postgresql://ada:PLANTEDledger@127.0.0.1:1/ledger"
    code, out, errors = whole_day.paper_run(home, "--as-of-date", "2012-11-05", **planted)
    assert code == 1, errors
    assert "PLANTED" not in out + errors
    left = [path for path in home.rglob("*") if path.is_file()]
    assert len(left) > 50
    assert [path for path in left if b"PLANTED" in path.read_bytes()] == []


SECRETS = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|PK[0-9A-Z]{18}|AK[0-9A-Z]{18}|xox[abp]-\w{10,}|gh[pousr]_\w{30,})\b"
    r"|hooks\.slack\.com/services/T\w{8}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""Keys of AWS and of Alpaca, tokens of Slack and of GitHub, private keys."""


def test_no_committed_file_holds_a_secret() -> None:
    root = Path(__file__).parents[1]
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    texts = {name: root / name for name in listed.stdout.split("\0") if name}
    found = [
        name
        for name, path in texts.items()
        if path.is_file() and SECRETS.search(path.read_bytes().decode(errors="ignore"))
    ]

    assert found == []
    assert SECRETS.search("AKIA" + "A" * 16)
