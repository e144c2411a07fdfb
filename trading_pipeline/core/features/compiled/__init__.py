"""The table of features as compiled code, for panels of very many rows: the same bits, faster.

The statistics are those of this package. The formulas are not written again: each row of the table
is called once with names instead of arrays, and what it does with them becomes the body of a loop.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import config

from trading_pipeline.core.features.compiled import compiling, kernels, merges, sorted_window
from trading_pipeline.core.features.compiled.compiling import jit, kept
from trading_pipeline.core.features.operators import WINDOWS, Values

Rolling = Mapping[str, Callable[[Any, int], Any]]
OfRow = Mapping[str, Callable[[Any], Any]]


class Formula:
    """What a row of the table does with its bars, as the text of an expression."""

    def __init__(self, text: str) -> None:
        """Take the expression, in parentheses where it has several parts."""
        self._text = text

    @property
    def text(self) -> str:
        """The expression."""
        return self._text

    def __add__(self, other: "Formula | float") -> "Formula":
        return Formula(f"({self.text} + {_text(other)})")

    def __sub__(self, other: "Formula | float") -> "Formula":
        return Formula(f"({self.text} - {_text(other)})")

    def __mul__(self, other: "Formula | float") -> "Formula":
        return Formula(f"({self.text} * {_text(other)})")

    def __truediv__(self, other: "Formula | float") -> "Formula":
        return Formula(f"({self.text} / {_text(other)})")

    def __rmul__(self, other: float) -> "Formula":
        return Formula(f"({_text(other)} * {self.text})")


class Name(Formula):
    """A statistic that a formula reads, reached by the attributes of `Bars`."""

    def __init__(self, path: tuple[str, ...] = (), window: int | None = None) -> None:
        """Name nothing yet, or what these attributes lead to."""
        self.path = path
        self.window = window

    def __getattr__(self, name: str) -> "Name":
        return Name((*self.path, name), self.window)

    def __getitem__(self, key: int) -> "Name":
        if self.window is None:
            return Name(self.path, key)
        return Name((*self.path, str(key)), self.window)

    def __call__(self, *_: Formula) -> "Name":
        """A statistic that is computed with a column is a statistic like any other."""
        return self

    @property
    def text(self) -> str:
        """Its array at the row; ValueError for what is none of OWN and ROLLED."""
        if self.window is None:
            return f"own_{kernels.OWN.index('.'.join(self.path))}[row]"
        at = kernels.ROLLED.index(".".join(self.path))
        return f"rolled_{at}_{WINDOWS.index(self.window)}[row]"


def panel_of(of_row: OfRow, over_windows: Rolling) -> Callable[..., None]:
    """Return the compiled function that computes symbols first…last of a panel.

    Numba keeps it on disk under a name that holds a checksum of all that it is made of.
    """
    text = _source(of_row, over_windows)
    parts = (compiling, kernels, merges, sorted_window)
    made = "".join(inspect.getsource(part) for part in parts) + text
    tag = hashlib.sha256(made.encode()).hexdigest()
    known: dict[str, Any] = {"__name__": __name__, "np": np, "statistics": kernels.statistics}
    exec(compile(text, __file__, "exec"), known)  # noqa: S102 - our own table
    known["write"] = jit(known["write_of"](tag))
    return kept(known["panel_of"](tag))


_PANEL: Final = """
def panel_of(tag):
    def panel(fields, logs, starts, first, last, out):
        tag
        longest = 0
        for symbol in range(first, last):
            longest = max(longest, starts[symbol + 1] - starts[symbol])
        own_all = np.empty((OWN, longest))
        rolled_all = np.empty((ROLLED, 5, longest))
        state_all = np.empty((8, PARTS, longest))
        below_all = np.empty(longest, np.uint8)
        for symbol in range(first, last):
            start, end = starts[symbol], starts[symbol + 1]
            rows = end - start
            if rows == longest:
                own, rolled, state, below = own_all, rolled_all, state_all, below_all
            else:
                own, rolled = np.empty((OWN, rows)), np.empty((ROLLED, 5, rows))
                state, below = np.empty((8, PARTS, rows)), np.empty(rows, np.uint8)
            own[:6] = fields[:, start:end]
            statistics(own, logs[:, start:end].copy(), state, below, rolled)
            write(own, rolled, out, start, end)
    return panel
"""


def _source(of_row: OfRow, over_windows: Rolling) -> str:
    """The text of what writes every feature of one symbol, a loop each, and of what calls it."""
    bars: Any = Name()
    formulas = [formula(bars) for formula in of_row.values()]
    formulas += [formula(bars, w) for formula in over_windows.values() for w in WINDOWS]
    lines = ["def write_of(tag):", " def write(own, rolled, out, start, end):", "  tag"]
    for number, formula in enumerate(formulas):
        names = sorted(set(_NAME.findall(formula.text)))
        lines += [f"  {name} = {_array(name)}" for name in names]
        lines += [f"  into = out[{number}][start:end]", "  for row in range(len(into)):"]
        lines += [f"   into[row] = {formula.text}"]
    sizes = {
        "PARTS": kernels.PARTS,
        "ROLLED": len(kernels.ROLLED) + kernels.SPARE,
        "OWN": len(kernels.OWN),
    }
    whole = "\n".join([*lines, " return write", _PANEL])
    for name, size in sizes.items():
        whole = whole.replace(name, str(size))
    return whole


def _array(name: str) -> str:
    kind, *places = name.split("_")
    return f"{kind}{''.join(f'[{place}]' for place in places)}"


def _text(value: Formula | float) -> str:
    return value.text if isinstance(value, Formula) else repr(float(value))


_NAME: Final = re.compile(r"\b(?:own|rolled)(?:_[0-9]+)+\b")


def logs_of(fields: Values, starts: npt.NDArray[np.int64]) -> Values:
    """The logarithms of volume and of its change, by numpy, whose bits numba's are not."""
    volume = fields[4]
    before = np.concatenate(([np.nan], volume[:-1]))
    before[starts[:-1]] = np.nan
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.stack((np.log(volume + 1), np.log(volume / before + 1)))


def compute(
    panel: Callable[..., None],
    fields: Values,
    starts: npt.NDArray[np.int64],
    out: npt.NDArray[np.float32],
) -> None:
    """Write the features, (features, rows), of a panel whose symbol i has rows starts[i]…[i+1]."""
    logs, workers = logs_of(fields, starts), max(1, int(vars(config)["NUMBA_NUM_THREADS"]))
    whole = int(starts[-1])
    cuts = [int(np.searchsorted(starts, whole * n // workers)) for n in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        parts = [
            pool.submit(panel, fields, logs, starts, first, last, out)
            for first, last in pairwise(cuts)
            if last > first
        ]
        for part in parts:
            part.result()
