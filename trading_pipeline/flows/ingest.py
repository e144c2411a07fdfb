"""Ingest: a vendor's bars and corporate actions into the lake, and the quality gate over them.

Raw tables keep every delivery that said something new, with the time it became known: the same
delivery again changes no byte, a restatement is kept beside what it corrects and is reported.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import require_session, session_window, sessions_between
from trading_pipeline.core.market.checks import CheckOutcome, listed
from trading_pipeline.core.market.corporate_actions import Convention, on_sessions
from trading_pipeline.core.market.freshness import FreshnessRules, check_freshness
from trading_pipeline.core.market.quality import Gated, QualityRules, check_session, gate
from trading_pipeline.core.market.restatements import ACTIONS_KEY, BARS_KEY, current, merge
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.ports import MarketData

LOOK_BACK = 70
"""Sessions of raw bars before a session that its verdicts look at."""

_LONGEST_CLOSURE = timedelta(days=10)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What a vendor delivered for the asked sessions, and what of it was new.

    rows: as delivered, shaped like the table; symbols, sessions: how many of each the rows have;
    restated: a row a cell that differs from what was held, with old and new; written: how many
    sessions of the table changed.
    """

    rows: pl.DataFrame
    symbols: int
    sessions: int
    restated: pl.DataFrame
    written: int


class Outcomes(Mapping[date, list[CheckOutcome]]):
    """The checks coverage, quarantine and freshness of each session, made when looked up.

    A history of years is written for the sake of one session, whose checks alone are asked for.
    """

    def __init__(
        self,
        sessions: Sequence[date],
        gated: Gated,
        newest: pl.DataFrame,
        *,
        quality: QualityRules,
        freshness: FreshnessRules,
    ) -> None:
        """Take the gated bars and, as `newest`, the newest bars that were known in each session."""
        self._sessions = dict.fromkeys(sessions)
        self._gated, self._newest = gated, newest
        self._quality, self._freshness = quality, freshness

    def __getitem__(self, session: date) -> list[CheckOutcome]:
        if session not in self._sessions:
            raise KeyError(session)
        known = self._newest.filter(pl.col("asked") == session)
        expected = known["symbol"].to_list()
        return [
            *check_session(session, self._gated, expected, self._quality),
            check_freshness(known, session, expected, self._freshness),
        ]

    def __iter__(self) -> Iterator[date]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The asked sessions after the gate: both tables as written, and each session's checks."""

    clean: pl.DataFrame
    quarantined: pl.DataFrame
    outcomes: Mapping[date, list[CheckOutcome]]


def ingest_bars(
    lake: Lake,
    vendor: MarketData,
    *,
    symbols: Sequence[str],
    sessions: Iterable[date],
    now: datetime,
) -> Ingested:
    """Store the vendor's bars of these sessions, known at `now`; nothing later is asked for.

    A session without bars is held as empty. Raises SettingsError for a symbol the vendor does not
    have or a day that is no session, MissingDataError when it has no bar of the whole range.
    """
    asked = _checked(sessions)
    delivered = vendor.bars(_known(vendor, symbols), asked[0], asked[-1])
    if delivered.is_empty():
        newest = vendor.last_session()
        raise MissingDataError(
            f"The vendor {vendor.name} has no bar of {listed(symbols)} from {asked[0]} to"
            f" {asked[-1]}" + (f": its last session is {newest}." if newest else ".")
        )
    _tell_of_strays(delivered, asked)
    return _keep(lake, "raw_bars", _delivery(vendor, delivered, now), asked, key=BARS_KEY)


def ingest_actions(
    lake: Lake,
    vendor: MarketData,
    *,
    symbols: Sequence[str],
    sessions: Iterable[date],
    now: datetime,
) -> Ingested:
    """Store the vendor's corporate actions that first matter in these sessions, known at `now`.

    An action whose ex-date is no session belongs to the next one. Most sessions have none and are
    held as empty. Raises SettingsError as `ingest_bars` does.
    """
    asked = _checked(sessions)
    first = asked[0] - _LONGEST_CLOSURE
    delivered = on_sessions(vendor.corporate_actions(_known(vendor, symbols), first, asked[-1]))
    rows = _delivery(vendor, delivered, now)
    return _keep(lake, "corporate_actions", rows, asked, key=ACTIONS_KEY)


def clean(
    lake: Lake,
    *,
    symbols: Sequence[str],
    sessions: Iterable[date],
    quality: QualityRules,
    freshness: FreshnessRules,
    convention: Convention,
) -> Cleaned:
    """Part the raw bars of these sessions into clean and quarantined ones, and check each session.

    Expected in a session is every asked symbol with a raw bar in it or in the LOOK_BACK sessions
    before it, so that a stock counts from its listing on. Both tables are written whatever the
    checks say. A range gives what its sessions give one by one, unless a symbol paused for longer
    than the look-back. Raises MissingDataError where raw bars or actions of a session are not held.
    """
    asked = _checked(sessions)
    for table in ("raw_bars", "corporate_actions"):
        if missing := missing_sessions(lake, table, asked):
            raise MissingDataError(
                f"{table} of {listed([str(session) for session in missing])} is not held: ingest"
                " it first."
            )
    span = (session_window(asked[0], LOOK_BACK + 1)[0], asked[-1])
    bars = current(lake.read("raw_bars", *span, symbols=symbols), key=BARS_KEY)
    actions = current(lake.read("corporate_actions", *span, symbols=symbols), key=ACTIONS_KEY)
    whole = gate(bars, actions, quality, convention=convention)
    gated = Gated(_of(whole.clean, asked), _of(whole.quarantined, asked))
    lake.write("quarantined_bars", gated.quarantined, asked)
    lake.write("clean_bars", gated.clean, asked)
    _log.info(
        "bars gated",
        extra={"clean": len(gated.clean), "quarantined": len(gated.quarantined)} | _span(asked),
    )
    newest = _newest_bars(bars, asked)
    outcomes = Outcomes(asked, gated, newest, quality=quality, freshness=freshness)
    return Cleaned(clean=gated.clean, quarantined=gated.quarantined, outcomes=outcomes)


