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
        self._signs = np.zeros(len(known))
        self._unknown: set[str] = set()
        self._sum = 0.0
        for symbol, quantity in quantities.items():
            if quantity:
                self.hold(symbol, 1 if quantity > 0 else -1)

    def hold(self, symbol: str, sign: int) -> None:
        """Put the position of `symbol` at `sign`: 1 long, −1 short, 0 flat."""
        place = self._place.get(symbol)
        if place is None:
            (self._unknown.add if sign else self._unknown.discard)(symbol)
        elif sign != self._signs[place]:
            self._sum += self._gain(place, sign)
            self._signs[place] = sign

    def mean_with(self, symbol: str, sign: int) -> float:
        """Return Σ s_i·s_j·ρ_ij over the pairs, by their number, with `symbol` at `sign`; or 0."""
        known, unknown, total = int(np.count_nonzero(self._signs)), len(self._unknown), self._sum
        place = self._place.get(symbol)
        if place is None:
            unknown += int(bool(sign)) - int(symbol in self._unknown)
        else:
            known += int(bool(sign)) - int(bool(self._signs[place]))
            total += self._gain(place, sign)
        pairs = _pairs(known + unknown)
        # what closing leaves of a sum in floats must not tip a limit of one
        return round((total + pairs - _pairs(known)) / pairs, 12) if pairs else 0.0

    def highest_with(self, symbol: str, sign: int) -> float:
        """Return the highest correlation of `symbol` at `sign` with another position; or −1."""
        if not sign:
            return -1.0
        place = self._place.get(symbol)
        others = self._signs.copy()
        if place is not None:
            others[place] = 0
        if place is None and others.any():
            return 1.0
        if self._unknown - {symbol}:
            return 1.0
        held = np.flatnonzero(others)
        if place is None or not held.size:
            return -1.0
        return float((sign * self._matrix[place, held] * others[held]).max())

    def _gain(self, place: int, sign: int) -> float:
        held = float(self._signs[place])
        if sign == held:
            return 0.0
        with_all = float(self._matrix[place] @ self._signs) - held
        return (sign - held) * with_all


def _matrix(returns: Returns, look_back: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the columns whose returns are known, and their correlations, within ±1."""
    last = returns.values[-look_back:]
    if len(last) < look_back:
        return np.zeros(0, np.intp), np.zeros((0, 0))
    varies = np.isfinite(last).all(axis=0) & (np.ptp(last, axis=0) > 0)
    known = np.flatnonzero(varies)
    centered = last[:, known] - last[:, known].mean(axis=0)
    unit = centered / np.sqrt((centered**2).sum(axis=0))
    return known, np.clip(unit.T @ unit, -1.0, 1.0)


def _pairs(count: int) -> int:
    return count * (count - 1) // 2
