"""What sessions brought, from raw bars and corporate actions: prices, and what went ex."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Any, Final

import polars as pl

from trading_pipeline.core.execution.account import MarketSession, Succession
from trading_pipeline.core.market.action_kinds import (
    CASH,
    DELISTING,
    SHARES,
    SPIN_OFF,
    SYMBOL_CHANGE,
    is_void,
)
from trading_pipeline.core.market.corporate_actions import on_sessions, require_columns

_LONGEST_CLOSURE: Final = timedelta(days=10)
_LARGEST_DENOMINATOR: Final = 100
_LEAST_DECIMALS: Final = 5
"""A ratio written with fewer decimals means what it says."""

_SUCCESSIONS: Final = (SPIN_OFF, SYMBOL_CHANGE, DELISTING)

BySession = Mapping[date, Mapping[str, Decimal]]


def markets(
    bars: pl.DataFrame, actions: pl.DataFrame, sessions: Sequence[date], *, volumes: bool = False
) -> list[MarketSession]:
    """Return one `MarketSession` for each of the sessions, at least one, in their order.

    `bars` are raw, with symbol, session, open and close; a price that is missing, not finite or not
    above 0 is no price. `volumes` asks for those too, which takes a while. An ex-date on which the
    exchange is closed takes effect in the next session; several splits of a symbol in one session
    multiply, several dividends add.
    """
    require_columns(bars, ("symbol", "session", "open", "close"), "Bars")
    asked = bars.filter(pl.col("session").is_in(list(sessions)))
    opens, closes = prices(asked, "open"), prices(asked, "close")
    traded: BySession = prices(asked, "volume") if volumes else {}
    splits, dividends = actions_by_session(actions, min(sessions), max(sessions))
    successions = successions_by_session(actions, min(sessions), max(sessions))
    none: Mapping[str, Decimal] = {}
    return [
        MarketSession(
            session=session,
            opens=opens.get(session, none),
            closes=closes.get(session, none),
            splits=splits.get(session, none),
            dividends=dividends.get(session, none),
            successions=successions.get(session, ()),
            volumes=traded.get(session, none),
        )
        for session in sessions
    ]


def prices(bars: pl.DataFrame, column: str) -> BySession:
    """Return the usable prices of a column in dollars, exactly as they are written."""
    found: defaultdict[date, dict[str, Decimal]] = defaultdict(dict)
    for symbol, session, price in bars.select("symbol", "session", column).iter_rows():
        if price is not None and isfinite(price) and price > 0:
            found[session][symbol] = Decimal(repr(price))
    return found


def actions_by_session(
    actions: pl.DataFrame, first: date, last: date
) -> tuple[BySession, BySession]:
    """Return splits and dividends by the session of first…last they take effect in."""
    splits: defaultdict[date, dict[str, Decimal]] = defaultdict(dict)
    dividends: defaultdict[date, dict[str, Decimal]] = defaultdict(dict)
    for row in _placed(actions, (*SHARES, *CASH), first, last):
        session, symbol = row["session"], row["symbol"]
        if row["split_ratio"] != 1:
            held = splits[session].get(symbol, Decimal(1))
            splits[session][symbol] = held * exact_ratio(row["split_ratio"])
        if row["dividend"] != 0:
            held = dividends[session].get(symbol, Decimal(0))
            dividends[session][symbol] = held + Decimal(repr(row["dividend"]))
    return splits, dividends


def successions_by_session(
    actions: pl.DataFrame, first: date, last: date
) -> dict[date, tuple[Succession, ...]]:
    """Return spin-offs, symbol changes and delistings by the session they take effect in.

    In a session spin-offs come first. A symbol into which another turns has by then turned itself
    into what it turns into, so that a name handed on is never mixed with its old holder's.
    """
    found: defaultdict[date, list[Succession]] = defaultdict(list)
    for row in _placed(actions, _SUCCESSIONS, first, last):
        found[row["session"]].append(_succession(row))
    return {session: tuple(_in_turn(its)) for session, its in found.items()}


def _succession(row: Mapping[str, Any]) -> Succession:
    shares = row["new_shares"] if row["new_shares"] is not None else 1.0
    return Succession(
        symbol=row["symbol"],
        keeps=row["kind"] == SPIN_OFF,
        new_symbol=row["new_symbol"] or None,
        new_shares=exact_ratio(shares),
        dollars=Decimal(repr(row["dividend"])),
    )


def _in_turn(found: Sequence[Succession]) -> Iterator[Succession]:
    yield from (each for each in found if each.keeps)
    left = [each for each in found if not each.keeps]
    while left:
        names = {each.symbol for each in left}
        free = [each for each in left if each.new_symbol not in names] or left  # a ring: as told
        yield from free
        left = [each for each in left if each not in free]


def _placed(
    actions: pl.DataFrame, kinds: Sequence[str], first: date, last: date
) -> Iterator[dict[str, Any]]:
    """The actions of these kinds that take effect in first…last, with that session."""
    near = pl.col("ex_date").is_between(first - _LONGEST_CLOSURE, last)
    wanted = actions.filter(near, pl.col("kind").is_in(kinds), ~is_void())
    placed = on_sessions(wanted).filter(pl.col("session").is_between(first, last))
    return placed.sort("ex_date", "symbol", "kind").iter_rows(named=True)


def exact_ratio(ratio: float) -> Decimal:
    """Return a split's ratio, 0.33333 or 0.333333 as the third that it means.

    It means a fraction of denominator 100 at most when, rounded to the decimals that are written,
    at least five, the fraction is written just so.
    """
    near = Fraction(ratio).limit_denominator(_LARGEST_DENOMINATOR)
    exponent = Decimal(repr(ratio)).as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    if decimals >= _LEAST_DECIMALS and _is_written(near, ratio, decimals):
        return Decimal(near.numerator) / Decimal(near.denominator)
    return Decimal(repr(ratio))


def _is_written(fraction: Fraction, ratio: float, decimals: int) -> bool:
    """Whether a fraction, rounded or cut off after so many decimals, is `ratio`."""
    scale = 10**decimals
    written = round(Fraction(repr(ratio)) * scale)
    return fraction > 0 and written in {round(fraction * scale), int(fraction * scale)}
