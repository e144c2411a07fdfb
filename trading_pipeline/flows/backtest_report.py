"""The document a backtest leaves behind: as JSON, and as one self-contained page."""

from collections.abc import Sequence
from datetime import date
from math import isnan
from pathlib import Path

from trading_pipeline.adapters import plots, report_files
from trading_pipeline.core.accounting.performance import (
    Performance,
    annualized_return,
    drawdowns,
    returns,
    rolling,
)
from trading_pipeline.core.backtest.attribution import by_symbol, capacity, monthly, paid
from trading_pipeline.core.backtest.costs import liquidity
from trading_pipeline.core.backtest.metrics import Metrics, metrics
from trading_pipeline.core.backtest.study import benchmark, buckets, decay
from trading_pipeline.flows.backtest import Replayed
from trading_pipeline.flows.backtest_document import (
    BacktestReport,
    CostRow,
    Counts,
    DecayRow,
    Figures,
    MonthRow,
    SymbolRow,
)

ROLLING = 63
"""Sessions of a rolling figure: a quarter."""


def build(
    replayed: Replayed, *, parameters: dict[str, str], trials: Sequence[float] = ()
) -> BacktestReport:
    """Return the document of a backtest.

    `trials` are the annualized Sharpe ratios of all other trials of the strategy on record.
    """
    study, result = replayed.study, replayed.result
    series = returns(result.navs, [pnl.cash_in for pnl in result.pnls])
    skipped = len(replayed.panel.sessions) - len(result.sessions)
    against = benchmark(replayed.panel, study.rules.benchmark)[skipped:]
    own = metrics(result).performance.sharpe
    tried = [*trials, own] if own is not None else list(trials)
    found = metrics(result, benchmark=against, trials=tried)
    market = liquidity(
        replayed.history.bars, replayed.history.actions, convention=study.rules.adjustment
    )
    room = capacity(result, market)
    return BacktestReport(
        strategy=study.cast.name,
        first_session=result.sessions[0],
        last_session=result.sessions[-1],
        symbols=study.cast.symbols,
        models=dict(replayed.versions),
        parameters=parameters,
        benchmark=study.rules.benchmark or "the universe, equally weighted",
        capital=result.pnls[0].cash_in,
        final_nav=result.navs[-1],
        figures=_figures(found, against, trials=len(tried), room=room),
        counts=Counts(
            orders=len(result.orders),
            fills=found.fills,
            blocked=found.blocked,
            expired=found.expired,
            breaker_trips=len(result.trips),
        ),
        costs=_costs(replayed),
        months=_months(result.sessions[1:], series),
        buckets=tuple(buckets(replayed.signals, replayed.panel)),
        decay=_decay(replayed),
        symbols_gained=tuple(
            SymbolRow(symbol=name, gain=gain) for name, gain in by_symbol(result).items()
        ),
        sessions=result.sessions,
        nav=tuple(float(nav) for nav in result.navs),
        benchmark_nav=_wealth(float(result.navs[0]), against),
        trips=tuple(trip.sentence for trip in result.trips),
        summary=_summary(found.performance, study.cast.name),
    )


def save(report: BacktestReport, path: Path) -> Path:
    """Write the document as .json or .html, by the path's suffix, and return the path."""
    report_files.require_writable(path)
    if path.suffix.lower() == ".html":
        document = report.model_dump(mode="json")
        template = "backtest_report.html.j2"
        return report_files.write_html(path, document, pictures(report), template=template)
    if path.suffix.lower() == ".csv":
        rows = [
            {"session": day, "nav": nav, "benchmark": other}
            for day, nav, other in zip(
                report.sessions, report.nav, report.benchmark_nav, strict=True
            )
        ]
        return report_files.write_csv(path, rows, ["session", "nav", "benchmark"])
    return report_files.write_text(path, report.model_dump_json(indent=2) + "\n")


