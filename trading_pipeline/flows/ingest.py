"""Ingest: a vendor's bars and corporate actions into the lake.

Raw tables keep every delivery that said something new, with the time it became known: the same
delivery again changes no byte, a restatement is kept beside what it corrects and is reported.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.market.checks import listed
from trading_pipeline.core.market.corporate_actions import on_sessions
from trading_pipeline.core.market.restatements import ACTIONS_KEY, BARS_KEY, merge, withdrawn
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.ports import MarketData
from trading_pipeline.flows.window import checked, missing_sessions, rows_of, span

MOST_WITHDRAWN = 3
"""Actions that a delivery may take back, and as many more as it has itself."""

_LONGEST_CLOSURE = timedelta(days=10)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What a vendor delivered for the asked sessions, and what of it was new.

    rows: as delivered, shaped like the table; symbols, sessions: how many of each the rows have;
    restated: a row a cell that differs from what was held, with old and new; written: how many
    sessions of the table changed; repeated: rows that say the same as another one, as in a
    delivery that was written several times.
    """

    rows: pl.DataFrame
    symbols: int
    sessions: int
    restated: pl.DataFrame
    written: int
    repeated: int


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
    asked = checked(sessions)
    delivered = vendor.bars(_known(vendor, symbols), asked[0], asked[-1])
    if delivered.is_empty():
        newest = vendor.last_session()
        raise MissingDataError(
            f"The vendor {vendor.name} has no bar of {listed(symbols)} from {asked[0]} to"
            f" {asked[-1]}" + (f": its last session is {newest}." if newest else ".")
        )
    _tell_of_strays(delivered, asked)
    rows = _delivery(vendor, delivered, now)
    return _keep(lake, _Delivery("raw_bars", BARS_KEY, rows, frozenset(symbols)), asked)


def ingest_actions(
    lake: Lake,
    vendor: MarketData,
    *,
    symbols: Sequence[str],
    sessions: Iterable[date],
    now: datetime,
    complete: bool = True,
) -> Ingested:
    """Store the vendor's corporate actions that first matter in these sessions, known at `now`.

    An action whose ex-date is no session belongs to the next one. Most sessions have none and are
    held as empty. Unless the delivery is not `complete`, an action of the vendor's own that it no
    longer lists is taken back. Raises SettingsError as `ingest_bars` does, MissingDataError when so
    many are missing that the delivery cannot be complete.
    """
    asked = checked(sessions)
    first = asked[0] - _LONGEST_CLOSURE
    delivered = on_sessions(vendor.corporate_actions(_known(vendor, symbols), first, asked[-1]))
    rows = _delivery(vendor, delivered, now)
    names, at = frozenset(symbols), now if complete else None
    delivery = _Delivery("corporate_actions", ACTIONS_KEY, rows, names, vendor.name, at)
    return _keep(lake, delivery, asked)


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


@dataclass(frozen=True, slots=True)
class _Delivery:
    """Rows a vendor delivered for a table when it was asked for these symbols."""

    table: str
    key: Sequence[str]
    rows: pl.DataFrame
    symbols: frozenset[str]
    vendor: str = ""
    complete_at: datetime | None = None

    def completed(self, held: pl.DataFrame, delivered: pl.DataFrame) -> pl.DataFrame:
        """Add what a complete delivery says of the held rows that it lacks."""
        if self.complete_at is None:
            return delivered
        gone = withdrawn(held, delivered, vendor=self.vendor, known_at=self.complete_at)
        if gone.height > max(MOST_WITHDRAWN, delivered.height):
            raise MissingDataError(
                f"The vendor {self.vendor} no longer has {gone.height} actions that it delivered"
                f" before, the first of {gone['symbol'][0]} on {gone['ex_date'][0]}: the delivery"
                " is not complete."
            )
        if len(gone):
            _log.warning("actions taken back", extra={"rows": gone.height})
        return pl.concat([delivered, gone.select(delivered.columns)])


def _keep(lake: Lake, delivery: _Delivery, asked: list[date]) -> Ingested:
    """Merge a delivery into what is held and write the sessions that changed."""
    from trading_pipeline.core.schemas import validate  # heavy: on first use

    table, symbols = delivery.table, delivery.symbols
    rows = rows_of(validate(table, delivery.rows), asked)
    delivered = rows.filter(pl.col("symbol").is_in(sorted(symbols)))
    # What is merged into must still be there when the result is written.
    with lake.writing(table, asked):
        held = lake.read(table, asked[0], asked[-1], symbols=sorted(symbols))
        said = delivery.completed(rows_of(held, asked), delivered)
        merged = merge(held, said, key=delivery.key)
        missing = missing_sessions(lake, table, asked, symbols=symbols)
        changed = _changed(held, merged.frame).union(missing)
        if changed:
            lake.write(table, rows_of(merged.frame, changed), changed, symbols=symbols)
    result = Ingested(
        rows=delivered,
        symbols=delivered["symbol"].n_unique(),
        sessions=delivered["session"].n_unique(),
        restated=merged.restated,
        written=len(changed),
        repeated=delivered.height - delivered.n_unique(),
    )
    facts = {"table": table, "rows": len(delivered), "restated": len(merged.restated)}
    _log.info("delivery kept", extra=facts | {"written": len(changed)} | span(asked))
    return result


def _changed(before: pl.DataFrame, after: pl.DataFrame) -> set[date]:
    """The sessions whose rows are not the same in both."""
    added = after.join(before, on=after.columns, how="anti", nulls_equal=True)
    gone = before.join(after, on=after.columns, how="anti", nulls_equal=True)
    return {*added["session"], *gone["session"]}
