"""Values made comparable across sessions."""

import numpy as np
import numpy.typing as npt
import polars as pl

_FLAT = 1e-12


def zscore(column: str, *, within: str = "session") -> pl.Expr:
    """Return (x - mean) / standard deviation of `column` over the rows of one session.

    The standard deviation is the sample's (ddof = 1). Where it is 0, or there is one value only,
    x - mean is all there is. Null and NaN do not count and give null. The source is qlib's
    CSZScoreNorm, which does so for labels.
    """
    x = pl.col(column).fill_nan(None)
    centered, std = x - x.mean(), x.std(ddof=1)
    return pl.when(std > _FLAT).then(centered / std).otherwise(centered).over(within).alias(column)


def zscores(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return `zscore` of values laid out as (sessions, symbols), but for rounding; NaN is none."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    centered = values - np.where(known, values, 0.0).sum(axis=1, keepdims=True) / count
    squares = np.where(known, centered**2, 0.0).sum(axis=1, keepdims=True)
    std = np.sqrt(squares / np.maximum(count - 1, 1))
    scale: npt.NDArray[np.float64] = np.where(std > _FLAT, std, 1.0)
    return centered / scale
