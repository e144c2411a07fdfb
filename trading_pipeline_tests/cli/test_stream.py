"""`trading-pipeline stream` and `pnl`: exit codes, words, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from trading_pipeline import cli
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin
from trading_pipeline_tests.alpaca_twin.streams import quote
from trading_pipeline_tests.fakes import NOW, filled, make_decision, make_fill, make_order

PROGRAM = Path(sys.executable).parent / "trading-pipeline"


@pytest.fixture
def twin() -> Iterator[AlpacaTwin]:
    with AlpacaTwin() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ledger that holds ten shares of AAPL."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
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


def test_without_a_key_the_stream_says_what_is_missing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["stream"]) == 3
    assert "TP_ALPACA__KEY_ID" in capsys.readouterr().err


def test_the_switch_and_wishes_are_seen_in_the_status(
    project: Path,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["stream", "status"]) == 3, "there is no other process to ask"
    monkeypatch.setenv("TP_REDIS_URL", redis_url)

    assert cli.run(["stream", "subscribe", "msft", "aapl"]) == 0
    assert cli.run(["stream", "unsubscribe", "MSFT"]) == 0
    assert cli.run(["stream", "stop", "--reason", "odd quotes", "--by", "ada"]) == 0
    assert cli.run(["stream", "subscribe"]) == 3
    assert cli.run(["stream", "stop", "--reason", " "]) == 3
    capsys.readouterr()
    assert cli.run(["stream", "status", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["alive"], said["desired"], said["manual"]) == (False, "off", ["AAPL"])
    assert (said["by"], said["reason"]) == ("ada", "odd quotes")
    assert cli.run(["stream", "start", "--reason", "back"]) == 0


def test_a_stream_of_its_own_ends_on_sigterm_and_leaves_quotes_in_files_and_no_server(
    project: Path, twin: AlpacaTwin, with_key: None
) -> None:
    words = [PROGRAM, "stream"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout
    port = process.stdout.readline().rpartition(":")[2].strip()
    end = time.monotonic() + 20
    while not twin.quotes.subscriptions or not twin.quotes.subscriptions[0].get("quotes"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert twin.quotes.subscriptions[0]["quotes"] == ["AAPL"], "what is held"
    twin.call(twin.quotes.send([quote("AAPL", 100.0, 101.0, datetime.now(UTC))]))
    time.sleep(0.5)

    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=20)[0]

    assert process.returncode == 0
    assert "Quotes: 1 received, 1 in Redis" in said
    assert len(list((project / "data" / "ticks" / "quotes").glob("*/*/*.parquet"))) == 1
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{int(port):04X} 00000000:0000 0A" not in listening


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


def test_live_pnl_streams_for_itself_when_there_is_no_redis(
    project: Path, twin: AlpacaTwin, with_key: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell() -> None:
        while not twin.quotes.subscriptions or not twin.quotes.subscriptions[0].get("quotes"):
            time.sleep(0.02)
        twin.call(twin.quotes.send([quote("AAPL", 110.0, 112.0, datetime.now(UTC))]))

    other = Thread(target=tell)
    other.start()
    assert cli.run(["pnl", "--live", "--json", "--seconds", "2.5"]) == 0
    other.join()

    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["positions"][0]["source"] == "real-time"
    assert float(last["positions"][0]["price"]) == 111


def test_live_pnl_wants_more_than_no_time(project: Path) -> None:
    assert cli.run(["pnl", "--live", "--seconds", "0"]) == 3
