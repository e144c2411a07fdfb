"""Quarantine: what is said of suspect bars, by rule and by people, and kept for good."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import require_session
from trading_pipeline.core.market.quality import SUSPECT
from trading_pipeline.core.market.restatements import merge
from trading_pipeline.core.market.verdicts import REJECTED, RULE, VENDOR, VERDICTS_KEY, in_force
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.window import rows_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a person says of a bar: who, when, and why."""

    verdict: Literal["released", "rejected"]
    by: str
    reason: str
    at: datetime


def record(lake: Lake, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Append verdicts to those held and return the ones that were new; nothing is overwritten."""
    if verdicts.is_empty():
        return verdicts
    sessions, symbols = set(verdicts["session"]), verdicts["symbol"].unique().to_list()
    with lake.writing("bar_verdicts", sessions):
        held = rows_of(
            lake.read("bar_verdicts", min(sessions), max(sessions), symbols=symbols), sessions
        )
        kept = merge(held, verdicts, key=VERDICTS_KEY).frame
        new = kept.join(held, on=kept.columns, how="anti")
        if len(new):
            changed = set(new["session"])
            lake.write("bar_verdicts", rows_of(kept, changed), changed, symbols=symbols)
            _log.info("verdicts recorded", extra={"rows": len(new)})
    return new


def listing(lake: Lake, first: date, last: date) -> pl.DataFrame:
    """The quarantined bars of first…last with what counts of what was said of each.

    Columns symbol, session, close, reason, verdict, decided_by, decided_in, why, known_at; a bar
    that was released is listed by its verdict alone. Newest session first.
    """
    aside = lake.read("quarantined_bars", first, last).select(
        "symbol", "session", "close", "reason"
    )
    said = in_force(lake.read("bar_verdicts", first, last)).rename({"reason": "why"})
    found = aside.join(said, on=["symbol", "session"], how="full", coalesce=True)
    return found.select(
        *aside.columns, "verdict", "decided_by", "decided_in", "why", "known_at"
    ).sort("session", "symbol", descending=[True, False])


def say(lake: Lake, symbol: str, session: date, word: Word) -> None:
    """Append what a person says of a bar; clean its session again for it to take effect.

    Raises SettingsError when there is no such bar, when the bar is faulty rather than suspect, or
    when the word is not signed, not reasoned or not dated.
    """
    _require_signed(word)
    day = require_session(session)
    clean = lake.read("clean_bars", day, day, symbols=[symbol])
    aside = lake.read("quarantined_bars", day, day, symbols=[symbol])
    _require_sound(symbol, day, clean, aside["reason"].to_list())
    row = {
        "symbol": symbol,
        "session": day,
        "verdict": word.verdict,
        "decided_in": day,
        "decided_by": word.by,
        "reason": word.reason,
        "known_at": word.at.astimezone(UTC),
    }
    schema = lake.read("bar_verdicts", day, day).schema
    record(lake, pl.DataFrame([row], schema=schema))


def _require_signed(word: Word) -> None:
    is_person = word.by.strip() and word.by != RULE and not word.by.startswith(VENDOR)
    if not is_person or not word.reason.strip():
        raise SettingsError("A verdict needs the name of a person and a reason.")
    if word.at.tzinfo is None:
        raise SettingsError(f"The time {word.at} has no time zone: an aware one is expected.")


def _require_sound(symbol: str, session: date, clean: pl.DataFrame, reasons: Sequence[str]) -> None:
    if clean.is_empty() and not reasons:
        raise SettingsError(f"{symbol} has no bar of {session}: materialize clean_bars first.")
    sound = (SUSPECT, REJECTED)
    faults = [reason for reason in reasons if not reason.startswith(sound)]
    if clean.is_empty() and faults:
        raise SettingsError(
            f"The bar of {symbol} of {session} is faulty ({faults[0]}), not suspect: only a better"
            " delivery mends it."
        )
