"""Features as they were known: of each session, from bars adjusted for the actions up to it.

A session's features must not depend on which other sessions are computed with it. Bars adjusted as
of the last session of a range are those adjusted as of an earlier one times a constant, but the
features of both differ by rounding, and by more where a formula has a constant of its own. So the
sessions of a symbol are cut where an action goes ex: within such an episode the adjustment as of
every session is the same, and each episode is computed like a symbol of its own.
"""

from collections.abc import Collection, Sequence
from datetime import date

import polars as pl

from trading_pipeline.core.features.alpha158 import LOOK_BACK, alpha158
from trading_pipeline.core.features.panel import FIELDS
from trading_pipeline.core.market.calendar import session_window, sessions_between
from trading_pipeline.core.market.corporate_actions import Convention, adjust
from trading_pipeline.core.market.instruments import by_instrument, by_symbol, lives


def features_as_of(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    *,
    sessions: Sequence[date],
    convention: Convention,
    listed_before: Collection[str] = (),
) -> pl.DataFrame:
    """Return the features of every symbol with a bar in a session, adjusted as of that session.

    `bars` are clean, raw, and reach LOOK_BACK sessions back from the first of `sessions`; `actions`
    are those of the same time, with the column session. Nothing later than a session touches its
    features. `listed_before` names the symbols that have earlier bars than these: what they miss at
    the start of a look-back is a gap. Columns and order are those of `alpha158`.
    """
    stands_for = lives(actions)
    bars, actions = by_instrument(bars, stands_for), by_instrument(actions, stands_for)
    numbered = bars.sort("symbol", "session").with_row_index("row")
    asked = _with_episode(numbered.filter(pl.col("session").is_in(list(sessions))), actions)
    episodes = _episodes(asked, numbered)
    adjusted = adjust(
        _bars(episodes, numbered), _actions(episodes, actions), convention=convention
    ).select("symbol", "session", *FIELDS)
    gaps = _gaps(episodes, numbered, listed_before)
    newest = len(sessions_between(min(sessions), max(sessions))) if len(sessions) else 0
    features = alpha158(pl.concat((adjusted, gaps), how="diagonal"), newest=max(newest, 1))
    found = (
        asked.select("symbol", "session", "episode")
        .sort("session", "symbol")
        .join(
            features.rename({"symbol": "episode"}),
            on=["episode", "session"],
            how="left",
            maintain_order="left",
        )
        .drop("episode")
    )
    return by_symbol(found, stands_for).sort("session", "symbol")


def _with_episode(asked: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Name each row's episode: its symbol, and how many sessions with an action it has seen."""
    turns = (
        actions.select("symbol", "session")
        .unique()
        .sort("session")
        .with_columns(seen=pl.col("session").cum_count().over("symbol"))
    )
    found = asked.sort("session").join_asof(
        turns, on="session", by="symbol", strategy="backward", check_sortedness=False
    )
    return found.with_columns(episode=pl.format("{} {}", "symbol", pl.col("seen").fill_null(0)))


def _episodes(asked: pl.DataFrame, numbered: pl.DataFrame) -> pl.DataFrame:
    """One row an episode: symbol, the session its look-back starts, its last, its rows of bars."""
    session, row = pl.col("session"), pl.col("row")
    spans = asked.group_by("episode", "symbol").agg(
        first=session.min(), last=session.max(), end=row.max() + 1
    )
    starts = {day: session_window(day, LOOK_BACK + 1)[0] for day in spans["first"].unique()}
    start = pl.col("first").replace_strict(starts, return_dtype=pl.Date)
    return (
        spans.with_columns(start=start)
        .sort("start")
        .join_asof(
            numbered.select("symbol", first_bar="session", begin="row").sort("first_bar"),
            left_on="start",
            right_on="first_bar",
            by="symbol",
            strategy="forward",
            coalesce=False,
            check_sortedness=False,
        )
    )


def _bars(episodes: pl.DataFrame, numbered: pl.DataFrame) -> pl.DataFrame:
    """The bars of each episode, its name for a symbol."""
    rows = episodes.select("episode", row=pl.int_ranges("begin", "end")).explode("row")
    return numbered[rows["row"]].with_columns(symbol=rows["episode"]).drop("row")


def _actions(episodes: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """The actions within each episode's bars, its name for a symbol."""
    within = actions.join(episodes.select("episode", "symbol", "start", "last"), on="symbol")
    inside = pl.col("session").is_between("start", "last", closed="right")
    return within.filter(inside).with_columns(symbol="episode").select(actions.columns)


def _gaps(
    episodes: pl.DataFrame, numbered: pl.DataFrame, listed_before: Collection[str]
) -> pl.DataFrame:
    """A bar of nulls at the start of each look-back in which an older symbol has none yet."""
    listed = numbered.group_by("symbol").agg(listed=pl.col("session").min())
    known = episodes.join(listed, on="symbol")
    older = pl.col("symbol").is_in(list(listed_before)) | (pl.col("listed") < pl.col("start"))
    missing = known.filter(pl.col("first_bar") > pl.col("start"), older)
    return missing.select(symbol="episode", session="start")
