"""Weights of an ensemble's members, adapted to what each has lately earned."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.errors import SchemaError

_FLAT: Final = 1e-12


class AdaptiveRules(BaseModel):
    """How far back performance counts, and how fast the weights follow it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sessions: int = Field(default=30, ge=2, le=1_000, description="sessions that are judged")
    min_sessions: int = Field(default=10, ge=2, le=1_000, description="sessions needed to judge")
    smoothing: float = Field(default=0.2, gt=0, le=1, description="share of the way per session")


DEFAULT: Final = AdaptiveRules()

SETTLING: Final = 60
"""Sessions after which what the weights began with counts for less than 0.8^60."""


def adapted(
    returns: pl.DataFrame, members: Sequence[str], rules: AdaptiveRules = DEFAULT
) -> pl.DataFrame:
    """Return session, strategy, weight: weights that sum to 1, for decisions at that close.

    `returns` are session, strategy, return: what each strategy earned out of sample in the session,
    so that it is known at its close. The weights move from equal ones by `smoothing` a session
    toward weights in proportion to the Sharpe ratio of the last `sessions` returns where that is
    above 0. Toward equal ones where none is, or where a member has fewer than `min_sessions`
    returns. Members are sorted within a session. Returns of another strategy, or two of one in a
    session, are a SchemaError.
    """
    if strangers := sorted(set(returns["strategy"].unique()) - set(members)):
        raise SchemaError(f"{strangers[0]} is no member: expected {', '.join(members)} only.")
    names, found = sorted(members), _by_session(returns)
    sessions = sorted(found)
    table = np.array([[found[day].get(name, np.nan) for name in names] for day in sessions])
    equal = np.full(len(names), 1 / len(names))
    weights, rows = equal, list[tuple[date, str, float]]()
    for row, session in enumerate(sessions):
        aim = _aim(table[max(row + 1 - rules.sessions, 0) : row + 1], equal, rules)
        weights = weights + rules.smoothing * (aim - weights)
        rows += [(session, name, float(w)) for name, w in zip(names, weights, strict=True)]
    schema = {"session": pl.Date, "strategy": pl.String, "weight": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def earned(votes: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Return session, strategy, return: what each strategy's scores earned in the session after.

    `votes` are strategy, symbol, session, score; `bars` adjusted. A strategy is taken to hold its
    scores, scaled to a gross weight of 1, from the close to the close of the next session of the
    bars; a symbol without a bar in it earns nothing.
    """
    days = bars["session"].unique().sort()
    after = pl.DataFrame({"session": days, "next": days.shift(-1)}).drop_nulls()
    moved = (pl.col("close") / pl.col("close").shift() - 1).over("symbol")
    moves = bars.sort("symbol", "session").select("symbol", next="session", moved=moved)
    gross = pl.col("score").abs().sum().over("strategy", "session")
    weight = pl.when(gross > 0).then(pl.col("score") / gross).otherwise(0.0)
    return (
        votes.with_columns(weight=weight)
        .join(after, on="session", how="inner", maintain_order="left")
        .join(moves, on=["symbol", "next"], how="left", maintain_order="left")
        .sort("next", "strategy", "symbol")
        .group_by("next", "strategy", maintain_order=True)
        .agg((pl.col("weight") * pl.col("moved").fill_null(0.0)).sum().alias("return"))
        .select("strategy", "return", session="next")
    )


def weights_at(
    votes: pl.DataFrame, bars: pl.DataFrame, members: Sequence[str], rules: AdaptiveRules
) -> pl.DataFrame:
    """Return session, strategy, weight for every session of the votes; equal before any return."""
    found = adapted(earned(votes, bars), members, rules)
    grid = (
        votes.select("session")
        .unique()
        .join(pl.DataFrame({"strategy": sorted(members)}), how="cross")
    )
    return grid.join(found, on=["session", "strategy"], how="left").with_columns(
        pl.col("weight").fill_null(1 / len(members))
    )


def _aim(
    recent: npt.NDArray[np.float64], equal: npt.NDArray[np.float64], rules: AdaptiveRules
) -> npt.NDArray[np.float64]:
    known = np.isfinite(recent)
    if (known.sum(axis=0) < rules.min_sessions).any():
        return equal
    mean, deviation = np.nanmean(recent, axis=0), np.nanstd(recent, axis=0, ddof=1)
    ratio = np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > _FLAT)
    good = np.maximum(ratio, 0)
    return good / good.sum() if good.sum() > 0 else equal


def _by_session(returns: pl.DataFrame) -> Mapping[date, Mapping[str, float]]:
    found: dict[date, dict[str, float]] = {}
    for session, name, value in returns.select("session", "strategy", "return").iter_rows():
        held = found.setdefault(session, {})
        if name in held:
            raise SchemaError(f"{name} has several returns in {session}: expected one.")
        held[name] = np.nan if value is None else value
    return found
