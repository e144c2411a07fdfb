"""The account of a dense backtest, session by session and share by share: compiled."""

from typing import NamedTuple

import numpy as np

from trading_pipeline.core.backtest.market import MARK_SESSIONS
from trading_pipeline.core.backtest.panel import Panel, Values
from trading_pipeline.core.backtest.rules import BacktestRules
from trading_pipeline.core.execution.costs import BASIS_POINTS, MONEY_YEAR
from trading_pipeline.core.features.compiled.compiling import kept

_NOTHING = 1e-9
"""A change of shares smaller than this share of the position is rounding, and no trade."""

_YOUNG = MARK_SESSIONS


class Sheet(NamedTuple):
    """The arrays of a panel; `years` since the session before, by which money is counted."""

    open: Values
    close: Values
    age: Values
    split: Values
    dividend: Values
    volume: Values
    dollars: Values
    volatility: Values
    years: Values


class Quote(NamedTuple):
    """What a symbol trades at in a session, and its liquidity as known at the close before."""

    open: float
    volume: float
    dollars: float
    volatility: float


class Terms(NamedTuple):
    """The rules as numbers: dollars, shares and rates."""

    capital: float
    most: float
    compound: bool
    slippage: float
    rate: float
    minimum: float
    half_spread: float
    impact: float
    participation: float
    borrow: float
    interest: float
    worth: float


def sheet(panel: Panel) -> Sheet:
    """Return the panel's arrays."""
    days = [each.toordinal() for each in panel.sessions]
    return Sheet(
        open=panel.open,
        close=panel.close,
        age=panel.age,
        split=panel.split,
        dividend=panel.dividend,
        volume=panel.volume,
        dollars=panel.dollars,
        volatility=panel.volatility,
        years=np.diff(days, prepend=days[0]) / float(MONEY_YEAR),
    )


def terms(rules: BacktestRules) -> Terms:
    """Return the rules as numbers."""
    costs, frictions = rules.costs, rules.frictions
    share = costs.max_participation
    return Terms(
        capital=float(rules.sizing.capital),
        most=float(rules.sizing.max_position_size),
        compound=rules.compound,
        slippage=float(costs.slippage_bps / BASIS_POINTS),
        rate=float(costs.commission_per_share),
        minimum=float(costs.minimum_commission),
        half_spread=float(frictions.spread_bps / 2 / BASIS_POINTS),
        impact=frictions.impact,
        participation=np.inf if share is None else float(share),
        borrow=float(costs.borrow_rate),
        interest=float(frictions.cash_rate),
        worth=1 + float(rules.delisting_return),
    )


@kept
def walk(weights: Values, sheet: Sheet, terms: Terms) -> Values:
    """Return the net asset value at each close in dollars, shape (sessions,)."""
    rows, lanes = weights.shape
    navs, held, cash = np.empty(rows), np.zeros(lanes), terms.capital
    wanted = np.full(lanes, np.nan)
    for at in range(rows):
        if at:
            cash += sheet.years[at] * _financed(held, cash, sheet.close[at - 1], terms)
        for lane in range(lanes):
            before, aim = held[lane], wanted[lane]
            if before != 0:
                cash += sheet.dividend[at, lane] * before
                held[lane] *= sheet.split[at, lane]
            if at and not np.isnan(aim) and not np.isnan(sheet.open[at, lane]):
                change, paid = _traded(before, aim, _quote(sheet, at, lane), terms)
                held[lane] += change
                cash -= paid
        cash += _written_off(held, sheet.close[at], sheet.age[at], terms.worth)
        navs[at] = cash + _worth(held, sheet.close[at])
        size = max(navs[at], 0.0) if terms.compound else terms.capital
        for lane in range(lanes):
            price = sheet.close[at, lane] if sheet.age[at, lane] < _YOUNG else np.nan
            wanted[lane] = _sized(weights[at, lane], price, size, terms.most)
    return navs


@kept
def _financed(held: Values, cash: float, close: Values, terms: Terms) -> float:
    """Return a year's interest on cash less a year's fees on shorts."""
    got = max(cash, 0.0) * terms.interest
    if terms.borrow > 0:
        for lane in range(len(held)):
            if held[lane] < 0:
                got += held[lane] * close[lane] * terms.borrow
    return got


@kept
def _quote(sheet: Sheet, at: int, lane: int) -> Quote:
    return Quote(
        sheet.open[at, lane],
        sheet.volume[at, lane],
        sheet.dollars[at - 1, lane],
        sheet.volatility[at - 1, lane],
    )


@kept
def _traded(before: float, aim: float, quote: Quote, terms: Terms) -> tuple[float, float]:
    """Return the shares that changed hands and what was paid; crossing zero is two orders."""
    least = _NOTHING * max(abs(before), abs(aim))
    if before * aim >= 0:
        return _filled(aim - before, least, quote, terms)
    first, then = _filled(-before, least, quote, terms), _filled(aim, least, quote, terms)
    return first[0] + then[0], first[1] + then[1]


@kept
def _filled(change: float, least: float, quote: Quote, terms: Terms) -> tuple[float, float]:
    """Return the shares of one order that fill, and what is paid for them with its commission."""
    size, sign, worse = abs(change), np.sign(change), terms.half_spread
    if terms.impact > 0 and not np.isnan(quote.dollars):
        share = size * quote.open / quote.dollars
        worse += terms.impact * quote.volatility * np.sqrt(share)
    if size > least and terms.participation < np.inf:
        volume = 0.0 if np.isnan(quote.volume) else quote.volume
        size = min(size, np.floor(volume * terms.participation))
    if size <= least:
        return 0.0, 0.0
    price = quote.open * max(1 + sign * worse, 0.01) * (1 + sign * terms.slippage)
    return sign * size, sign * size * price + max(size * terms.rate, terms.minimum)


@kept
def _written_off(held: Values, close: Values, age: Values, worth: float) -> float:
    """Close what trades no more, and return the dollars it brings."""
    got = 0.0
    for lane in range(len(held)):
        if held[lane] != 0 and age[lane] >= _YOUNG:
            got += held[lane] * close[lane] * worth
            held[lane] = 0.0
    return got


@kept
def _worth(held: Values, close: Values) -> float:
    total = 0.0
    for lane in range(len(held)):
        if held[lane] != 0:
            total += held[lane] * close[lane]
    return total


@kept
def _sized(weight: float, price: float, capital: float, most: float) -> float:
    """Return the signed shares wanted; NaN where there is no weight, or no price to size at."""
    return np.sign(weight) * min(abs(weight) * capital, most) / price
