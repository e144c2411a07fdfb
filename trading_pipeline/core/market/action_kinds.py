"""The kinds of corporate actions, and what each does to a holder's shares, cash and symbol."""

from typing import Final

import polars as pl

SHARES: Final = ("split", "reverse_split", "stock_dividend")
"""Kinds that change the number of shares by `split_ratio`."""

CASH: Final = ("dividend", "special_dividend")
"""Kinds that pay `dividend` dollars a share; a special one is no part of a regular series."""

SPIN_OFF: Final = "spin_off"
"""`new_shares` of `new_symbol` a share; `dividend` is their worth in dollars, 0 if not known."""

SYMBOL_CHANGE: Final = "symbol_change"
"""The instrument trades as `new_symbol` from the ex-date on."""

DELISTING: Final = "delisting"
"""The instrument does not trade from the ex-date on; a share became `dividend` dollars and, in a
merger, `new_shares` of `new_symbol`, which is empty otherwise."""

KINDS: Final = (*SHARES, *CASH, SPIN_OFF, SYMBOL_CHANGE, DELISTING)

NOTHING: Final = ""
"""The `new_symbol` of a delisting."""

ACTIONS: Final = {
    "symbol": pl.String,
    "ex_date": pl.Date,
    "kind": pl.String,
    "split_ratio": pl.Float64,
    "dividend": pl.Float64,
    "new_symbol": pl.String,
    "new_shares": pl.Float64,
}
"""The columns of a corporate action as a vendor tells it."""

_WITHOUT_SUCCESSOR: Final = {
    "new_symbol": pl.lit(None, pl.String),
    "new_shares": pl.lit(None, pl.Float64),
}


def completed(actions: pl.DataFrame) -> pl.DataFrame:
    """Actions of symbol, ex_date, kind, split_ratio and dividend with all columns of ACTIONS.

    A split of fewer new shares than old ones becomes a reverse split.
    """
    ratio, kind = pl.col("split_ratio"), pl.col("kind")
    reverse = (kind == "split") & (ratio < 1)
    named = pl.when(reverse).then(pl.lit("reverse_split")).otherwise(kind)
    missing = {
        name: value for name, value in _WITHOUT_SUCCESSOR.items() if name not in actions.columns
    }
    return actions.with_columns(kind=named, **missing).select(*ACTIONS)


def of_prices(actions: pl.DataFrame) -> pl.DataFrame:
    """The actions that make prices before and after comparable: all but renames and delistings."""
    if "kind" not in actions.columns:
        return actions
    return actions.filter(~pl.col("kind").is_in([SYMBOL_CHANGE, DELISTING]))


def is_void() -> pl.Expr:
    """Whether a row says that its action was taken back: it changes nothing at all."""
    unchanged = (pl.col("split_ratio") == 1) & (pl.col("dividend") == 0)
    return unchanged & pl.col("new_symbol").is_null()


def voided() -> dict[str, pl.Expr]:
    """The columns of a row that takes its action back."""
    return {"split_ratio": pl.lit(1.0), "dividend": pl.lit(0.0), **_WITHOUT_SUCCESSOR}
