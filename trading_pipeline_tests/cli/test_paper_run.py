"""Whole trading days on the built-in sample, through the command line and the job it runs."""

import json
import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl

from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.whole_day import FIRST, books, paper_run, paper_runs, report_of

NEXT = next_session(FIRST)


def test_a_day_goes_from_bars_to_a_report(first_day: Path) -> None:
    document = json.loads((first_day / "data/reports" / str(FIRST) / "day.json").read_text())
    assert document["status"] == "success"
    assert document["session"] == str(FIRST)
    assert document["trade_session"] == document["valued_session"] == str(NEXT)
    assert {order["status"] for order in document["orders"]} == {"filled"}
    assert len(document["positions"]) == 4
    assert all(check["passed"] for check in document["checks"])
    page = (first_day / "data/reports" / str(FIRST) / "day.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/", "").replace("http://purl", "")


def test_orders_fill_at_the_raw_open_of_the_next_session_with_slippage(first_day: Path) -> None:
    document = json.loads((first_day / "data/reports" / str(FIRST) / "day.json").read_text())
    bars = SampleData().bars([order["symbol"] for order in document["orders"]], NEXT, NEXT)
    opens = dict(bars.select("symbol", "open").iter_rows())
    for order in document["orders"]:
        slip = Decimal("1.0005") if order["side"] == "buy" else Decimal("0.9995")
        expected = (Decimal(repr(opens[order["symbol"]])) * slip).quantize(Decimal("0.0001"))
        assert Decimal(order["filled_price"]) == expected


def test_running_a_session_again_changes_nothing(home: Path) -> None:
    before = books(home)
    again = report_of(home, FIRST)
    assert books(home) == before
    assert again["status"] == "success"
    assert len(again["orders"]) == len(before["ledger.db:orders"])


def test_twenty_sessions_tie_out_to_the_cent_on_every_one(month: Path) -> None:
    documents = json.loads((month / "reports.json").read_text())
    assert len(documents) == 20
    for document in documents:
        pnl = {name: Decimal(pnl) for name, pnl in _money(document).items()}
        assert pnl["nav"] == pnl["cash_in"] + pnl["realized"] + pnl["unrealized"] - pnl["fees"]
        assert pnl["cash_in"] == 100_000
    with sqlite3.connect(month / "data/simulated_broker.db") as account:
        (cash,) = account.execute("SELECT cash FROM account").fetchone()
    assert Decimal(cash) == Decimal(documents[-1]["pnl"]["cash"])
    assert len(documents[-1]["nav_history"]) == 20


def test_orders_are_differences_sells_go_first_and_what_leaves_the_targets_is_closed(
    month: Path,
) -> None:
    first, *documents = json.loads((month / "reports.json").read_text())
    held = {row["symbol"]: Decimal(row["qty"]) for row in first["positions"]}
    for document in documents:
        sides = [order["side"] for order in document["orders"]]
        assert sides == sorted(sides, reverse=True)
        for order in document["orders"]:
            sign = 1 if order["side"] == "buy" else -1
            held[order["symbol"]] = held.get(order["symbol"], Decimal(0)) + sign * Decimal(
                order["filled_qty"]
            )
        weights = {row["symbol"]: row["target_weight"] for row in document["signals"]}
        assert {row["symbol"]: Decimal(row["qty"]) for row in document["positions"]} == {
            symbol: quantity for symbol, quantity in held.items() if quantity
        }
        for symbol, quantity in held.items():
            weight = weights.get(symbol, 0)
            assert quantity * (weight > 0) >= 0
            assert (quantity == 0) == (weight == 0)


