"""How numeric loops are compiled; numba is imported here and nowhere before."""

from collections.abc import Callable
from typing import Any

from numba import njit

jit: Any = njit(nogil=True, error_model="numpy")
"""As numpy divides, threads beside each other, no fused operations: the bits are those of numpy."""

_kept: Any = njit(nogil=True, error_model="numpy", cache=True)


def kept(function: Callable[..., Any]) -> Any:
    """Compile like `jit`, once for all processes: what was compiled is kept on disk.

    Where no folder for it can be written to, each process compiles for itself.
    """
    try:
        return _kept(function)
    except RuntimeError:  # numba found no such folder
        return jit(function)
