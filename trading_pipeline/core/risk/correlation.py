"""Correlation of a book: of all pairs of positions, kept up as positions open and close.

A pair's correlation is that of its returns times both signs: two longs that move together count
positive, a long against a short of the same kind negative. What is not known counts as one.
"""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.risk.view import Returns


class Correlations:
    """The signed correlations of the positions held, over the last `look_back` sessions.

    A symbol without a finite return in each of these sessions, or whose returns do not vary, is
    not known.
    """

    def __init__(self, returns: Returns, look_back: int, quantities: Mapping[str, Decimal]) -> None:
        known, self._matrix = _matrix(returns, look_back)
        names = [returns.symbols[int(column)] for column in known]
        self._place: dict[str, int] = {name: place for place, name in enumerate(names)}
        signs = {symbol: int(q > 0) - int(q < 0) for symbol, q in quantities.items() if q}
        self._unknown: set[str] = signs.keys() - self._place.keys()
        self._signs = np.array([signs.get(name, 0) for name in names], dtype=np.float64)
        self._held = int(np.count_nonzero(self._signs))
        # of each symbol with the book, its own place included: a sum kept up, not taken anew
        self._with_book = self._matrix @ self._signs
        self._sum = (float(self._signs @ self._with_book) - self._held) / 2
        self._bounds: list[float] = _highest(self._matrix)

    def hold(self, symbol: str, sign: int) -> None:
        """Put the position of `symbol` at `sign`: 1 long, −1 short, 0 flat."""
        place = self._place.get(symbol)
        if place is None:
            (self._unknown.add if sign else self._unknown.discard)(symbol)
            return
        held = float(self._signs[place])
        if sign != held:
            self._sum += self._gain(place, sign)
            self._held += int(bool(sign)) - int(bool(held))
            self._signs[place] = sign
            self._with_book += (sign - held) * self._matrix[place]

    def unknown_with(self, symbol: str) -> list[str]:
        """Return the symbols held, and `symbol`, whose correlations are not known."""
        return sorted(self._unknown | ({symbol} - self._place.keys()))

    def mean_with(self, symbol: str, sign: int) -> float:
        """Return Σ s_i·s_j·ρ_ij over the pairs, by their number, with `symbol` at `sign`; or 0."""
        known, unknown, total = self._held, len(self._unknown), self._sum
        place = self._place.get(symbol)
        if place is None:
            unknown += int(bool(sign)) - int(symbol in self._unknown)
        else:
            known += int(bool(sign)) - int(bool(self._signs[place]))
            total += self._gain(place, sign)
        pairs = _pairs(known + unknown)
        # what closing leaves of a sum in floats must not tip a limit of one
        return round((total + pairs - _pairs(known)) / pairs, 12) if pairs else 0.0

    def highest_above(self, limit: float, symbol: str, sign: int) -> float | None:
        """Return the highest correlation of `symbol` at `sign` with another position.

        None when it is not above `limit`.
        """
        place = self._place.get(symbol)
        if place is not None and not self._unknown and self._bounds[place] <= limit:
            return None  # not even the nearest symbol there is comes to the limit
        found = self._highest_with(symbol, place, sign)
        return found if found > limit else None

    def _highest_with(self, symbol: str, place: int | None, sign: int) -> float:
        if not sign:
            return -1.0
        others = self._signs.copy()
        if place is not None:
            others[place] = 0
        held = np.flatnonzero(others)
        if self._unknown - {symbol} or (place is None and held.size):
            return 1.0
        if place is None or not held.size:
            return -1.0
        return float((sign * self._matrix[place, held] * others[held]).max())

    def _gain(self, place: int, sign: int) -> float:
        held = float(self._signs[place])
        return (sign - held) * (float(self._with_book[place]) - held)


def _matrix(returns: Returns, look_back: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the columns whose returns are known, and their correlations, within ±1."""
    last = returns.values[-look_back:]
    if len(last) < look_back:
        return np.zeros(0, np.intp), np.zeros((0, 0))
    varies = np.isfinite(last).all(axis=0) & (np.ptp(last, axis=0) > 0)
    known = np.flatnonzero(varies)
    centered = last[:, known] - last[:, known].mean(axis=0)
    unit = centered / np.sqrt((centered**2).sum(axis=0))
    matrix = np.clip(unit.T @ unit, -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return known, matrix


def _highest(matrix: NDArray[np.float64]) -> list[float]:
    """Return how near each symbol comes to any other one, whichever way both are held."""
    sizes = np.abs(matrix)
    np.fill_diagonal(sizes, 0.0)
    return sizes.max(axis=1, initial=0.0).tolist()


def _pairs(count: int) -> int:
    return count * (count - 1) // 2