def test_a_dry_run_shows_the_orders_and_writes_nothing_to_the_ledger(home: Path) -> None:
    before = books(home)
    code, out, _ = paper_run(home, "--as-of-date", str(NEXT), "--dry-run", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["status"] == "dry_run"
    assert document["signals"]
    assert books(home) == before
    real = report_of(home, NEXT)
    planned = [(order["symbol"], order["side"], order["qty"]) for order in document["orders"]]
    assert planned == [(order["symbol"], order["side"], order["qty"]) for order in real["orders"]]


def test_a_session_before_the_last_decision_is_refused(home: Path) -> None:
    before = books(home)
    code, out, errors = paper_run(home, "--as-of-date", "2012-10-31")
    assert (code, out) == (3, "")
    assert "2012-10-31" in errors
    assert "2012-11-01" in errors
    assert "TP_DATA_DIR" in errors
    assert books(home) == before


BAD_INPUT = [
    (["--symbols", "AAPL", "IBM"], ["need 4 symbols", "the universe has 2"]),
    (["--symbols", "AAPL", "IBM", "MSFT", "XYZ"], ["does not have XYZ"]),
    (["--as-of-date", "2012-11-03"], ["2012-11-03", "Saturday", "2012-11-05"]),
    (["--as-of-date", "2012-13-01"], ["2012-13-01"]),
    (["--capital", "-1"], ["sizing.capital"]),
    (["--capital", "lots"], ["lots"]),
    (["--output", "/proc/nothing/day.json"], ["/proc/nothing"]),
    (["--output", "day.docx"], ["day.docx"]),
    (["--nonsense"], ["--nonsense"]),
]


def test_bad_input_is_one_sentence_exit_code_3_and_nothing_written(home: Path) -> None:
    before = books(home)
    found = paper_runs(home, [arguments for arguments, _ in BAD_INPUT])
    for (code, out, errors), (_, words) in zip(found, BAD_INPUT, strict=True):
        assert code == 3, out + errors
        assert all(word in out + errors for word in words), out + errors
        assert "Traceback" not in out + errors
    assert books(home) == before


def test_a_ledger_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    home = whole_day.make_home(tmp_path / "home")
    url = "postgresql://ada:hunter22@127.0.0.1:1/ledger"

    code, out, errors = paper_run(home, "--as-of-date", "2012-11-02", TP_LEDGER_URL=url)

    assert code == 1
    said = "The ledger at postgresql+psycopg2://ada:***@127.0.0.1:1/ledger does not answer"
    assert said in errors
    assert "hunter22" not in out + errors


def test_a_failed_check_stops_the_day_before_any_order_and_says_which_bars(tmp_path: Path) -> None:
    home = whole_day.make_home(tmp_path / "home")
    bars = SampleData().bars(["AAPL", "GOOG", "IBM", "MSFT"], date(2010, 1, 4), date(2012, 11, 2))
    wrong = (pl.col("session") == FIRST) & pl.col("symbol").is_in(["IBM", "MSFT"])
    prices = home / "prices.parquet"
    bars.with_columns(
        close=pl.when(wrong).then(pl.col("low") - 1).otherwise(pl.col("close"))
    ).rename({"session": "date"}).write_parquet(prices)
    environment = {
        "TP_VENDOR": "files",
        "TP_FILES__PATH": str(prices),
        "TP_SYMBOLS": "AAPL,GOOG,IBM,MSFT",
    }
    code, out, errors = paper_run(home, "--as-of-date", str(FIRST), "--json", **environment)
    assert code == 2, out + errors
    assert out == ""  # nothing that is no JSON
    assert "IBM" in errors
    assert "MSFT" in errors
    assert "open_close_outside_range" in errors
    assert not (home / "data/ledger.db").exists() or not books(home)["ledger.db:orders"]


def test_no_decision_reads_a_row_later_than_its_session(home: Path, tmp_path: Path) -> None:
    """A vendor whose future is different makes the same decision."""
    base = SampleData().bars(["AAPL", "GOOG", "IBM", "MSFT"], date(2010, 1, 4), date(2013, 3, 1))
    later = pl.col("session") > NEXT
    prices = pl.col("open", "high", "low", "close")
    decisions: list[object] = []
    for name, frame in {
        "true": base,
        "other": base.with_columns(pl.when(later).then(prices * 2).otherwise(prices)),
    }.items():
        folder = whole_day.copy_state(home, tmp_path / name)
        frame.rename({"session": "date"}).write_parquet(folder / "prices.parquet")
        document = report_of(
            folder,
            NEXT,
            TP_VENDOR="files",
            TP_FILES__PATH=str(folder / "prices.parquet"),
            TP_SYMBOLS="AAPL,GOOG,IBM,MSFT",
        )
        decisions.append(
            [
                document["signals"],
                [
                    (order["symbol"], order["side"], order["qty"], order["reference_price"])
                    for order in document["orders"]
                ],
            ]
        )
    assert decisions[0] == decisions[1]


def _money(document: dict[str, dict[str, str]]) -> dict[str, str]:
    names = ("nav", "cash_in", "realized", "unrealized", "fees")
    return {name: document["pnl"][name] for name in names}
