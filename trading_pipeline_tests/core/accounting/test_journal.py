"""Double entry: every entry balances, and the accounts add up to nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting.book import Book, EntryKind, Running, replay
from trading_pipeline.core.accounting.journal import journal, postings
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.accounting.entries import Happening, cash, fill, happenings
from trading_pipeline_tests.core.accounting.test_attribution import happened


def test_a_sale_moves_cost_to_cash_and_the_difference_to_gains() -> None:
    book = replay(Book(), [fill("AAPL", "10", "100")])
    assert postings(book, fill("AAPL", "-5", "120", fee="2", day=1)) == {
        "assets:cash": 598,
        "assets:shares": -500,
        "income:gains": -100,
        "expenses:commissions": 2,
    }


@pytest.mark.parametrize(
    ("kind", "account"),
    [("borrow", "expenses:borrow"), ("interest", "expenses:interest"), ("fee", "expenses:fees")],
)
def test_each_kind_of_cost_has_its_account(kind: str, account: str) -> None:
    moved = postings(Book(), cash(EntryKind(kind), "-3"))
    assert moved == {"assets:cash": -3, account: 3}


def test_a_fold_that_loses_a_dollar_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Running.post

    def lossy(self: Running, entry: object) -> None:
        honest(self, entry)
        self.cash -= 1

    monkeypatch.setattr(Running, "post", lossy)
    with pytest.raises(TradingError, match="add up to -1 dollars: expected 0"):
        journal(Book(), [fill("AAPL", "10", "100")])


@given(st.lists(happenings, max_size=25), st.integers(0, 25))
def test_the_accounts_add_up_to_nothing_from_zero_and_from_any_session(
    told: list[Happening], day: int
) -> None:
    entries = happened(told)
    whole = journal(Book(), entries)
    assert whole.imbalance == 0
    limit = fill("X", "1", "1", day=day).session
    opening = replay(Book(), [entry for entry in entries if entry.session <= limit])
    later = journal(opening, [entry for entry in entries if entry.session > limit])
    assert later.imbalance == 0
    for account in ("assets:cash", "assets:shares", "capital", "income:gains"):
        assert later.accounts.get(account) == whole.accounts.get(account)
