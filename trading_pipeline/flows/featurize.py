"""Compute the features of sessions from what the lake holds, and store them there."""

import logging
from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import LOOK_BACK, VERSION
from trading_pipeline.core.features.as_of import features_as_of
from trading_pipeline.core.market.announcements import credible
from trading_pipeline.core.market.calendar import FIRST_SESSION, session_window
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.core.market.quality import is_suspect
from trading_pipeline.core.market.restatements import known_actions
from trading_pipeline.errors import MissingDataError, SettingsError

_log = logging.getLogger(__name__)


def featurize(
    lake: Lake,
    *,
    sessions: Sequence[date],
    symbols: Sequence[str],
    convention: Convention,
    as_known_at: datetime | None = None,
) -> pl.DataFrame:
    """Write and return Alpha158 of each of `symbols` with a clean bar, in each of `sessions`.

    A suspect bar is history for the sessions after it, and has no features of its own: it may not
    be traded on, and its next bar may show that it was an error.
    Bars are adjusted as of each session, by the credible actions known at `as_known_at`; a range
    gives, to the last bit, what its sessions give one by one. Raises MissingDataError when clean
    bars or corporate actions of a session or of its look-back are not held: features of fewer
    sessions than exist would be wrong in silence.
    """
    asked = sorted(set(sessions))
    if not asked:
        raise SettingsError("No session was asked for: at least one is expected.")
    first, last = session_window(asked[0], LOOK_BACK + 1)[0], asked[-1]
    _require_held(lake, asked, symbols)
    bars = lake.read("clean_bars", first, last, symbols=symbols)
    deliveries = lake.read("corporate_actions", first, last, symbols=symbols)
    checks = lake.read("action_checks", first, last, symbols=symbols)
    features = features_as_of(
        bars,
        credible(known_actions(deliveries, as_known_at), checks),
        sessions=asked,
        convention=convention,
        listed_before=_listed_before(lake, bars, first),
    )
    aside = lake.read("quarantined_bars", asked[0], last, symbols=symbols).filter(is_suspect())
    features = features.join(aside, on=["symbol", "session"], how="anti", maintain_order="left")
    lake.write("features", features, asked, symbols=symbols)
    _log.info(
        "features written",
        extra={"version": VERSION, "rows": features.height, "sessions": len(asked)},
    )
    return features


def _require_held(lake: Lake, asked: Sequence[date], symbols: Sequence[str]) -> None:
    needed = {day for session in asked for day in session_window(session, LOOK_BACK + 1)}
    for table in ("clean_bars", "corporate_actions"):
        missing = sorted(needed - lake.held(table, min(needed), max(needed), symbols=symbols))
        if missing:
            raise MissingDataError(
                f"Features of {asked[0]} to {asked[-1]} need {table} from {min(needed)} on, and"
                f" {len(missing)} sessions are not held, the first {missing[0]}: materialize them."
            )


def _listed_before(lake: Lake, bars: pl.DataFrame, first: date) -> list[str]:
    """The symbols without a bar in the session `first` that have bars before it."""
    begun = bars.filter(pl.col("session") == first)["symbol"]
    rest = bars["symbol"].unique()
    young = rest.filter(~rest.is_in(begun.implode())).to_list()
    if not young:
        return []
    earlier = lake.read("clean_bars", FIRST_SESSION, first, symbols=young, columns=["symbol"])
    return earlier["symbol"].unique().to_list()
