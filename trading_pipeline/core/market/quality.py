"""The quality gate: raw bars are either sound or set aside with named reasons, none is lost.

A move beyond the threshold may be an error or may be true, and on its own day nobody can tell. Such
a bar is suspect: it stays in the history, and its next bar says which it was (see `verdicts`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.market.calendar import FIRST_SESSION, LAST_SESSION, sessions_between
from trading_pipeline.core.market.checks import CheckOutcome, listed
from trading_pipeline.core.market.codes import coded, codes_of, named
from trading_pipeline.core.market.corporate_actions import Convention, require_columns
from trading_pipeline.core.market.moves import too_large

BAR = ("symbol", "session", "open", "high", "low", "close", "volume", "vwap")
"""The columns of a clean bar; a quarantined one has `reason` as well."""

SUSPECT = "suspect_move_"
"""How the reason of a suspect bar begins; the size of the move follows."""

_NUMBERS = BAR[2:]
_FAULTS = (
    "missing_value",
    "non_positive_price",
    "negative_volume",
    "high_below_low",
    "open_close_outside_range",
    "duplicate",
    "not_a_session",
)
_SESSIONS = pl.Series(sessions_between(FIRST_SESSION, LAST_SESSION), dtype=pl.Date)
_SYMBOLS = 1_000_000
"""More symbols than there are."""

_ROUNDING = 1e-6


class QualityRules(BaseModel):
    """What a bar, and a session's bars together, must satisfy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_move: float = Field(
        default=0.30,
        ge=0.01,
        le=1,
        description="largest move of the adjusted close between sessions that is not suspect",
    )
    confirming_difference: float = Field(
        default=0.01,
        ge=0,
        le=0.1,
        description="largest difference of a second vendor's close, as a share, that confirms a"
        " suspect bar",
    )
    min_coverage: float = Field(
        default=0.8, ge=0, le=1, description="smallest share of expected symbols with a clean bar"
    )
    max_quarantined_share: float = Field(
        default=0.5, ge=0, le=1, description="largest share of a session's bars in quarantine"
    )


@dataclass(frozen=True, slots=True)
class Gated:
    """Bars parted by the gate; clean and quarantined together are the bars that went in.

    clean: symbol, session, open, high, low, close, volume, vwap (raw, as delivered);
    quarantined: the same and `reason`; suspects: the clean bars that moved too far, with reason,
    move, and what the next bar made of it: verdict (`confirmed` or `reverted`) and decided_in, its
    session; null as long as there is none. All are sorted by session and symbol.
    """

    clean: pl.DataFrame
    quarantined: pl.DataFrame
    suspects: pl.DataFrame


def gate(
    bars: pl.DataFrame, actions: pl.DataFrame, rules: QualityRules, *, convention: Convention
) -> Gated:
    """Part raw bars into clean and quarantined, and name the suspects among the clean ones.

    Whether a bar is any of these never depends on later sessions; only what the next bar says of a
    suspect does.

    Bars are judged one by one first: missing_value, non_positive_price, negative_volume,
    high_below_low, open_close_outside_range, not_a_session, and duplicate, which spares one of
    several equal copies and none of copies that differ. Of those left, a bar is suspect when its
    adjusted close moves more than `max_move` against both of the two before it (against one, where
    there is only one; the first never is): the bar after a bad tick is not, and neither is the
    second one of a new level, or one after weeks without any. An action excuses no move: what is
    left after adjusting counts. A suspect has reverted when its next bar moves too far against it
    and not against the one before, with a quarter of the move left at most. Symbols come back as
    they are given: names, or codes (an Enum in the order of its names), which save millions of rows
    the way to codes and back.
    """
    require_columns(bars, BAR, "Bars")
    rows = coded(bars, codes_of(bars)).select(
        "symbol", "session", pl.col(_NUMBERS).cast(pl.Float64)
    )
    if not _place(rows).is_sorted():
        rows = rows.sort("session", "symbol", maintain_order=True)
    may_repeat = bool((_place(rows).diff() == 0).any())
    faults = rows.select(**_faults(may_repeat=may_repeat))
    is_faulty = faults.select(pl.any_horizontal(pl.all())).to_series()
    sound = rows.filter(~is_faulty)
    reasons = faults.filter(is_faulty).select(_reason().alias("reason"))
    faulty = rows.filter(is_faulty).select(BAR).hstack(reasons)
    limit = rules.max_move + 1e-9  # 130 / 100 − 1 is a little more than 0.3 in float64
    suspects = too_large(sound, actions, limit=limit, convention=convention)
    moves = pl.Series("reason", [f"{SUSPECT}{move:.2f}" for move in suspects["move"]], pl.String)
    told = suspects.select(*BAR, moves, "move", "verdict", "decided_in")
    clean, aside, odd = (named(part, bars.schema["symbol"]) for part in (sound, faulty, told))
    return Gated(clean=clean, quarantined=aside, suspects=odd)


