"""The fewest cuts that cure all breaches of a book at once, as an integer program.

For each position a whole number of shares to cut, and whether it is cut at all; as few as possible
are, and of those sets the one that trades least. Every limit of the book is linear in the shares
but concentration: that one is replaced by tangent planes, which never forbid what it allows, and
another one is added wherever a solution still breaks it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from enum import Enum
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.risk.holdings import UNCLASSIFIED
from trading_pipeline.core.risk.usage import OWN, Use, nav_of
from trading_pipeline.core.risk.view import RiskView

PLANES: Final = 30
"""At most this many tangent planes."""

NODES: Final = 5_000
"""At most this many branches are looked at: then the answer may not be proved, and is not used."""


class _Aim(Enum):
    POSITIONS = 1
    DOLLARS = 2


Vector = NDArray[np.float64]
Row = tuple[Vector, float]
"""Coefficients of the dollars cut by position, and the least that they must come to."""


@dataclass(frozen=True, slots=True)
class _Position:
    symbol: str
    price: float
    value: float
    """Dollars, with the sign of the position."""
    room: int
    least: int


def smallest(
    view: RiskView, held: Mapping[str, Decimal], room: Mapping[str, Decimal], uses: Sequence[Use]
) -> dict[str, Decimal] | None:
    """Return the shares to cut by symbol; None where no whole shares cure all, or none is proved.

    `held` are signed shares by symbol, `room` how many may be cut, and `uses` every limit of that
    book.
    """
    least = _least(view, uses)
    positions = [
        _Position(
            symbol=symbol,
            price=float(view.marks[symbol]),
            value=float(quantity * view.marks[symbol]),
            room=int(room[symbol].to_integral_value(ROUND_FLOOR)),
            least=least.get(symbol, 0),
        )
        for symbol, quantity in held.items()
        if view.has_price(symbol)
    ]
    if not positions or any(each.least > each.room for each in positions):
        return None
    shares = _solve(positions, _rows(view, positions, uses), _squares(view, uses))
    if shares is None:
        return None
    found = zip(positions, shares, strict=True)
    return {each.symbol: Decimal(round(cut)) for each, cut in found if round(cut)}


def _least(view: RiskView, uses: Sequence[Use]) -> dict[str, int]:
    """Return the whole shares that a position must lose for limits of its own."""
    found: dict[str, int] = {}
    for use in uses:
        if use.code in OWN and use.is_breach:
            price = Decimal(1) if use.code == "position_quantity" else view.marks[use.subject]
            shares = -((-(use.value - use.limit) / price).to_integral_value(ROUND_FLOOR))
            found[use.subject] = max(found.get(use.subject, 0), int(shares))
    return found


def _rows(view: RiskView, positions: Sequence[_Position], uses: Sequence[Use]) -> list[Row]:
    sectors = view.limits.sector_of
    sign = np.array([np.sign(each.value) for each in positions])
    names = np.array([sectors.get(each.symbol, UNCLASSIFIED) for each in positions])
    net = sum(each.value for each in positions)
    rows: list[Row] = []
    for use in uses:
        over, limit = float(use.value - use.limit), float(use.limit)
        if use.code == "gross_exposure":
            rows.append((np.ones(len(positions)), over))
        elif use.code in {"long_exposure", "short_exposure"}:
            rows.append(((sign == (1 if use.code == "long_exposure" else -1)) * 1.0, over))
        elif use.code == "sector_exposure":
            rows.append(((names == use.subject) * 1.0, over))
        elif use.code == "net_exposure":
            rows += [(sign, net - limit), (-sign, -net - limit)]
        elif use.code == "borrowing":
            rows.append((sign, net - float(nav_of(view)) - limit))
    return rows


def _squares(view: RiskView, uses: Sequence[Use]) -> float:
    """Return what the squares of all positions may come to."""
    nav = float(nav_of(view))
    limit = next(use.limit for use in uses if use.code == "concentration")
    return float(limit) * nav * nav


def _solve(positions: Sequence[_Position], rows: list[Row], squares: float) -> Vector | None:
    """Return the whole shares to cut by position: the fewest positions, then the fewest dollars."""
    prices = np.array([each.price for each in positions])
    values = np.array([abs(each.value) for each in positions])
    for _ in range(PLANES):
        shares = _cheapest(positions, rows)
        if shares is None:
            return None
        left = values - prices * shares
        if float(left @ left) <= squares * (1 + 1e-12):
            return shares
        # Σ left² ≥ its tangent at this point, everywhere: a convex function
        rows = [*rows, (2 * left, float(left @ left) - squares + 2 * float(left @ (values - left)))]
    return None


def _cheapest(positions: Sequence[_Position], rows: Sequence[Row]) -> Vector | None:
    """Settle which positions with fractions of shares, which is quick, then the whole shares.

    Where those positions cannot do it in whole shares, others of the same number or more may.
    """
    for is_whole in (False, True):
        some = _branch(positions, rows, is_whole=is_whole, by=_Aim.POSITIONS)
        if some is None:
            return None
        pairs = zip(positions, some, strict=True)
        chosen = [each if cut > 1e-6 else replace(each, room=0) for each, cut in pairs]
        shares = _branch(chosen, rows, is_whole=True, by=_Aim.DOLLARS)
        if shares is not None:
            return shares
    return None


def _branch(
    positions: Sequence[_Position], rows: Sequence[Row], *, is_whole: bool, by: _Aim
) -> Vector | None:
    """Return the shares to cut by position, the fewest by the aim; None for none, or no proof."""
    solver: Any = import_module("scipy.optimize")  # heavy: on first use
    matrix: Any = import_module("scipy.sparse")
    size = len(positions)
    prices = np.array([each.price for each in positions])
    room = np.array([float(each.room) for each in positions])
    scale = max(float(prices @ room), 1.0)
    cut = matrix.csr_array(np.array([row * prices for row, _ in rows]) / scale)
    needed = np.array([least for _, least in rows]) / scale
    none = matrix.csr_array((len(rows), size))
    found = solver.milp(
        # one aim at a time: that a count is whole settles most of the search
        c=np.concatenate(
            [prices / scale * (by is _Aim.DOLLARS), np.ones(size) * (by is _Aim.POSITIONS)]
        ),
        integrality=np.repeat([float(is_whole), 1.0], size),
        bounds=solver.Bounds(
            np.concatenate([[float(each.least) for each in positions], np.zeros(size)]),
            np.concatenate([room, np.ones(size)]),
        ),
        constraints=[
            solver.LinearConstraint(matrix.hstack([cut, none]), needed, np.inf),
            solver.LinearConstraint(
                matrix.hstack([matrix.eye_array(size), -matrix.diags_array(room)]), -np.inf, 0
            ),
        ],
        options={"node_limit": NODES},
    )
    if found.status:
        return None
    shares: Vector = np.asarray(found.x[:size], dtype=np.float64)
    return np.round(shares) if is_whole else shares
