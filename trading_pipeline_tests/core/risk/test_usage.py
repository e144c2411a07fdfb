"""How much of each limit a book uses."""

from decimal import Decimal

from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.core.risk.usage import Use, nav_of, quantities, uses
from trading_pipeline_tests.core.risk.portfolios import at_broker, book_of, view

LIMITS = RiskLimits(sectors="AAPL=tech")


def test_every_limit_of_a_book_is_measured() -> None:
    now = view(book_of(120_000, AAPL=100, IBM=-300), limits=LIMITS)
    assert nav_of(now) == 100_000
    found = {(use.code, use.subject): use for use in uses(now)}
    assert {key: (use.value, use.limit) for key, use in found.items() if key[1] != "IBM"} == {
        ("gross_exposure", "book"): (40_000, 200_000),
        ("net_exposure", "book"): (20_000, 150_000),
        ("long_exposure", "book"): (10_000, 150_000),
        ("short_exposure", "book"): (30_000, 150_000),
        ("borrowing", "book"): (0, 100_000),
        ("concentration", "book"): (Decimal("0.1"), Decimal("0.5")),
        ("sector_exposure", "tech"): (10_000, 100_000),
        ("sector_exposure", "unclassified"): (30_000, 100_000),
        ("position_quantity", "AAPL"): (100, 50_000),
        ("position_value", "AAPL"): (10_000, 25_000),
        ("position_share", "AAPL"): (10_000, 30_000),
    }
    assert [use.code for use in uses(now) if use.is_breach] == ["position_value"]
    assert found["gross_exposure", "book"].share == Decimal("0.2")
    assert found["position_value", "IBM"].headroom == -5_000


def test_open_orders_count_as_filled() -> None:
    now = view(book_of(0, AAPL=10), open_orders=[at_broker("AAPL", -10), at_broker("IBM", 5)])
    assert quantities(now) == {"IBM": 5}


def test_where_nothing_is_allowed_there_is_no_share() -> None:
    use = Use(code="gross_exposure", subject="book", value=Decimal(1), limit=Decimal(0))
    assert use.share is None
    assert use.is_breach


def test_a_holding_without_a_mark_is_left_out() -> None:
    now = view(book_of(1_000, ZZZ=5), limits=LIMITS)
    assert nav_of(now) == 1_000
    assert {use.subject for use in uses(now)} == {"book"}
