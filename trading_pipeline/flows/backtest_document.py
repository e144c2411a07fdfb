"""The shape of the document a backtest leaves behind; its JSON form is what others read."""

from datetime import date

from pydantic import FiniteFloat

from trading_pipeline.flows.day_report import Document, Money

VERSION = 1


class Figures(Document):
    """All figures; returns, shares and rates are fractions, null where they cannot be had."""

    sessions: int
    total_return: FiniteFloat
    annualized_return: FiniteFloat | None
    volatility: FiniteFloat | None
    sharpe: FiniteFloat | None
    sharpe_low: FiniteFloat | None
    sharpe_high: FiniteFloat | None
    deflated_sharpe: FiniteFloat | None
    trials: int
    sortino: FiniteFloat | None
    max_drawdown: FiniteFloat
    calmar: FiniteFloat | None
    hit_rate: FiniteFloat | None
    average_win: FiniteFloat | None
    average_loss: FiniteFloat | None
    profit_factor: FiniteFloat | None
    turnover: FiniteFloat | None
    gross_exposure: FiniteFloat | None
    net_exposure: FiniteFloat | None
    alpha: FiniteFloat | None
    alpha_low: FiniteFloat | None
    alpha_high: FiniteFloat | None
    beta: FiniteFloat | None
    correlation: FiniteFloat | None
    benchmark_return: FiniteFloat
    benchmark_annualized: FiniteFloat | None
    capacity: FiniteFloat | None


class CostRow(Document):
    """What trading and holding cost, in dollars; `per_year` over the mean NAV."""

    kind: str
    dollars: Money
    per_year: FiniteFloat | None


class MonthRow(Document):
    """A year's returns by month, null where nothing was earned, and of the year."""

    year: int
    months: tuple[FiniteFloat | None, ...]
    total: FiniteFloat


class DecayRow(Document):
    """Mean daily rank IC with the return of the session so many sessions later."""

    horizon: int
    rank_ic: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None


class SymbolRow(Document):
    """What a symbol earned after its fees, in dollars."""

    symbol: str
    gain: Money


class Counts(Document):
    """What became of the orders, and how often the breaker stopped trading."""

    orders: int
    fills: int
    blocked: int
    expired: int
    breaker_trips: int


class BacktestReport(Document):
    """A backtest: what was replayed, what it came to, and where that came from."""

    schema_version: int = VERSION
    strategy: str
    first_session: date
    last_session: date
    symbols: tuple[str, ...]
    models: dict[str, str]
    """The version of each model asked, `rules` where none is."""
    parameters: dict[str, str]
    benchmark: str
    capital: Money
    final_nav: Money
    figures: Figures
    counts: Counts
    costs: tuple[CostRow, ...]
    months: tuple[MonthRow, ...]
    buckets: tuple[FiniteFloat, ...]
    """Mean return of the session after, by score: the worst part of the universe first."""
    decay: tuple[DecayRow, ...]
    symbols_gained: tuple[SymbolRow, ...]
    sessions: tuple[date, ...]
    nav: tuple[FiniteFloat, ...]
    benchmark_nav: tuple[FiniteFloat, ...]
    trips: tuple[str, ...]
    summary: str
