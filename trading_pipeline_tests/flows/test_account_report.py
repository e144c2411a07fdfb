"""The account in a day's document and page: strategies, netting, how NAV moved, breaks."""

from decimal import Decimal
from pathlib import Path

from trading_pipeline.core.accounting.attribution import Books, netting, replay_parts
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.accounting.journal import journal
from trading_pipeline.core.accounting.pnl import Mark, change, mark
from trading_pipeline.flows import report
from trading_pipeline.flows.mark import Accounts
from trading_pipeline_tests.core.accounting.entries import FIRST, cash, fill
from trading_pipeline_tests.days import day
from trading_pipeline_tests.fakes import make_reconciliation

ENTRIES = [
    cash(EntryKind.DEPOSIT, "100000"),
    fill("AAPL", "10", "400", fee="1", strategy="alpha"),
    fill("AAPL", "-4", "410", strategy="beta"),
]


def accounts() -> Accounts:
    books = replay_parts(Books(), ENTRIES)
    marks = {"AAPL": Mark(price=Decimal(420), source="close")}
    pnl = mark(books.total, marks, FIRST)
    return Accounts(
        pnl=pnl,
        parts={name: mark(part, marks, FIRST) for name, part in books.parts.items()},
        netting=tuple(netting(books)),
        change=change(None, pnl),
        journal=journal(None, ENTRIES),
    )


def test_the_document_and_its_page_show_strategies_netting_and_breaks(tmp_path: Path) -> None:
    built = report.build(day(accounts=accounts(), reconciliation=make_reconciliation()))
    found = built.model_dump(mode="json")
    assert found["strategies"]["alpha"]["unrealized"] == "200.00"
    assert found["strategies"]["beta"]["positions"] == {"AAPL": "-4"}
    assert found["netting"] == [
        {
            "symbol": "AAPL",
            "account": "6",
            "netted": "4",
            "strategies": {"alpha": "10", "beta": "-4"},
        }
    ]
    moved = found["pnl"]["change"]
    assert (moved["nav"], moved["flows"], moved["fees"]) == ("100159.00", "100000.00", "1.00")
    assert found["reconciliation"]["blocked"] == ["AAPL"]
    (page,) = report.save(built, tmp_path / "day.html")
    text = page.read_text()
    for words in ("By strategy", "are netted", "How NAV moved", "nothing that we know of explains"):
        assert words in text


def test_a_day_without_an_account_says_nothing_of_it() -> None:
    found = report.build(day()).model_dump(mode="json")
    assert (found["strategies"], found["netting"], found["reconciliation"]) == ({}, [], None)
    assert found["pnl"]["change"] is None
