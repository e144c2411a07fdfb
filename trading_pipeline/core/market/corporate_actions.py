"""Corporate actions: the factors that make prices before a split or dividend comparable with after.

With S new shares per old, D raw dollars of dividend a share, C the raw close of the ex-date and
C_prev the last close before it, an action's factor is

    crsp   f = C / (C·S + D)          Quandl WIKI, Alpha Vantage
    yahoo  f = (1 − D / C_prev) / S   Yahoo, LEAN, zipline

A bar's prices are multiplied by the factors of all later ex-dates, its volume by all later S.
"""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Any, Literal

import polars as pl

from trading_pipeline.core.market.action_kinds import ACTIONS, completed, of_prices
from trading_pipeline.core.market.calendar import session_on_or_after
from trading_pipeline.core.market.codes import (
    DAYS,
    coded,
    codes_of,
    named,
    order_by_symbol,
    places,
)
from trading_pipeline.core.market.instruments import by_instrument, by_symbol, lives
from trading_pipeline.errors import DataError, SchemaError

Convention = Literal["crsp", "yahoo"]
"""How a dividend's factor is computed: by the close after it, or by the close before it."""

PRICES = ("open", "high", "low", "close", "vwap")
"""What the price factor applies to."""

FACTORS = ("price_factor", "volume_factor")
"""The columns that mark bars as adjusted."""

_SMALLEST_JUMP = 1e-5
_FINEST_PRECISION = 1e-9


def adjust(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    *,
    convention: Convention,
    as_of: date | None = None,
) -> pl.DataFrame:
    """Return the bars with prices and volume adjusted backward for the actions up to `as_of`.

    Rows, their order and the type of their symbols are those of `bars`; open, high, low, close,
    vwap (those present) and volume become float64, and columns price_factor and volume_factor are
    added. Actions on days without a bar apply as well; without `as_of` all actions do. Bars that
    already carry factors are refused with SchemaError, so nothing is ever adjusted twice; a
    dividend that is not smaller than the price it is paid from is a DataError. Symbol changes and
    delistings among the actions say which bars are of one instrument: actions reach across a
    rename, and never to another company's bars under the same symbol.
    """
    require_columns(bars, ("symbol", "session", "close", "volume"), "Bars")
    if present := [name for name in FACTORS if name in bars.columns]:
        raise SchemaError(f"Bars with {present[0]} are adjusted already: raw bars were expected.")
    due = actions if as_of is None else actions.filter(pl.col("ex_date") <= as_of)
    stands_for = lives(due)
    by_id = by_instrument(bars, stands_for)
    codes = codes_of(by_id)
    by_code = named(by_id, codes)
    told = coded(by_instrument(due, stands_for, "ex_date"), codes)
    own = _positive(action_factors(by_code, told, convention=convention))
    product = pl.col(FACTORS).cum_prod(reverse=True).over("symbol")
    later = own.lazy().select("symbol", "ex_date", product)
    prices = [name for name in PRICES if name in bars.columns]
    adjusted = (
        _with_next(by_code, later)
        .with_columns(
            pl.col(prices) * pl.col("price_factor"), pl.col("volume") * pl.col("volume_factor")
        )
        .collect()
    )
    return named(by_symbol(adjusted, stands_for), bars.schema["symbol"])


def action_factors(
    bars: pl.DataFrame, actions: pl.DataFrame, *, convention: Convention
) -> pl.DataFrame:
    """One row a symbol and ex-date: its own price_factor f and volume_factor S, by the raw closes.

    Columns symbol, ex_date, session (of the first bar with a close on or after the ex-date, else
    null), price_factor, volume_factor; sorted by symbol and ex_date. Actions of one day are one
    action: ratios multiply, dividends add. On a day without a bar, C is the next close there is.
    Where the close that the convention asks for is not among the bars, f is 1/S: a dividend
    before a symbol's first bar, or crsp after its last, changes nothing in how its bars compare.
    """
    require_columns(bars, ("symbol", "session", "close", "volume"), "Bars")
    require_columns(actions, ("symbol", "ex_date", "split_ratio", "dividend"), "Corporate actions")
    actions = of_prices(actions)
    found = _with_closes(_days(actions), bars).sort("symbol", "ex_date")
    shares_gaps = (found["split_ratio"] != 1).any() and _shares_gaps(found)
    return (
        found.lazy()
        .with_columns(*(_closes_around_each_day() if shares_gaps else ()))
        .with_columns(price_factor=_factor(convention), volume_factor="split_ratio")
        .select("symbol", "ex_date", "session", *FACTORS)
        .collect()
    )


