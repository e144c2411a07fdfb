"""Quantiles of every window, compiled: sorted windows merge into longer ones, as moments do.

Two sorted windows become one by Batcher's odd-even merge (Knuth, The Art of Computer Programming,
volume 3, section 5.3.4): comparisons whose places do not depend on the values, so that each is done
for many rows at once. Rows are taken a chunk at a time, so that all of it stays near the processor.
"""

from collections.abc import Collection
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trading_pipeline.core.features.compiled.compiling import jit
from trading_pipeline.core.features.compiled.merges import Values
from trading_pipeline.core.features.operators import CHAIN, WINDOWS

Places = npt.NDArray[np.int64]
Wires = list[int]
Exchanges = list[tuple[int, int]]

_BEFORE: Final = 64
"""Rows before a chunk that are sorted with it: no fewer than the longest window looks back."""
_CHUNK: Final = 488
_STRIDE: Final = _BEFORE + _CHUNK
"""Numbers from a place of the sorted windows to the next; no multiple of a page, or caches jam."""
_BLOCK: Final = 64
"""Rows that are read at once where every window is whole."""

_WIDTHS = np.array(WINDOWS)
_LONGEST: Final = WINDOWS[-1]


def merged(first: Wires, second: Wires, exchanges: Exchanges) -> Wires:
    """Return the wires in ascending order after two sorted sequences of them were merged.

    `exchanges` gets the pairs of wires to compare, in turn: the lower value goes to the first.
    """
    if not first or not second:
        return first or second
    if len(first) == len(second) == 1:
        exchanges.append((first[0], second[0]))
        return [first[0], second[0]]
    even = merged(first[::2], second[::2], exchanges)
    odd = merged(first[1::2], second[1::2], exchanges)
    pairs = list(zip(odd, even[1:], strict=False))
    exchanges += pairs
    rest = odd[len(pairs) :] or even[1 + len(pairs) :]
    return [even[0], *(wire for pair in pairs for wire in pair), *rest]


def _merge_of(new: int, old: int, kept: Collection[int] | None = None) -> Any:
    """The compiled merge of sorted windows of `new` rows with those of `old` rows before them.

    With `kept`, only these places of the merged windows are written.
    """
    exchanges: Exchanges = []
    order = merged(list(range(new)), list(range(new, new + old)), exchanges)
    lines = ["def merge(newer, older, out, first, last):", " for row in range(first, last):"]
    lines += [f"  w{place} = newer[u({place * _STRIDE}) + row]" for place in range(new)]
    lines += [f"  w{new + at} = older[u({at * _STRIDE}) + row - u({new})]" for at in range(old)]
    turns = [0] * (new + old)  # a name a value: the compiler is slow where names are used again

    def name(wire: int) -> str:
        return f"w{wire}_{turns[wire]}" if turns[wire] else f"w{wire}"

    for low, high in exchanges:
        was_low, was_high = name(low), name(high)
        turns[low] += 1
        turns[high] += 1
        lines += [f"  {name(low)} = min({was_low}, {was_high})"]
        lines += [f"  {name(high)} = max({was_high}, {was_low})"]
    written = range(new + old) if kept is None else sorted(kept)
    lines += [f"  out[u({at * _STRIDE}) + row] = {name(order[at])}" for at in written]
    known: dict[str, Any] = {"u": np.uint64}
    exec("\n".join(lines), known)  # noqa: S102 - our own text
    return jit(known["merge"])


def _neighbors(share: float) -> tuple[Any, Any]:
    """The places that a quantile is between, and how far, by how many values are valid."""
    last = np.maximum(np.arange(_LONGEST + 1) - 1.0, 0.0)
    place = share * last
    below = np.floor(place)
    places = np.stack((below, np.minimum(below + 1.0, last))).astype(np.int64)
    return places, np.where(np.arange(_LONGEST + 1) > 0, place - below, np.nan)


_UPPER, _UPPER_PART = _neighbors(0.8)
_LOWER, _LOWER_PART = _neighbors(0.2)
_OF_WHOLE: Final = {int(at) for at in (*_UPPER[:, _LONGEST], *_LOWER[:, _LONGEST])}

_MERGE_2, _MERGE_4, _MERGE_5, _MERGE_10, _MERGE_20, _MERGE_30, _MERGE_60 = (
    _merge_of(new, old) for _, new, old in CHAIN
)
_MERGE_60_WHOLE = _merge_of(*CHAIN[-1][1:], _OF_WHOLE)


@jit
def quantiles(x: Values, valid: Values, upper: Values, lower: Values) -> None:
    """The 0.8 and the 0.2 quantile of the valid rows, linear between neighbors, by window.

    `valid` counts the valid rows, by window.
    """
    unit, two, four = np.empty(_STRIDE), np.empty(2 * _STRIDE), np.empty(4 * _STRIDE)
    five, ten = np.empty(5 * _STRIDE), np.empty(10 * _STRIDE)
    twenty, thirty = np.empty(20 * _STRIDE), np.empty(30 * _STRIDE)
    sixty = np.empty(60 * _STRIDE)
    for first in range(0, len(x), _CHUNK):
        last = min(first + _CHUNK, len(x))
        end = np.uint64(_BEFORE + last - first)
        for at in range(_BEFORE + last - first):
            row = first - _BEFORE + at
            unit[at] = x[row] if row >= 0 and not np.isnan(x[row]) else np.inf
        _MERGE_2(unit, unit, two, np.uint64(1), end)
        _MERGE_4(two, two, four, np.uint64(3), end)
        _MERGE_5(four, unit, five, np.uint64(4), end)
        _MERGE_10(five, five, ten, np.uint64(9), end)
        _MERGE_20(ten, ten, twenty, np.uint64(19), end)
        _MERGE_30(twenty, ten, thirty, np.uint64(29), end)
        if _are_whole(valid[-1, first:last], _LONGEST):
            _MERGE_60_WHOLE(thirty, thirty, sixty, np.uint64(59), end)
        else:
            _MERGE_60(thirty, thirty, sixty, np.uint64(59), end)
        for window, ordered in enumerate((five, ten, twenty, thirty, sixty)):
            count, width = valid[window, first:last], _WIDTHS[window]
            _read(ordered, count, width, _UPPER, _UPPER_PART, upper[window, first:last])
            _read(ordered, count, width, _LOWER, _LOWER_PART, lower[window, first:last])


@jit
def _are_whole(counts: Values, width: int) -> bool:
    whole = True
    for row in range(len(counts)):
        whole &= counts[row] == width
    return whole


@jit
def _read(  # noqa: PLR0917
    ordered: Values, count: Values, width: int, places: Places, part: Values, out: Values
) -> None:
    """Read a quantile of sorted windows; a block of whole ones all at the same places."""
    for first in range(0, len(out), _BLOCK):
        into, counts = out[first : first + _BLOCK], count[first : first + _BLOCK]
        begin = _BEFORE + first
        if _are_whole(counts, width):
            low = ordered[places[0, width] * _STRIDE + begin :][: len(into)]
            high = ordered[places[1, width] * _STRIDE + begin :][: len(into)]
            for row in range(len(into)):
                into[row] = low[row] + (high[row] - low[row]) * part[width]
        else:
            for row in range(len(into)):
                valid = int(counts[row])
                low_one = ordered[places[0, valid] * _STRIDE + begin + row]
                high_one = ordered[places[1, valid] * _STRIDE + begin + row]
                into[row] = low_one + (high_one - low_one) * part[valid]
