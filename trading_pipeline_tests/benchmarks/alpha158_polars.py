"""Alpha158 as polars expressions: what the features cost without an engine of their own.

A yardstick for bars without gaps; values are those of the platform from the 61st row on.
"""

from collections.abc import Iterator

import polars as pl

WINDOWS = (5, 10, 20, 30, 60)
EPS = 1e-12

O, H, L, C, V, W = (  # noqa: E741 - the letters of the definition
    pl.col(name) for name in ("open", "high", "low", "close", "volume", "vwap")
)
ROW = pl.int_range(pl.len()).cast(pl.Float64)


def alpha158(bars: pl.DataFrame) -> pl.DataFrame:
    """The 158 columns of bars that are sorted by symbol and session."""
    columns = [expression.over("symbol").cast(pl.Float32) for expression in expressions()]
    lazy = bars.lazy().select("symbol", "session", *columns)
    return lazy.collect(engine="streaming")


def expressions() -> Iterator[pl.Expr]:
    """Every feature, named."""
    span, top, bottom = H - L + EPS, pl.max_horizontal(O, C), pl.min_horizontal(O, C)
    own = {
        "KMID": (C - O) / O,
        "KLEN": (H - L) / O,
        "KMID2": (C - O) / span,
        "KUP": (H - top) / O,
        "KUP2": (H - top) / span,
        "KLOW": (bottom - L) / O,
        "KLOW2": (bottom - L) / span,
        "KSFT": (2 * C - H - L) / O,
        "KSFT2": (2 * C - H - L) / span,
        "OPEN0": O / C,
        "HIGH0": H / C,
        "LOW0": L / C,
        "VWAP0": W / C,
    }
    for name, expression in own.items():
        yield expression.alias(name)
    by_window = {window: rolling(window) for window in WINDOWS}
    for name in by_window[5]:
        for window in WINDOWS:
            yield by_window[window][name].alias(f"{name}{window}")


def rolling(w: int) -> dict[str, pl.Expr]:
    """The features of one window."""
    known = {"window_size": w, "min_samples": 1}
    high, low = H.rolling_max(**known), L.rolling_min(**known)
    newest_first = range(w)
    at_high = pl.min_horizontal(
        pl.when(H.shift(age) == high).then(pl.lit(w - age)) for age in newest_first
    )
    at_low = pl.min_horizontal(
        pl.when(L.shift(age) == low).then(pl.lit(w - age)) for age in newest_first
    )
    spread = (w * w - 1) / 12 * w
    mean = C.rolling_mean(**known)
    weighted = (ROW * C).rolling_sum(**known) - ROW * C.rolling_sum(**known)
    slope = (weighted + (w - 1) / 2 * w * mean) / spread
    variance = C.rolling_var(**known)
    change, volume_change = C / C.shift(1), V / V.shift(1)
    step, volume_step = C - C.shift(1), V - V.shift(1)
    traded = (change - 1).abs() * V
    rises, falls = (step > 0).cast(pl.Float64), (step < 0).cast(pl.Float64)
    up, down = _way(step, w)
    volume_up, volume_down = _way(volume_step, w)
    return {
        "ROC": C.shift(w) / C,
        "MA": mean / C,
        "STD": C.rolling_std(**known) / C,
        "BETA": slope / C,
        "RSQR": slope**2 * spread / (variance * (w - 1)),
        "RESI": (C - mean - slope * (w - 1) / 2) / C,
        "MAX": high / C,
        "MIN": low / C,
        "QTLU": C.rolling_quantile(0.8, interpolation="linear", **known) / C,
        "QTLD": C.rolling_quantile(0.2, interpolation="linear", **known) / C,
        "RANK": C.rolling_rank(method="average", **known) / w,
        "RSV": (C - low) / (high - low + EPS),
        "IMAX": at_high / w,
        "IMIN": at_low / w,
        "IMXD": (at_high - at_low) / w,
        "CORR": pl.rolling_corr(C, (V + 1).log(), window_size=w, min_samples=2),
        "CORD": pl.rolling_corr(change, (volume_change + 1).log(), window_size=w, min_samples=2),
        "CNTP": rises.rolling_mean(**known),
        "CNTN": falls.rolling_mean(**known),
        "CNTD": rises.rolling_mean(**known) - falls.rolling_mean(**known),
        "SUMP": up / (up + down + EPS),
        "SUMN": down / (up + down + EPS),
        "SUMD": (up - down) / (up + down + EPS),
        "VMA": V.rolling_mean(**known) / (V + EPS),
        "VSTD": V.rolling_std(**known) / (V + EPS),
        "WVMA": traded.rolling_std(**known) / (traded.rolling_mean(**known) + EPS),
        "VSUMP": volume_up / (volume_up + volume_down + EPS),
        "VSUMN": volume_down / (volume_up + volume_down + EPS),
        "VSUMD": (volume_up - volume_down) / (volume_up + volume_down + EPS),
    }


def _way(step: pl.Expr, w: int) -> tuple[pl.Expr, pl.Expr]:
    """What was risen and what was fallen over the window, both positive."""
    known = {"window_size": w, "min_samples": 1}
    up, down = step.clip(lower_bound=0), (-step).clip(lower_bound=0)
    return up.rolling_sum(**known), down.rolling_sum(**known)
