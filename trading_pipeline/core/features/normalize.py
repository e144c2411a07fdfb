"""Values made comparable across sessions."""

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