def pictures(report: BacktestReport) -> dict[str, str]:
    """Return the page's plots as `<svg>`; one that has nothing to show is absent."""
    series = [now / before - 1 for before, now in zip(report.nav, report.nav[1:], strict=False)]
    days = report.sessions
    lines = {report.strategy: report.nav, "benchmark": report.benchmark_nav}
    figures = {"equity": plots.curves(days, lines, name="equity")}
    if series:
        figures["drawdown"] = plots.drawdown(days[1:], drawdowns(series))
    if len(series) > ROLLING:
        recent = days[ROLLING:]
        for name, values in rolling(series, ROLLING).items():
            figures[f"rolling_{name}"] = plots.curves(recent, {name: values}, name=name)
    if report.buckets:
        figures["buckets"] = plots.bars(
            {str(place): mean for place, mean in enumerate(report.buckets, 1)}, name="buckets"
        )
    if report.decay:
        figures["decay"] = plots.bars(
            {str(row.horizon): row.rank_ic for row in report.decay}, name="decay"
        )
    return {name: plots.to_svg(figure) for name, figure in figures.items()}


def _figures(
    found: Metrics, against: Sequence[float], *, trials: int, room: float | None
) -> Figures:
    its, line = found.performance, found.benchmark
    low, high = its.sharpe_interval or (None, None)
    below, above = (line.alpha_interval if line else None) or (None, None)
    return Figures(
        sessions=its.sessions,
        total_return=its.total_return,
        annualized_return=its.annualized_return,
        volatility=its.volatility,
        sharpe=its.sharpe,
        sharpe_low=low,
        sharpe_high=high,
        deflated_sharpe=found.deflated_sharpe,
        trials=trials,
        sortino=found.sortino,
        max_drawdown=its.max_drawdown,
        calmar=found.calmar,
        hit_rate=its.win_rate,
        average_win=its.average_win,
        average_loss=its.average_loss,
        profit_factor=found.profit_factor,
        turnover=found.turnover,
        gross_exposure=found.gross_exposure,
        net_exposure=found.net_exposure,
        alpha=line.alpha if line else None,
        alpha_low=below,
        alpha_high=above,
        beta=line.beta if line else None,
        correlation=line.correlation if line else None,
        benchmark_return=_wealth(1.0, against)[-1] - 1,
        benchmark_annualized=annualized_return(against),
        capacity=room,
    )


def _costs(replayed: Replayed) -> tuple[CostRow, ...]:
    result = replayed.result
    found = paid(result, replayed.history.bars)
    years = (len(result.sessions) - 1) / 252
    mean = sum(float(nav) for nav in result.navs) / len(result.navs)
    kinds = ("commission", "slippage", "borrow", "interest", "total", "delay", "dividends")
    return tuple(
        CostRow(
            kind=kind,
            dollars=getattr(found, kind),
            per_year=float(getattr(found, kind)) / mean / years if years and mean > 0 else None,
        )
        for kind in kinds
    )


def _months(sessions: Sequence[date], series: Sequence[float]) -> tuple[MonthRow, ...]:
    found = monthly(sessions, series)
    rows: list[MonthRow] = []
    for year in sorted({year for year, _ in found}):
        months = tuple(found.get((year, month)) for month in range(1, 13))
        total = _wealth(1.0, [value for value in months if value is not None])[-1] - 1
        rows.append(MonthRow(year=year, months=months, total=total))
    return tuple(rows)


def _decay(replayed: Replayed) -> tuple[DecayRow, ...]:
    return tuple(
        DecayRow(
            horizon=row.horizon,
            rank_ic=row.rank_ic.value,
            low=_finite(row.rank_ic.low),
            high=_finite(row.rank_ic.high),
        )
        for row in decay(replayed.signals, replayed.panel)
    )


def _finite(value: float) -> float | None:
    return None if isnan(value) else value


def _wealth(start: float, series: Sequence[float]) -> tuple[float, ...]:
    wealth = [start]
    for value in series:
        wealth.append(wealth[-1] * (1 + value))
    return tuple(wealth)


def _summary(its: Performance, strategy: str) -> str:
    said = f"{strategy} returned {its.total_return:+.1%} in {its.sessions} sessions"
    if its.sharpe is None or its.sharpe_interval is None:
        return f"{said}."
    low, high = its.sharpe_interval
    sure = "may be luck" if low <= 0 <= high else "is more than luck"
    figure = f"Sharpe {its.sharpe:+.2f} (95% interval {low:+.2f} to {high:+.2f})"
    return f"{said}; its {figure} {sure}."
