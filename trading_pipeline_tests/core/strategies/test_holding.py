"""Entries last until an exit."""

import numpy as np
import pytest

from trading_pipeline.core.strategies.holding import Exits, hold

EXITS = Exits(stop=0.05, target=0.10, sessions=4)


def held(
    entry: list[float],
    close: list[float] | None = None,
    keeps: list[bool] | None = None,
    exits: Exits = EXITS,
) -> list[float]:
    """What one lane holds; `keeps` is for longs and shorts alike."""
    flags = np.array(keeps or [True] * len(entry))[:, None]
    prices = np.array(close or [100.0] * len(entry))[:, None]
    wanted = hold(np.array(entry)[:, None], prices, longs=flags, shorts=flags, exits=exits)
    return wanted[:, 0].tolist()


def test_a_position_is_kept_after_its_entry_has_lapsed() -> None:
    assert held([0, 0.75, 0, 0]) == [0, 0.75, 0.75, 0.75]


def test_it_ends_where_it_may_be_kept_no_more() -> None:
    assert held([0.75, 0, 0], keeps=[True, True, False]) == [0.75, 0.75, 0]


def test_it_ends_at_its_age() -> None:
    assert held([1, 0, 0, 0, 0, 0]) == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(("side", "price"), [(1, 95.0), (1, 110.0), (-1, 105.0), (-1, 90.0)])
def test_it_ends_at_its_stop_and_at_its_target(side: int, price: float) -> None:
    assert held([side, 0, 0], [100, price, price]) == [side, 0, 0]
    closer = 100 + (price - 100) * 0.99
    assert held([side, 0, 0], [100, closer, closer]) == [side, side, side]


def test_a_stopped_entry_is_not_taken_again_before_it_has_lapsed() -> None:
    assert held([1, 1, 1, 0, 1], [100, 94, 94, 94, 94]) == [1, 0, 0, 0, 1]


def test_the_opposite_entry_turns_a_position_around() -> None:
    assert held([1, 0, -0.5, 0]) == [1, 1, -0.5, -0.5]


def test_a_second_entry_neither_restarts_nor_enlarges_a_position() -> None:
    assert held([0.6, 1, 1, 1, 1, 0]) == [0.6, 0.6, 0.6, 0.6, 0, 0]


def test_an_unknown_entry_does_nothing() -> None:
    assert held([np.nan, 1, np.nan]) == [0, 1, 1]
