"""How a figure is taken: the median of several runs, beside its limit and a yardstick of the day.

Machines are shared and noisy, so each figure is also given as a ratio to a yardstick measured in
the same run: importing Dagster in a fresh interpreter for whole commands, or another way to do the
same work for pieces of it.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure: seconds (or `unit`), the limit promised (None: none), and a ratio."""

    name: str
    seconds: float
    limit: float | None
    ratio: float | None = None
    ratio_to: str | None = None
    note: str = ""
    unit: str = "s"

    @property
    def holds(self) -> bool:
        """Whether the figure is within its limit."""
        return self.limit is None or self.seconds <= self.limit


def median(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median wall seconds of `work`, after one run that is not counted."""
    work()
    return statistics.median(timed(work) for _ in range(runs))


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of one run of `work`."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
