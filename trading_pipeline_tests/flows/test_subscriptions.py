"""Whose quotes are wanted: each symbol as long as one source wants it, the held ones first."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import Side
from trading_pipeline.flows.subscriptions import SOURCES, Wanted, wanted
from trading_pipeline_tests.fakes import NOW, accepted, filled, make_decision, make_fill, make_order

SYMBOLS = st.frozensets(st.sampled_from("ABCDEFGH"))


@given(st.dictionaries(st.sampled_from(SOURCES), SYMBOLS), st.integers(1, 10))
def test_everything_wanted_is_either_chosen_or_left_out_and_positions_come_first(
    by_source: dict[str, frozenset[str]], limit: int
) -> None:
    asked = Wanted(by_source)
    chosen, left_out = asked.within(limit)

    assert {*chosen, *left_out} == set().union(*by_source.values())
    assert len({*chosen, *left_out}) == len(chosen) + len(left_out)
    assert len(chosen) <= limit
    held = by_source.get("positions", frozenset())
    assert set(chosen) <= held or held <= set(chosen)


def test_what_is_held_and_what_is_on_order_is_wanted_until_it_is_gone(ledger: Ledger) -> None:
    bought, open_order = make_order("A", sequence=1), make_order("B", sequence=2)
    ledger.record_decision(make_decision(), [bought, open_order])
    fill = make_fill(bought)
    ledger.append(at=NOW, orders=filled(bought, fill), fills=[fill])
    ledger.append(at=NOW, orders=accepted(open_order))

    asked = wanted(ledger, {"A", "Z"})

    assert asked.symbols == ("A", "B", "Z")
    assert asked.counts == {"positions": 1, "orders": 1, "manual": 2}

    closing = make_order("A", Side.SELL, strategy="other", quantity=Decimal(10))
    ledger.record_decision(make_decision(strategy="other"), [closing])
    fill = make_fill(closing, strategy="other")
    ledger.append(at=NOW, orders=filled(closing, fill), fills=[fill])

    assert wanted(ledger, set()).symbols == ("B",)
