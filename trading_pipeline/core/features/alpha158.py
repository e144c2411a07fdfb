"""Alpha158: the 158 features of qlib, computed exactly, one row of a table each.

The definition is that of qlib 0.9.7 (Alpha158DL.get_feature_config, ops.py). qlib stores float32
and keeps running sums, which leaves noise; here a value is computed in float64 from the rows of its
own window alone, and stored as float32. So it is the same, to the last bit, whichever other
symbols, earlier or later sessions are computed with it.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.features.bars import Bars
from trading_pipeline.core.features.operators import EPS, WINDOWS, Values
from trading_pipeline.core.features.panel import BLOCK_CELLS, FIELDS, blocks, fill, to_array

VERSION = "alpha158-1"
"""Stands in every row of features; another one where any value would differ."""

LOOK_BACK = 60
"""Sessions before its own that the exact value of a row needs."""

COMPILED_FROM = 1_000_000
"""Rows from which compiled code is used: with fewer, loading it takes longer than it saves."""

OWN_ROW: dict[str, Callable[[Bars], Values]] = {
    "KMID": lambda b: (b.close - b.open) / b.open,
    "KLEN": lambda b: (b.high - b.low) / b.open,
    "KMID2": lambda b: (b.close - b.open) / b.span,
    "KUP": lambda b: (b.high - b.top) / b.open,
    "KUP2": lambda b: (b.high - b.top) / b.span,
    "KLOW": lambda b: (b.bottom - b.low) / b.open,
    "KLOW2": lambda b: (b.bottom - b.low) / b.span,
    "KSFT": lambda b: (2 * b.close - b.high - b.low) / b.open,
    "KSFT2": lambda b: (2 * b.close - b.high - b.low) / b.span,
    "OPEN0": lambda b: b.open / b.close,
    "HIGH0": lambda b: b.high / b.close,
    "LOW0": lambda b: b.low / b.close,
    "VWAP0": lambda b: b.vwap / b.close,
}
"""Features of a row by itself."""

OVER_WINDOWS: dict[str, Callable[[Bars, int], Values]] = {
    "ROC": lambda b, w: b.earlier[w] / b.close,
    "MA": lambda b, w: b.closes[w].mean / b.close,
    "STD": lambda b, w: b.closes[w].std / b.close,
    "BETA": lambda b, w: b.closes[w].slope / b.close,
    "RSQR": lambda b, w: b.closes[w].rsquare,
    "RESI": lambda b, w: b.closes[w].residual(b.close) / b.close,
    "MAX": lambda b, w: b.highest[w].value / b.close,
    "MIN": lambda b, w: b.lowest[w].value / b.close,
    "QTLU": lambda b, w: b.quantiles[w][0] / b.close,
    "QTLD": lambda b, w: b.quantiles[w][1] / b.close,
    "RANK": lambda b, w: b.ranks[w],
    "RSV": lambda b, w: (
        (b.close - b.lowest[w].value) / (b.highest[w].value - b.lowest[w].value + EPS)
    ),
    "IMAX": lambda b, w: b.highest[w].position / w,
    "IMIN": lambda b, w: b.lowest[w].position / w,
    "IMXD": lambda b, w: (b.highest[w].position - b.lowest[w].position) / w,
    "CORR": lambda b, w: b.close_and_volume[w],
    "CORD": lambda b, w: b.changes[w],
    "CNTP": lambda b, w: b.moves[w].risen / b.lengths[w],
    "CNTN": lambda b, w: b.moves[w].fallen / b.lengths[w],
    "CNTD": lambda b, w: b.moves[w].risen / b.lengths[w] - b.moves[w].fallen / b.lengths[w],
    "SUMP": lambda b, w: b.moves[w].rise_share,
    "SUMN": lambda b, w: b.moves[w].fall_share,
    "SUMD": lambda b, w: b.moves[w].balance,
    "VMA": lambda b, w: b.volumes[w].mean / (b.volume + EPS),
    "VSTD": lambda b, w: b.volumes[w].std / (b.volume + EPS),
    "WVMA": lambda b, w: b.traded_moves[w].std / (b.traded_moves[w].mean + EPS),
    "VSUMP": lambda b, w: b.volume_moves[w].rise_share,
    "VSUMN": lambda b, w: b.volume_moves[w].fall_share,
    "VSUMD": lambda b, w: b.volume_moves[w].balance,
}
"""Features of the last w rows; each is five columns, its name followed by w."""

NAMES: tuple[str, ...] = (*OWN_ROW, *(f"{name}{w}" for name in OVER_WINDOWS for w in WINDOWS))
"""All 158, in qlib's order."""