def on_sessions(actions: pl.DataFrame) -> pl.DataFrame:
    """The actions with `session`, the first session on or after the ex-date, behind `symbol`."""
    require_columns(actions, ("symbol", "ex_date"), "Corporate actions")
    days = actions["ex_date"].unique().to_list()
    sessions = {day: session_on_or_after(day) for day in days}
    session = pl.col("ex_date").replace_strict(sessions, return_dtype=pl.Date)
    others = [name for name in actions.columns if name not in {"symbol", "session"}]
    return actions.select("symbol", session.alias("session"), *others)


def infer(
    bars: pl.DataFrame, adjusted_close: str = "adj_close", *, convention: Convention = "crsp"
) -> pl.DataFrame:
    """Recover the actions from the jumps of a vendor's adjusted close against its raw close.

    Columns ACTIONS, one row an action; the ex-date is that of the bar. A jump 1/f is a split when
    it is a ratio of small whole numbers, a whole split with a
    dividend when it lies up to 5 % above a whole number, else a dividend (also of shares of another
    company: the number of shares held stays). Amounts are rounded as far as the vendor's own
    rounding, measured on the days between, allows. A jump down that is no reverse split is a
    SchemaError: such a column is too coarse, or no adjusted close.
    """
    require_columns(bars, ("symbol", "session", "close", adjusted_close), "Bars")
    jumps = _jumps(bars, adjusted_close).iter_rows(named=True)
    found = [action for jump in jumps for action in _explained(jump, convention)]
    told = dict(list(ACTIONS.items())[:5])
    return completed(pl.DataFrame(found, schema=told, orient="row"))


def require_columns(frame: pl.DataFrame, names: tuple[str, ...], what: str) -> None:
    """Raise SchemaError that names the columns `frame` lacks."""
    if missing := [name for name in names if name not in frame.columns]:
        raise SchemaError(f"{what} lack {', '.join(missing)}: {', '.join(names)} were expected.")


