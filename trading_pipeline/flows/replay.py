"""Replay: a session's data made once more from what was known at a time, beside the lake."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import LOOK_BACK as FEATURE_LOOK_BACK
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.verdicts import RULE
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.clean import LOOK_BACK, GateRules, clean
from trading_pipeline.flows.featurize import featurize
from trading_pipeline.flows.window import checked, rows_of

RAW = ("raw_bars", "corporate_actions")
MADE = ("clean_bars", "quarantined_bars", "action_checks", "features")
"""What a replay makes, in the order in which it is made."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A table of the session as it was known: its rows, and how many of the lake's differ.

    `changed` counts rows of either that the other lacks; 0 says that the lake holds just this.
    """

    table: str
    rows: int
    changed: int


def replay(
    lake: Lake, beside: Lake, *, session: date, symbols: Sequence[str], rules: GateRules
) -> list[Replayed]:
    """Make the session's tables in the lake `beside`, by what was known at `rules.as_known_at`.

    The same flows run on the deliveries of that time alone, so the files are, byte for byte, those
    that the session's own run left when it ran by the same rules and knew the same. Nothing in
    `lake` changes. Raises MissingDataError when the session was not known then.
    """
    (day,) = checked([session])
    needed = session_window(day, FEATURE_LOOK_BACK + 1)
    days = session_window(needed[0], LOOK_BACK + 1)[:-1] + needed
    for table in RAW:
        _copy(lake, beside, table, days=days, symbols=symbols, rules=rules)
    if beside.read("raw_bars", day, day).is_empty():
        raise MissingDataError(_unknown(lake, day, rules))
    _copy_words(lake, beside, days, rules)
    judged = [each for each in needed[:-1] if each in beside.held("raw_bars", *_ends(needed))]
    if judged:
        clean(beside, symbols=symbols, sessions=judged, rules=rules)
    clean(beside, symbols=symbols, sessions=[day], rules=rules)
    featurize(
        beside,
        sessions=[day],
        symbols=symbols,
        convention=rules.convention,
        as_known_at=rules.as_known_at,
    )
    _log.info("session replayed", extra={"session": str(day), "known": str(rules.as_known_at)})
    return [_compared(lake, beside, table, day=day, symbols=symbols) for table in MADE]


def _unknown(lake: Lake, day: date, rules: GateRules) -> str:
    said = f"No bar of {day} was known at {rules.as_known_at or 'any time'}"
    first = lake.read("raw_bars", day, day)["known_at"].min()
    return f"{said}: {f'the first came at {first}' if first else 'none came since'}."


def _copy(
    lake: Lake,
    beside: Lake,
    table: str,
    *,
    days: Sequence[date],
    symbols: Sequence[str],
    rules: GateRules,
) -> None:
    held = sorted(lake.held(table, *_ends(days), symbols=symbols).intersection(days))
    if not held:
        raise MissingDataError(
            f"{table} from {days[0]} to {days[-1]} is not held: fetch it with the job `data`."
        )
    rows = _known(lake.read(table, *_ends(days), symbols=symbols), rules)
    beside.write(table, rows_of(rows, held), held, symbols=symbols)


def _copy_words(lake: Lake, beside: Lake, days: Sequence[date], rules: GateRules) -> None:
    """Take what people had said over; what the rule says follows from the bars."""
    said = _known(lake.read("bar_verdicts", *_ends(days)), rules)
    words = rows_of(said.filter(pl.col("decided_by") != RULE), days)
    if len(words):
        beside.write("bar_verdicts", words, words["session"].unique())


def _known(rows: pl.DataFrame, rules: GateRules) -> pl.DataFrame:
    moment = rules.as_known_at
    return rows if moment is None else rows.filter(pl.col("known_at") <= moment)


def _compared(
    lake: Lake, beside: Lake, table: str, *, day: date, symbols: Sequence[str]
) -> Replayed:
    then, now = (each.read(table, day, day, symbols=symbols) for each in (beside, lake))
    if then.columns != now.columns:
        return Replayed(table=table, rows=len(then), changed=len(then) + len(now))
    gone = then.join(now, on=then.columns, how="anti", nulls_equal=True)
    new = now.join(then, on=then.columns, how="anti", nulls_equal=True)
    return Replayed(table=table, rows=len(then), changed=len(gone) + len(new))


def _ends(days: Sequence[date]) -> tuple[date, date]:
    return days[0], days[-1]
