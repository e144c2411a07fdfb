"""Confirm: ask a second vendor for the bars of suspect ones, and keep what it says."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from trading_pipeline.adapters.lake import Lake, empty
from trading_pipeline.core.market.verdicts import VENDOR, by_vendor
from trading_pipeline.errors import AdapterError, DataError
from trading_pipeline.flows.ports import MarketData
from trading_pipeline.flows.quarantine import record

_BAR = ["symbol", "session"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondVendor:
    """Whose bars may confirm suspect ones; `within` is the share by which closes may differ."""

    vendor: MarketData
    within: float
    now: datetime


def confirm(
    lake: Lake, second: SecondVendor, suspects: pl.DataFrame, bars: pl.DataFrame
) -> pl.DataFrame:
    """Record what the second vendor says of the suspects and return what of it is new.

    It is asked again only while it has said nothing, or where the bar was restated since; `bars`
    have known_at. When it does not answer, or its data cannot be read, nothing is said: the
    suspects stay suspect, and the day goes on.
    """
    asked = _unanswered(lake, second, suspects, bars)
    found = [
        by_vendor(own, theirs, vendor=second.vendor.name, within=second.within, at=second.now)
        for own, theirs in _looked_up(second.vendor, asked)
    ]
    said = pl.concat(found) if found else empty("bar_verdicts")
    for row in said.iter_rows(named=True):
        facts = {name: str(row[name]) for name in ("symbol", "session", "verdict", "reason")}
        _log.warning("second vendor asked", extra=facts)
    return record(lake, said)


def _unanswered(
    lake: Lake, second: SecondVendor, suspects: pl.DataFrame, bars: pl.DataFrame
) -> pl.DataFrame:
    if suspects.is_empty():
        return suspects
    days: list[date] = suspects["session"].to_list()
    held = lake.read("bar_verdicts", min(days), max(days))
    words = held.filter(pl.col("decided_by") == f"{VENDOR}{second.vendor.name}")
    told = bars.group_by(_BAR).agg(pl.col("known_at").max().alias("told_at"))
    answered = words.join(told, on=_BAR).filter(pl.col("known_at") >= pl.col("told_at"))
    return suspects.join(answered, on=_BAR, how="anti", maintain_order="left")


def _looked_up(
    vendor: MarketData, suspects: pl.DataFrame
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The suspects of each session with the vendor's bars of it, of symbols that it has."""
    for own in suspects.partition_by("session"):
        day: date = own["session"][0]
        try:
            yield own, vendor.bars(_known(vendor, own["symbol"].to_list()), day, day)
        except (AdapterError, DataError) as error:
            facts = {"vendor": vendor.name, "session": str(day), "why": str(error)}
            _log.warning("second vendor does not answer", extra=facts)


def _known(vendor: MarketData, symbols: Sequence[str]) -> list[str]:
    has = vendor.symbols()
    return sorted(symbols) if has is None else sorted(has.intersection(symbols))
