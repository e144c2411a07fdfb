"""`trading-pipeline stream` and `pnl`: exit codes, words, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading_pipeline import cli
from trading_pipeline.adapters.embedded_valkey import running
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.live_store import QuoteStore, RedisLink
from trading_pipeline.defs.live import own_stream
from trading_pipeline.errors import TransientError
from trading_pipeline.settings import Settings
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin
from trading_pipeline_tests.alpaca_twin.streams import quote
from trading_pipeline_tests.fakes import NOW, filled, make_decision, make_fill, make_order
from trading_pipeline_tests.sockets import listening

PROGRAM = Path(sys.executable).parent / "trading-pipeline"


@pytest.fixture
def twin() -> Iterator[AlpacaTwin]:
    with AlpacaTwin() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ledger that holds ten shares of AAPL."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("TP_STREAM__BEAT_SECONDS", "0.05")
    (tmp_path / "data").mkdir()
    ledger = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.db'}")
    ledger.create()
    order = make_order()
    fill = make_fill(order)
    ledger.record_decision(make_decision(), [order])
    ledger.append(at=NOW, orders=filled(order, fill), fills=[fill])
    ledger.close()
    return tmp_path


@pytest.fixture
def with_key(twin: AlpacaTwin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_ALPACA__KEY_ID", KEY)
    monkeypatch.setenv("TP_ALPACA__SECRET_KEY", SECRET)
    monkeypatch.setenv("TP_FEED__URL", twin.data_stream_url)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_without_a_key_the_stream_says_what_is_missing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["stream"]) == 3
    assert "TP_ALPACA__KEY_ID" in capsys.readouterr().err


@pytest.mark.parametrize("redis", ["configured", "of the data folder"])
def test_the_switch_and_wishes_are_seen_in_the_status(
    project: Path,
    redis: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if redis == "configured":
        monkeypatch.setenv("TP_REDIS_URL", redis_url)

    assert cli.run(["stream", "subscribe", "msft", "aapl"]) == 0
    assert cli.run(["stream", "unsubscribe", "MSFT"]) == 0
    assert cli.run(["stream", "stop", "--reason", "odd quotes", "--by", "ada"]) == 0
    assert cli.run(["stream", "subscribe"]) == 3
    assert cli.run(["stream", "stop", "--reason", " "]) == 3
    capsys.readouterr()
    assert cli.run(["stream", "status", "--stand-by"]) == 0, "there is no key: none has to live"
    capsys.readouterr()
    assert cli.run(["stream", "status", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["alive"], said["desired"], said["manual"]) == (False, "off", ["AAPL"])
    assert (said["by"], said["reason"]) == ("ada", "odd quotes")
    assert cli.run(["stream", "start", "--reason", "back"]) == 0
    assert running(project / "data" / "redis") is None, "nothing is left behind"


def test_without_a_redis_all_who_are_here_share_one_and_it_goes_with_the_last(
    project: Path, twin: AlpacaTwin, with_key: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [PROGRAM, "stream"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout
    assert "the data folder's own" in process.stdout.readline()
    until(lambda: twin.quotes.subscriptions and twin.quotes.subscriptions[0].get("quotes"))
    assert twin.quotes.subscriptions[0]["quotes"] == ["AAPL"], "what is held"
    assert listening(process.pid) == {"127.0.0.1"}
    url = running(project / "data" / "redis")
    assert url
    twin.call(twin.quotes.send([quote("AAPL", 110.0, 112.0, datetime.now(UTC))]))
    until(lambda: QuoteStore(RedisLink(url)).everything())

    assert cli.run(["stream", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["heartbeat"]["host"] == "cli"
    for live in (["--live", "--seconds", "0.1"], []):
        assert cli.run(["pnl", "--json", *live]) == 0
        (said,) = json.loads(f"[{capsys.readouterr().out}]")
        assert (said["positions"][0]["source"], float(said["positions"][0]["price"])) == (
            "real-time",
            111,
        )
    assert twin.quotes.connections == 1, "live P&L leaves the streaming to who streams already"
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[0]

    assert process.returncode == 0
    assert "Quotes: 1 received, 1 in Redis" in told
    assert len(list((project / "data" / "ticks" / "quotes").glob("*/*/*.parquet"))) == 1
    with pytest.raises(TransientError):
        RedisLink(url).health()


def test_pnl_without_a_stream_is_at_cost_and_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["pnl", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["positions"][0]["source"], said["positions_real_time"]) == ("cost", 0)

    assert cli.run(["pnl"]) == 0
    printed = capsys.readouterr().out
    assert "Position AAPL: " in printed
    assert "Real-time: 0 of 1" in printed


def test_live_pnl_streams_for_itself_when_nobody_does(
    project: Path, twin: AlpacaTwin, with_key: None
) -> None:
    with own_stream(Settings.load()) as store:
        until(lambda: twin.quotes.subscriptions and twin.quotes.subscriptions[0].get("quotes"))
        twin.call(twin.quotes.send([quote("AAPL", 110.0, 112.0, datetime.now(UTC))]))
        until(lambda: store.latest(["AAPL"]))
        assert store.heartbeat()["host"] == "pnl"

    assert len(list((project / "data" / "ticks" / "quotes").glob("*/*/*.parquet"))) == 1
    assert running(project / "data" / "redis") is None


def test_live_pnl_wants_more_than_no_time(project: Path) -> None:
    assert cli.run(["pnl", "--live", "--seconds", "0"]) == 3
