"""Several breaches at once are cured by the fewest orders: all ways to cut are tried."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.core.risk.reduction import reduce
from trading_pipeline.core.risk.view import RiskView
from trading_pipeline_tests.core.risk.portfolios import WIDE, book_of, view
from trading_pipeline_tests.factories import FIRST

PRICES = {"A": 97, "B": 51, "C": 23, "D": 11}
SECTORS = {"A": "x", "B": "x", "C": "y", "D": "y"}
HUNDREDTHS: dict[str, list[int]] = {
    "max_gross_exposure": [30, 90],
    "max_long_exposure": [20, 60],
    "max_short_exposure": [20, 60],
    "max_net_exposure": [5, 30],
    "max_sector_exposure": [20, 50],
    "max_borrowing": [10, 50],
    "max_concentration": [5, 30],
    "max_position_share": [20, 50],
}


def account(cash: int, held: Mapping[str, int], hundredths: Mapping[str, int]) -> RiskView:
    given: dict[str, Any] = {name: Decimal(value) / 100 for name, value in hundredths.items()}
    sectors = ",".join(f"{symbol}={sector}" for symbol, sector in SECTORS.items())
    limits = RiskLimits.model_validate(WIDE.model_dump() | {"sectors": sectors} | given)
    marks = {symbol: str(price) for symbol, price in PRICES.items()}
    return view(book_of(cash, **held), limits=limits, marks=marks)


def fewest(cash: int, held: Mapping[str, int], hundredths: Mapping[str, int]) -> int | None:
    """The fewest positions whose cuts, in whole shares, leave no breach; None where none do."""
    ways = np.array(list(product(*(range(abs(held[symbol]) + 1) for symbol in PRICES))))
    now = np.array([held[symbol] for symbol in PRICES])
    price = np.array(list(PRICES.values()))
    left = (np.abs(now) - ways) * np.sign(now) * price
    nav = cash + int(now @ price)
    good = np.ones(len(ways), dtype=bool)
    for name, value in hundredths.items():
        good &= within(name, left, nav=nav, most=value * nav)
    return int((ways[good] > 0).sum(axis=1).min()) if good.any() else None


def within(name: str, left: NDArray[np.int64], *, nav: int, most: int) -> NDArray[np.bool_]:
    """Which rows of dollars by position are within `most` hundredths of dollars."""
    if name == "max_concentration":
        return 100 * (left**2).sum(axis=1) <= most * nav
    in_x = np.array([sector == "x" for sector in SECTORS.values()])
    sizes = {
        "max_gross_exposure": np.abs(left).sum(axis=1),
        "max_long_exposure": left.clip(min=0).sum(axis=1),
        "max_short_exposure": (-left).clip(min=0).sum(axis=1),
        "max_net_exposure": np.abs(left.sum(axis=1)),
        "max_sector_exposure": np.maximum(
            np.abs(left[:, in_x]).sum(axis=1), np.abs(left[:, ~in_x]).sum(axis=1)
        ),
        "max_borrowing": left.sum(axis=1) - nav,
        "max_position_share": np.abs(left).max(axis=1),
    }
    return 100 * sizes[name] <= most


def test_no_smaller_set_cures_several_breaches_at_once() -> None:
    random, cured, better = Random(17), 0, 0
    for _ in range(300):
        held = {symbol: random.randint(-6, 6) for symbol in PRICES}
        names = random.sample(list(HUNDREDTHS), random.randint(2, 4))
        hundredths = {name: random.choice(HUNDREDTHS[name]) for name in names}
        cash = random.randint(-200, 900)
        now = account(cash, held, hundredths)
        if now.nav <= 0:
            continue
        found = reduce(now, strategy="reduce", session=FIRST)
        least = fewest(cash, held, hundredths)
        if len(found.breaches) > 1 and least is not None:
            assert found.remaining == ()
            assert len(found.orders) == least, (held, cash, hundredths)
            cured += 1
            better += least < len(names)
    assert cured > 90
    assert better > 20


def test_a_large_book_is_cured_by_no_more_than_its_largest_positions() -> None:
    random = Random(23)
    prices = {f"S{number:03}": random.randint(5, 400) for number in range(300)}
    held = {symbol: random.choice([-1, 1]) * random.randint(1, 300) for symbol in prices}
    gross = sum(abs(held[symbol]) * price for symbol, price in prices.items())
    sectors = ",".join(f"{symbol}=s{number % 11}" for number, symbol in enumerate(prices))
    limits = {
        "sectors": sectors,
        "max_sector_exposure": "0.085",
        "max_gross_exposure": "0.8",
        "max_net_exposure": "0.02",
    }
    cash = gross - sum(held[symbol] * price for symbol, price in prices.items())
    now = view(
        book_of(cash, **held),
        limits=RiskLimits.model_validate(WIDE.model_dump() | limits),
        marks={symbol: str(price) for symbol, price in prices.items()},
    )
    found = reduce(now, strategy="reduce", session=FIRST)
    assert len(found.breaches) > 3
    assert found.remaining == ()
    # to lose a fifth of gross takes at least the largest positions that come to a fifth of it
    sizes = sorted((abs(held[symbol]) * price for symbol, price in prices.items()), reverse=True)
    least = next(count for count in range(300) if sum(sizes[:count]) >= gross / 5)
    assert least <= len(found.orders) <= least + 8
