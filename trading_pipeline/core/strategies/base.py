"""What a strategy is: a pure function from what is known at the close to scores."""

from collections.abc import Callable

import polars as pl

Strategy = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
"""A strategy takes features and predictions and returns scores.

Features are rows as in `schemas.Features`, predictions as in `schemas.Predictions`, both of any
sessions and of the universe only; neither holds a row that was not known at its session's close.
Scores are symbol, session, score (finite float64), sorted by session and symbol, at most one a
symbol and session: a symbol without one is not wanted. A score says which symbol to prefer within
a session and is no forecast of a return. The order of rows never matters.
"""
