"""Select: write which of the asked symbols may trade in each session, and by which version."""

import logging
from collections.abc import Iterable, Sequence
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.quality import is_suspect
from trading_pipeline.core.market.universe import UniverseRules, universe, version
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.window import checked, missing_sessions, span

_log = logging.getLogger(__name__)


def select(
    lake: Lake,
    *,
    symbols: Sequence[str],
    sessions: Iterable[date],
    rules: UniverseRules,
    members: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Write and return the universe of these sessions: symbol, session, reason, version.

    `reason` is null for what may trade. Raises MissingDataError where clean bars are not held.
    """
    asked = checked(sessions)
    if missing := missing_sessions(lake, "clean_bars", asked, symbols=symbols):
        raise MissingDataError(f"clean_bars of {missing[0]} is not held: materialize it first.")
    first, last = session_window(asked[0], rules.liquidity_sessions)[0], asked[-1]
    columns = ["symbol", "session", "close", "volume"]
    found = universe(
        symbols,
        asked,
        lake.read("clean_bars", first, last, symbols=symbols, columns=columns),
        suspects=lake.read("quarantined_bars", asked[0], last, symbols=symbols).filter(
            is_suspect()
        ),
        members=members,
        rules=rules,
    ).with_columns(version=pl.lit(version(rules, members)))
    lake.write("universe", found, asked, symbols=symbols)
    out = found["reason"].count()
    _log.info("universe written", extra={"in": found.height - out, "out": out} | span(asked))
    return found