def missing_sessions(lake: Lake, table: str, window: Sequence[date]) -> list[date]:
    """Return the sessions of the window that the table does not hold, oldest first."""
    if not window:
        return []
    return sorted(set(window) - lake.held(table, min(window), max(window)))


def with_history(lake: Lake, table: str, sessions: Iterable[date], *, history: int) -> list[date]:
    """Return the sessions and those of the `history` up to the first that are not held."""
    asked = _checked(sessions)
    earlier = session_window(asked[0], history)
    return sorted({*asked, *missing_sessions(lake, table, earlier)})


def _checked(sessions: Iterable[date]) -> list[date]:
    asked = sorted({require_session(session) for session in sessions})
    if not asked:
        raise SettingsError("No session was asked for: at least one is expected.")
    return asked


def _known(vendor: MarketData, symbols: Sequence[str]) -> list[str]:
    """The symbols, each of which the vendor has as far as it can tell."""
    if not symbols:
        raise SettingsError("No symbol was asked for: at least one is expected.")
    has = vendor.symbols()
    unknown = [] if has is None else sorted(set(symbols) - has)
    if has is not None and unknown:
        raise SettingsError(
            f"The vendor {vendor.name} does not have {listed(unknown)}: it has"
            f" {listed(sorted(has))}."
        )
    return sorted(set(symbols))


def _delivery(vendor: MarketData, rows: pl.DataFrame, now: datetime) -> pl.DataFrame:
    if now.tzinfo is None:
        raise SettingsError(f"The time {now} has no time zone: an aware one is expected.")
    known_at = pl.lit(now.astimezone(UTC), dtype=pl.Datetime("us", "UTC"))
    return rows.with_columns(vendor=pl.lit(vendor.name), known_at=known_at)


def _tell_of_strays(bars: pl.DataFrame, asked: list[date]) -> None:
    """Bars of days on which the exchange was closed have no session to be stored in."""
    strays = bars.filter(~pl.col("session").is_in(sessions_between(asked[0], asked[-1])))
    if len(strays):
        days = [str(day) for day in strays["session"].unique().sort()]
        _log.warning("bars of closed days left out", extra={"rows": len(strays), "days": days[:5]})


def _keep(
    lake: Lake, table: str, rows: pl.DataFrame, asked: list[date], *, key: Sequence[str]
) -> Ingested:
    """Merge a delivery into what is held and write the sessions that changed."""
    from trading_pipeline.core.schemas import validate  # heavy: on first use

    delivered = _of(validate(table, rows), asked)
    held = lake.read(table, asked[0], asked[-1])
    merged = merge(held, delivered, key=key)
    changed = _changed(held, merged.frame) | set(missing_sessions(lake, table, asked))
    if changed:
        lake.write(table, _of(merged.frame, changed), changed)
    result = Ingested(
        rows=delivered,
        symbols=delivered["symbol"].n_unique(),
        sessions=delivered["session"].n_unique(),
        restated=merged.restated,
        written=len(changed),
    )
    facts = {"table": table, "rows": len(delivered), "restated": len(merged.restated)}
    _log.info("delivery kept", extra=facts | {"written": len(changed)} | _span(asked))
    return result


def _changed(before: pl.DataFrame, after: pl.DataFrame) -> set[date]:
    """The sessions whose rows are not the same in both."""
    added = after.join(before, on=after.columns, how="anti", nulls_equal=True)
    gone = before.join(after, on=after.columns, how="anti", nulls_equal=True)
    return {*added["session"], *gone["session"]}


def _newest_bars(bars: pl.DataFrame, asked: list[date]) -> pl.DataFrame:
    """The newest bar of each symbol in each asked session, unless more than LOOK_BACK behind.

    Columns asked (the session it is the newest bar in), symbol, session (the bar's own).
    """
    days = sessions_between(session_window(asked[0], LOOK_BACK + 1)[0], asked[-1])
    number = pl.DataFrame({"session": days, "number": range(len(days))})
    grid = number.filter(pl.col("session").is_in(asked)).join(
        bars.select("symbol").unique(), how="cross"
    )
    return (
        grid.rename({"session": "asked"})
        .sort("number")
        .join_asof(
            bars.select("symbol", "session").unique().join(number, on="session").sort("number"),
            on="number",
            by="symbol",
            tolerance=LOOK_BACK,
            check_sortedness=False,
        )
        .drop_nulls("session")
        .select("asked", "symbol", "session")
        .sort("asked", "symbol")
    )


def _of(frame: pl.DataFrame, sessions: Iterable[date]) -> pl.DataFrame:
    return frame.filter(pl.col("session").is_in(list(sessions)))


def _span(asked: list[date]) -> dict[str, str]:
    return {"first_session": str(asked[0]), "last_session": str(asked[-1])}
