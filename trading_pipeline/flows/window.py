"""The sessions a flow works on: those asked for, and those before them that are not held yet."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import require_session, session_window
from trading_pipeline.errors import SettingsError


def missing_sessions(
    lake: Lake, table: str, window: Sequence[date], *, symbols: Collection[str] | None = None
) -> list[date]:
    """Return the sessions of the window that are not held (for all `symbols`), oldest first."""
    if not window:
        return []
    return sorted(set(window) - lake.held(table, min(window), max(window), symbols=symbols))


def with_history(
    lake: Lake,
    table: str,
    sessions: Iterable[date],
    *,
    history: int,
    symbols: Collection[str] | None = None,
    again: int = 0,
) -> list[date]:
    """Return the sessions, and those of the `history` up to the first that are not held.

    A session counts as held when it was written for all of `symbols`, so that a symbol asked for
    later gets a history as long as the others'. The `again` sessions before the first are among
    them though they are held: what was said of them may have been restated since.
    """
    asked = checked(sessions)
    earlier = session_window(asked[0], history)
    once_more = session_window(asked[0], again + 1)
    missing = missing_sessions(lake, table, earlier, symbols=symbols)
    return sorted({*asked, *missing, *(day for day in once_more if day in earlier)})


def checked(sessions: Iterable[date]) -> list[date]:
    """The sessions, each once, in order; SettingsError for a day without trading, or for none."""
    asked = sorted({require_session(session) for session in sessions})
    if not asked:
        raise SettingsError("No session was asked for: at least one is expected.")
    return asked


def rows_of(frame: pl.DataFrame, sessions: Iterable[date]) -> pl.DataFrame:
    """The rows of these sessions."""
    return frame.filter(pl.col("session").is_in(list(sessions)))


def span(asked: Sequence[date]) -> dict[str, str]:
    """The first and the last session, as fields of a log line."""
    return {"first_session": str(asked[0]), "last_session": str(asked[-1])}
