"""Announced corporate actions against what the price did: reported, and not applied blindly.

With p the close before the ex-date, S new shares per old and D dollars of dividend a share, the
price should fall to (p − D) / S: by the ratio E = p·S / (p − D). A large one can be told from an
ordinary day: the price is nearer to where it should be than to where it was, or it is not.
"""

from datetime import timedelta
from typing import Final

import polars as pl

from trading_pipeline.core.market.action_kinds import of_prices

SMALLEST: Final = 1.2
"""The ratio from which a move can be told from an ordinary day's; smaller ones are `unverified`."""

EARLIER: Final = timedelta(days=10)
"""How far before its announced ex-date an action is looked for."""

CHECKS: Final = ("symbol", "session", "ex_date", "kind", "announced", "moved", "verdict")
"""The columns of the table action_checks."""

_DAY = ["symbol", "session"]
_NOT_APPLIED = ("contradicted", "late")


def compare(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Compare each action with the move of its session: columns CHECKS, one row an action.

    `agrees`: the price fell as announced. `contradicted`: it did not; the announcement is early, or
    wrong. `late`: it did not, and had fallen so shortly before. `unverified`: too small to tell, or
    no bars. `announced` is E, `moved` the close before over the close; actions of one day are one.
    Only the bars up to the session enter, so no later one changes a verdict.
    """
    told = actions.lazy()
    moves = _moves(bars.lazy(), actions["symbol"].unique().to_list())
    days = (
        of_prices(actions)
        .lazy()
        .group_by(_DAY)
        .agg(pl.col("split_ratio").product(), pl.col("dividend").sum())
    )
    found = days.join(moves, on=_DAY, how="left").with_columns(announced=_expected()).collect()
    large = found.lazy().filter(_is_large(pl.col("announced")))
    judged = found.lazy().with_columns(earlier=pl.lit(value=False))
    if not large.collect().is_empty():
        judged = found.lazy().join(_earlier(large, moves, told), on=_DAY, how="left")
    return (
        told.join(judged.with_columns(verdict=_verdict()), on=_DAY, how="left")
        .select(CHECKS)
        .sort("session", "symbol", "ex_date", "kind")
        .collect()
    )


def credible(actions: pl.DataFrame, checks: pl.DataFrame) -> pl.DataFrame:
    """The actions that no check speaks against: those to adjust by."""
    refuted = checks.filter(pl.col("verdict").is_in(_NOT_APPLIED))
    return actions.join(
        refuted, on=["symbol", "ex_date", "kind"], how="anti", maintain_order="left"
    )


def _moves(bars: pl.LazyFrame, symbols: list[str]) -> pl.LazyFrame:
    """The close before each bar of the symbols, and how it stands to the bar's close and open."""
    opening, close = pl.col("open"), pl.col("close")
    sound = opening.is_finite() & close.is_finite() & (opening > 0) & (close > 0)
    prior = close.shift().over("symbol")
    return (
        bars.filter(pl.col("symbol").is_in(symbols) & sound)
        .unique(_DAY, keep="first", maintain_order=True)
        .sort(_DAY[::-1])
        .select(*_DAY, prior=prior, moved=prior / close, opened=prior / opening)
    )


def _expected() -> pl.Expr:
    """E; infinite for a dividend that is not smaller than the price, null without a price."""
    prior, dividend = pl.col("prior"), pl.col("dividend")
    left = pl.when(dividend < prior).then(prior - dividend).otherwise(0.0)
    return pl.when(prior.is_not_null()).then(pl.col("split_ratio") * (prior / left))


def _fits(announced: pl.Expr) -> pl.Expr:
    """Whether the open or the close is nearer to the announced price than to the one before."""
    nearer = [(pl.col(x).log() - announced.log()).abs() < pl.col(x).log().abs() for x in _MOVES]
    return pl.any_horizontal(nearer)


_MOVES = ("moved", "opened")


def _is_large(announced: pl.Expr) -> pl.Expr:
    return announced.log().abs() >= pl.lit(SMALLEST).log() - 1e-9


def _verdict() -> pl.Expr:
    announced = pl.col("announced")
    return (
        pl.when(~_is_large(announced).fill_null(value=False))
        .then(pl.lit("unverified"))
        .when(_fits(announced))
        .then(pl.lit("agrees"))
        .when(pl.col("earlier").fill_null(value=False))
        .then(pl.lit("late"))
        .otherwise(pl.lit("contradicted"))
    )


def _earlier(large: pl.LazyFrame, moves: pl.LazyFrame, actions: pl.LazyFrame) -> pl.LazyFrame:
    """The days whose price had fallen as announced shortly before, and no action explains that."""
    unexplained = moves.join(actions, on=_DAY, how="anti")
    before = (
        large.select(*_DAY, "announced")
        .join(unexplained, on="symbol", suffix="_before")
        .filter(
            pl.col("session_before") < pl.col("session"),
            pl.col("session_before") >= pl.col("session") - EARLIER,
            _fits(pl.col("announced")) & _is_large(pl.col("moved")),
        )
    )
    return before.select(*_DAY).unique().with_columns(earlier=pl.lit(value=True))