def is_suspect() -> pl.Expr:
    """Whether a row of quarantined bars is a suspect that is still in the history."""
    reason = pl.col("reason")
    return reason.str.starts_with(SUSPECT) & ~reason.str.contains("; ", literal=True)


def check_sessions(
    sessions: Sequence[date], gated: Gated, absent: pl.DataFrame, rules: QualityRules
) -> dict[date, list[CheckOutcome]]:
    """The blocking checks `coverage` and `quarantine` of each session's bars.

    `absent` has symbol and session of the symbols that should have a bar and have none. Numbers are
    shares and counts.
    """
    key = ["symbol", "session"]
    clean = dict(gated.clean.select(key).unique().group_by("session").len().iter_rows())
    aside = gated.quarantined.partition_by("session", as_dict=True)
    wanting = pl.concat(
        [gated.quarantined.select(*key, "reason"), absent.select(*key, reason=pl.lit("no bar"))]
    ).join(gated.clean, on=key, how="anti")
    missing = wanting.unique(key, keep="last").sort("symbol").partition_by("session", as_dict=True)
    none = gated.quarantined.clear()
    return {
        session: [
            _coverage(
                session,
                clean.get(session, 0),
                [f"{row[0]} ({row[2]})" for row in missing.get((session,), wanting[:0]).rows()],
                rules.min_coverage,
            ),
            _quarantine(
                session,
                clean.get(session, 0),
                aside.get((session,), none),
                rules.max_quarantined_share,
            ),
        ]
        for session in sessions
    }


def _faults(*, may_repeat: bool) -> dict[str, pl.Expr]:
    """What can be wrong with a bar taken by itself: a boolean column a fault, never null."""
    opening, high, low, close, volume, vwap = (_finite(name) for name in _NUMBERS)
    lowest, highest = pl.min_horizontal(opening, close), pl.max_horizontal(opening, close)
    faults = (
        pl.any_horizontal(value.is_null() for value in (opening, high, low, close, volume)),
        pl.any_horizontal(price <= 0 for price in (opening, high, low, close, vwap)),
        volume < 0,
        high < low,
        (highest > high * (1 + _ROUNDING)) | (lowest < low * (1 - _ROUNDING)),
        _superfluous() if may_repeat else pl.col("session").is_null() & False,
        ~pl.col("session").is_in(_SESSIONS.implode()),
    )
    named = zip(_FAULTS, faults, strict=True)
    return {name: fault.fill_null(value=name == "not_a_session") for name, fault in named}


def _reason() -> pl.Expr:
    named = (pl.when(name).then(pl.lit(name)) for name in _FAULTS)
    return pl.concat_str(named, separator="; ", ignore_nulls=True)


def _finite(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_finite()).then(pl.col(name))


def _superfluous() -> pl.Expr:
    """Copies behind the first of equal bars, and every bar of a session where copies differ."""
    differing = pl.len().over("symbol", "session") != pl.len().over(BAR)
    return ~pl.struct(BAR).is_first_distinct() | differing


def _place(rows: pl.DataFrame) -> pl.Series:
    """A number by which rows sort like by session and symbol."""
    day, code = rows["session"].to_physical(), rows["symbol"].to_physical()
    return day.cast(pl.Int64) * _SYMBOLS + code


def _coverage(session: date, present: int, missing: Sequence[str], least: float) -> CheckOutcome:
    expected = present + len(missing)
    share = present / expected if expected else 0.0
    without = f" without: {listed(missing)};" if missing else ""
    return CheckOutcome(
        name="coverage",
        passed=share >= least,
        sentence=f"{session}: {present} of {expected} expected symbols have a clean bar"
        f" ({share:.0%});{without} at least {least:.0%} is expected.",
        numbers={"coverage": share, "clean": float(present), "expected": float(expected)},
    )


def _quarantine(session: date, clean: int, aside: pl.DataFrame, most: float) -> CheckOutcome:
    total = clean + aside.filter(~is_suspect()).height if len(aside) else clean
    share = aside.height / total if total else 0.0
    why = [f"{symbol} ({reason})" for symbol, reason in aside.select("symbol", "reason").rows()]
    which = f" {listed(why)};" if why else ""
    return CheckOutcome(
        name="quarantine",
        passed=share <= most,
        sentence=f"{session}: {aside.height} of {total} bars are quarantined ({share:.0%});{which}"
        f" at most {most:.0%} is expected.",
        numbers={
            "quarantined_share": share,
            "quarantined": float(aside.height),
            "bars": float(total),
        },
    )
