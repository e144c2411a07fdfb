"""Windows cut out one by one, for a slow and obvious computation to be compared with."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Column = npt.NDArray[np.float64]

VALUES = st.one_of(
    st.just(float("nan")),
    st.sampled_from([1.0, 2.0, 3.0]),  # so that there are ties and flat windows
    st.floats(0.5, 1e6, allow_subnormal=False),
)
COLUMNS = st.lists(VALUES, min_size=1, max_size=140).map(lambda column: np.array(column)[:, None])


def by_hand(column: Column, window: int, answer: Callable[[Column], float]) -> Column:
    """`answer` of the rows of every window, oldest first, NaN rows included."""
    rows = column[:, 0]
    found = [answer(rows[max(0, at - window + 1) : at + 1]) for at in range(len(rows))]
    return np.array(found)[:, None]


def valid(rows: Column) -> Column:
    """The rows that are not NaN."""
    return rows[~np.isnan(rows)]