def _with_closes(days: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """The days with the usable closes around each: ex_close and its session, prior_close.

    A search in the sorted numbers of symbol and day, many times faster than two as-of joins.
    """
    codes = codes_of(bars)
    close = bars["close"].cast(pl.Float64)
    key = places(bars, "session", codes)
    usable = (close.is_finite() & (close > 0)).fill_null(value=False) & key.is_not_null()
    row = usable.arg_true()
    key = key.gather(row)
    if not key.is_sorted():
        is_in_time = bars["session"].is_sorted() and bars.schema["symbol"] == codes
        order = order_by_symbol(bars["symbol"].gather(row)) if is_in_time else key.arg_sort()
        key, row = key.gather(order), row.gather(order)
    asked = places(days, "ex_date", codes)
    after = key.search_sorted(asked, "left").cast(pl.Int64)
    ex, prior = (row.gather(_same_symbol(key, at, asked)) for at in (after, after - 1))
    return days.with_columns(
        bars["session"].gather(ex).alias("session"),
        close.gather(ex).alias("ex_close"),
        close.gather(prior).alias("prior_close"),
    )


def _same_symbol(key: pl.Series, at: pl.Series, asked: pl.Series) -> pl.Series:
    """The rows `at` where they are of the asked symbol, else null."""
    rows = at.set((at < 0) | (at >= len(key)), None)
    same = key.gather(rows) // DAYS == asked // DAYS
    return rows.set(~same.fill_null(value=False), None)


def _days(actions: pl.DataFrame) -> pl.DataFrame:
    """One row a symbol and ex-date; SchemaError for a ratio or a dividend that cannot be."""
    ratio, dividend = pl.col("split_ratio"), pl.col("dividend")
    sound = ratio.is_finite() & (ratio > 0) & dividend.is_finite() & (dividend >= 0)
    for row in actions.filter(~sound.fill_null(value=False)).head(1).to_dicts():
        raise SchemaError(
            f"The corporate action of {row['symbol']} on {row['ex_date']} has the ratio"
            f" {row['split_ratio']} and the dividend {row['dividend']}:"
            " a ratio above 0 and a dividend of 0 or more were expected."
        )
    days = actions.select("symbol", "ex_date", "split_ratio", "dividend")
    if days.select(pl.struct("symbol", "ex_date").is_unique().all()).item():
        return days
    return days.group_by("symbol", "ex_date").agg(ratio.product(), dividend.sum())


def _shares_gaps(days: pl.DataFrame) -> bool:
    """Whether several ex-dates of a symbol, in their order, fall between two of its bars."""
    same = [pl.col(name).eq_missing(pl.col(name).shift()) for name in ("symbol", "session")]
    return bool(days.select(pl.all_horizontal(same).slice(1).any()).item())


def _closes_around_each_day() -> tuple[pl.Expr, pl.Expr]:
    """Both closes in shares of the ex-date, where several ex-dates fall between two bars."""
    gap = ["symbol", "session"]
    through = pl.col("split_ratio").cum_prod().over(gap)
    after = pl.col("split_ratio").product().over(gap) / through
    before = through / pl.col("split_ratio")
    return pl.col("ex_close") * after, pl.col("prior_close") / before


def _factor(convention: Convention) -> pl.Expr:
    ratio, dividend, close = pl.col("split_ratio"), pl.col("dividend"), pl.col("ex_close")
    crsp = close / (close * ratio + dividend)
    yahoo = (1 - dividend / pl.col("prior_close")) / ratio
    return pl.coalesce(crsp if convention == "crsp" else yahoo, 1 / ratio)


def _positive(factors: pl.DataFrame) -> pl.DataFrame:
    for row in factors.filter(pl.col("price_factor") <= 0).head(1).to_dicts():
        raise DataError(
            f"The dividend of {row['symbol']} on {row['ex_date']} is not smaller than the close"
            " before it: the action or the close is wrong."
        )
    return factors


def _with_next(bars: pl.DataFrame, factors: pl.LazyFrame) -> pl.LazyFrame:
    """Give each bar the factors of the first ex-date after it, in the order of `bars`."""
    is_ordered = bars["session"].is_sorted()
    rows = bars.lazy() if is_ordered else bars.lazy().with_row_index("row").sort("session")
    found = rows.join_asof(
        factors.sort("ex_date"),
        left_on="session",
        right_on="ex_date",
        by="symbol",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    found = found if is_ordered else found.sort("row").drop("row")
    return found.with_columns(pl.col(FACTORS).fill_null(1.0))


def _jumps(bars: pl.DataFrame, adjusted_close: str) -> pl.DataFrame:
    """Bars whose adjusted/raw ratio is not the one before: jump = 1/f, and how exact that is."""
    close, adjusted = pl.col("close").cast(pl.Float64), pl.col(adjusted_close).cast(pl.Float64)
    usable = close.is_finite() & adjusted.is_finite() & (close > 0) & (adjusted > 0)
    ratio, size = pl.col("ratio"), (pl.col("jump") - 1).abs()
    return (
        bars.lazy()
        .filter(usable)
        .select("symbol", "session", close, (adjusted / close).alias("ratio"))
        .sort("symbol", "session")
        .with_columns(
            jump=(ratio / ratio.shift()).over("symbol"), prior=close.shift().over("symbol")
        )
        .with_columns(noise=size.filter(size <= _SMALLEST_JUMP).max().over("symbol"))
        .filter(size > _SMALLEST_JUMP)
        .with_columns(precision=pl.max_horizontal(4 * pl.col("noise"), _FINEST_PRECISION))
        .collect()
    )


def _explained(jump: dict[str, Any], convention: Convention) -> Iterator[tuple[Any, ...]]:
    """The one or two actions that make a jump."""
    size, precision = jump["jump"], jump["precision"]
    key = (jump["symbol"], jump["session"])
    split = _split_within(size, precision)
    if split is None:
        raise SchemaError(
            f"The adjusted close of {key[0]} falls by {1 - size:.2g} against the close on {key[1]},"
            " which is no reverse split: a finer adjusted close, or a file of actions, is expected."
        )
    if split != 1:
        yield (*key, "split", split, 0.0)
    if abs(size / split - 1) > precision:
        crsp, yahoo = (size - split) * jump["close"], (1 - split / size) * jump["prior"]
        paid = crsp if convention == "crsp" else yahoo
        yield (*key, "dividend", 1.0, _shortest(paid, within=precision * jump["close"]))


def _split_within(jump: float, precision: float) -> float | None:
    """The split in a jump: 1.0 for none, None for a fall that no reverse split explains."""
    simple = Fraction(jump).limit_denominator(20) if jump > 1 else _reverse(jump)
    if abs(float(simple) / jump - 1) <= precision:
        return float(simple)
    if jump < 1:
        return None
    whole = float(int(jump))
    return whole if jump <= 1.05 * whole else 1.0


def _reverse(jump: float) -> Fraction:
    return 1 / Fraction(1 / jump).limit_denominator(20)


def _shortest(amount: float, *, within: float) -> float:
    """`amount` with as few decimals, 2 to 6, as stay near it."""
    rounded = (round(amount, decimals) for decimals in range(2, 7))
    return next((short for short in rounded if abs(short - amount) <= within), amount)
