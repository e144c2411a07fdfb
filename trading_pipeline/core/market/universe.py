"""The universe: the symbols that may trade in a session."""

from collections.abc import Iterable, Sized

import polars as pl

from trading_pipeline.core.market.corporate_actions import require_columns
from trading_pipeline.errors import SchemaError, SettingsError


def universe(
    symbols: Iterable[str], clean_bars: pl.DataFrame, suspended: Iterable[str] = ()
) -> list[str]:
    """The asked symbols that have a clean bar in the session and are not suspended, sorted.

    `clean_bars` are those of one session; of several, SchemaError.
    """
    require_columns(clean_bars, ("symbol", "session"), "Clean bars")
    if (sessions := clean_bars["session"].n_unique()) > 1:
        raise SchemaError(f"The clean bars are of {sessions} sessions: those of one were expected.")
    return sorted(set(symbols).intersection(clean_bars["symbol"]).difference(suspended))


def require_room(universe: Sized, top_n: int, bottom_n: int) -> None:
    """Raise SettingsError with the numbers when the universe is too small for the portfolio."""
    if (needed := top_n + bottom_n) > len(universe):
        raise SettingsError(
            f"{top_n} long and {bottom_n} short positions need {needed} symbols, but the universe"
            f" has {len(universe)}: ask for fewer positions or for more symbols."
        )