def alpha158(
    bars: pl.DataFrame, *, sessions: Sequence[date] | None = None, newest: int | None = None
) -> pl.DataFrame:
    """Return the 158 features of every symbol and session, from its first to its last bar.

    `bars` are adjusted: symbol, session, open, high, low, close, volume, vwap; in any order, other
    columns are ignored. A session without a bar is a row of nulls, in between as in a window;
    `sessions` is the axis, by default the sessions of the exchange. With `newest`, only so many of
    the last rows of each symbol are computed. Columns symbol, session, feature_version, then NAMES
    as float32, null for NaN; sorted by symbol and session. A row with fewer than 60 sessions before
    it is computed from those there are. Raises SchemaError for a missing column, a bar on no
    session of the axis, or two bars of a symbol in one session.
    """
    return compute(fill(bars, sessions=sessions), newest=newest)


def of_session(
    bars: pl.DataFrame, session: date, *, sessions: Sequence[date] | None = None
) -> pl.DataFrame:
    """Return the rows of `alpha158(bars)` of one session, bit by bit, from its look-back alone.

    `bars` need not hold more than the session and the 60 before it; a symbol listed earlier, but
    without a bar in the first of these, is told from a new one by a bar of nulls there.
    """
    earlier = fill(bars, sessions=sessions).filter(pl.col("session") <= session)
    present = earlier.filter(pl.col("session").max().over("symbol") == session)
    window = present.group_by("symbol", maintain_order=True).tail(LOOK_BACK + 1)
    return compute(window, newest=1)


def compute(
    filled: pl.DataFrame, *, cells: int = BLOCK_CELLS, newest: int | None = None
) -> pl.DataFrame:
    """Return the features of the `newest` rows a symbol, or all, of a filled frame.

    About `cells` rows are computed at once. From COMPILED_FROM rows on compiled code does the same.
    """
    keys = filled.select("symbol", "session", feature_version=pl.lit(VERSION))
    if filled.height >= COMPILED_FROM:
        whole = pl.concat((keys, compiled(filled)), how="horizontal")
        age = pl.int_range(pl.len(), 0, -1).over("symbol")
        return whole if newest is None else whole.filter(age <= newest)
    _keep_freed_memory()
    fields, layout = to_array(filled), blocks(filled, cells, alike=newest is not None)
    kept = [rows if newest is None else rows[-newest:] for rows in layout]
    values = np.empty((len(NAMES), sum(rows.size for rows in kept)), dtype=np.float32)
    place = np.full(filled.height + 1, -1)  # of a row in `values`; the last: of none
    done = 0
    for rows, own in zip(layout, kept, strict=True):
        _write(Bars(fields[:, rows], newest), values[:, done : done + own.size])
        place[own.T.ravel()] = np.arange(done, done + own.size)
        done += own.size
    placed = keys.with_columns(place=place[:-1]).filter(pl.col("place") >= 0)
    found = np.ascontiguousarray(values[:, placed["place"].to_numpy()])
    return pl.concat((placed.drop("place"), _frame(found)), how="horizontal")


def compiled(filled: pl.DataFrame) -> pl.DataFrame:
    """The features of every row of a filled frame, by compiled code.

    The first call of a release compiles for up to a minute; numba keeps what it made on disk.
    """
    lengths = filled["symbol"].rle().struct.field("len").to_numpy()
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    fields = np.stack([filled[name].to_numpy() for name in FIELDS])
    out = np.empty((len(NAMES), filled.height), dtype=np.float32)
    _engine()(fields, starts, out)
    return _frame(out)


def _frame(values: npt.NDArray[np.float32]) -> pl.DataFrame:
    """A column for each feature, null for NaN, made of the memory of `values` itself."""
    return pl.DataFrame(dict(zip(NAMES, values, strict=True)), nan_to_null=True)


@cache
def _engine() -> Callable[..., None]:
    from trading_pipeline.core.features import compiled as code  # noqa: PLC0415 - heavy: on first use

    return partial(code.compute, code.panel_of(OWN_ROW, OVER_WINDOWS))


def _write(bars: Bars, out: npt.NDArray[np.float32]) -> None:
    """Write the features of a block to `out`, shape (features, cells), lane after lane."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for column, values in zip(out, _columns(bars), strict=True):
            column.reshape(values.T.shape)[:] = values.T


def _columns(bars: Bars) -> Iterator[Values]:
    """The features in the order of NAMES."""
    for feature in OWN_ROW.values():
        yield feature(bars)
    for rolling in OVER_WINDOWS.values():
        for window in WINDOWS:
            yield rolling(bars, window)


def _keep_freed_memory() -> None:
    """Make glibc keep the memory of a block for the next one: that saves a third of the time.

    It returns freed memory to the kernel, which has to map and clear it page by page again, unless
    it has seen a larger piece freed before (mallopt(3), M_MMAP_THRESHOLD); 32 MiB is the limit.
    """
    np.empty(31 << 20, dtype=np.uint8)
