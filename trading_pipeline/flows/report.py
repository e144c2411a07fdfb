"""Gather what a day left behind into one document, and write it as a file."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from trading_pipeline.adapters import plots, report_files
from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.core.accounting.pnl import Pnl, PositionPnl
from trading_pipeline.core.execution.breaks import Reconciliation
from trading_pipeline.core.execution.order import Decision, Fill, Order, OrderState
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.flows import account_report, outcome
from trading_pipeline.flows.day_report import (
    CheckRow,
    DayReport,
    ModelUsed,
    NavRow,
    OrderRow,
    Parameters,
    PnlBlock,
    PositionRow,
    Results,
    SignalRow,
    SkipRow,
    SymbolPnl,
)
from trading_pipeline.flows.mark import Accounts

FINISHED: Final = "finished"
"""The phase that a run comes to with its report."""

_PRICE_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a day left behind, as its flows returned it.

    `signals` and `target_weights` are the lake's tables of `session`; `orders` are `decision`'s,
    as they stand; `skips` are the reasons of symbols without an order; `pnl` and `snapshots` are of
    the book, newest last.
    """

    run_id: str
    started_at: datetime
    finished_at: datetime
    session: date
    trade_session: date
    parameters: Parameters
    signals: pl.DataFrame
    target_weights: pl.DataFrame
    model: ModelUsed | None = None
    decision: Decision | None = None
    orders: Sequence[Order] = ()
    fills: Sequence[Fill] = ()
    skips: Mapping[str, str] = field(default_factory=dict[str, str])
    pnl: Pnl | None = None
    snapshots: Sequence[Pnl] = ()
    accounts: Accounts | None = None
    reconciliation: Reconciliation | None = None
    checks: Sequence[CheckOutcome] = ()


def build(day: Day) -> DayReport:
    """Return the document of a day."""
    history = _nav_history(day)
    return DayReport(
        run_id=day.run_id,
        timestamp=day.started_at,
        generated_at=day.finished_at,
        session=day.session,
        trade_session=day.trade_session,
        valued_session=day.pnl.session if day.pnl else None,
        status=outcome.status(day.orders, day.checks, dry_run=day.parameters.dry_run),
        summary=outcome.summary(day.orders, day.checks, day.trade_session)
        + outcome.decided_before(day.decision, day.run_id),
        parameters=day.parameters,
        model=day.model,
        results=_results(day),
        signals=_signals(day),
        orders=_orders(day),
        skips=tuple(
            SkipRow(symbol=symbol, reason=day.skips[symbol]) for symbol in sorted(day.skips)
        ),
        positions=positions(day.pnl),
        pnl=_pnl(day.pnl, history, day.accounts) if day.pnl else None,
        strategies=account_report.strategies(day.accounts),
        netting=account_report.netted(day.accounts),
        reconciliation=account_report.reconciliation(day.reconciliation),
        nav_history=history,
        checks=tuple(
            CheckRow(
                name=check.name,
                passed=check.passed,
                blocking=check.blocking,
                sentence=check.sentence,
            )
            for check in day.checks
        ),
    )


def positions(pnl: Pnl | None) -> tuple[PositionRow, ...]:
    """Return the open positions of a valued book; of no book, none."""
    return tuple(
        PositionRow(
            symbol=position.symbol,
            qty=position.quantity,
            average_cost=(position.cost / position.quantity).quantize(_PRICE_STEP),
            mark=position.mark.price,
            mark_source=position.mark.source,
            value=position.value,
            unrealized=position.unrealized,
        )
        for position in (pnl.open_positions if pnl else ())
        if position.mark
    )


def record(ledger: Ledger, report: DayReport) -> None:
    """Append to the ledger that the run came to its report, with the counts that `status` shows."""
    counts = {
        "status": report.status,
        "num_signals": report.results.num_signals,
        "num_orders_accepted": report.results.num_orders_accepted,
    }
    ledger.append_run(
        Run(
            run_id=report.run_id,
            phase=FINISHED,
            session=report.session,
            at=report.generated_at,
            detail=counts,
        )
    )


def save(report: DayReport, path: Path) -> list[Path]:
    """Write the document in the format of the path's suffix and return the files.

    JSON is the document itself; HTML one page with its plots; CSV the orders, with the positions in
    `<name>_positions.csv` beside them.

    Raises:
        SettingsError: the suffix names no format, or the file cannot be written.
    """
    report_files.require_writable(path)
    return _WRITERS[path.suffix.lower()](report, path)


def _save_json(report: DayReport, path: Path) -> list[Path]:
    return [report_files.write_text(path, report.model_dump_json(indent=2) + "\n")]


def _save_csv(report: DayReport, path: Path) -> list[Path]:
    document = report.model_dump(mode="json")
    beside = path.with_name(f"{path.stem}_positions{path.suffix}")
    return [
        report_files.write_csv(path, document["orders"], list(OrderRow.model_fields)),
        report_files.write_csv(beside, document["positions"], list(PositionRow.model_fields)),
    ]


def _save_html(report: DayReport, path: Path) -> list[Path]:
    document = report.model_dump(mode="json")
    return [report_files.write_html(path, document, pictures(report))]


_WRITERS: Final = {".json": _save_json, ".csv": _save_csv, ".html": _save_html}


def pictures(report: DayReport) -> Mapping[str, str]:
    """Return the page's plots as `<svg>`; one that has nothing to show is absent."""
    found: dict[str, str] = {}
    if history := [(row.session, float(row.nav)) for row in report.nav_history]:
        cash_in = float(report.nav_history[-1].cash_in)
        found["equity_curve"] = plots.to_svg(plots.equity_curve(history, cash_in=cash_in))
    if shares := {row.symbol: row.target_weight for row in report.signals if row.target_weight}:
        found["weights"] = plots.to_svg(plots.weights(shares))
    return found


def _results(day: Day) -> Results:
    states = Counter(order.state for order in day.orders)
    submitted = sum(outcome.is_submitted(order) for order in day.orders)
    accepted = sum(outcome.is_accepted(order) for order in day.orders)
    return Results(
        num_signals=day.signals.height,
        num_orders_planned=len(day.orders),
        num_orders_submitted=submitted,
        num_orders_accepted=accepted,
        num_orders_rejected=states[OrderState.REJECTED],
        num_orders_blocked=states[OrderState.BLOCKED],
        num_orders_filled=states[OrderState.FILLED],
        total_notional=outcome.notional(day.orders),
        success_rate=accepted / submitted if submitted else 0.0,
        duration_seconds=round((day.finished_at - day.started_at).total_seconds(), 3),
    )


def _signals(day: Day) -> tuple[SignalRow, ...]:
    weights = dict(day.target_weights.select("symbol", "target_weight").iter_rows())
    rows: Iterable[dict[str, Any]] = (
        day.signals.sort("rank", "symbol").select("symbol", "score", "rank").iter_rows(named=True)
    )
    return tuple(SignalRow(**row, target_weight=weights.get(row["symbol"], 0.0)) for row in rows)


def _orders(day: Day) -> tuple[OrderRow, ...]:
    commissions: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in day.fills:
        commissions[fill.client_order_id] += fill.commission
    return tuple(
        OrderRow(
            symbol=order.symbol,
            side=order.side,
            qty=order.quantity,
            reference_price=order.reference_price,
            status=order.state,
            client_order_id=order.client_order_id,
            filled_qty=order.filled_quantity,
            filled_price=order.average_fill_price,
            commission=commissions[order.client_order_id],
            code=order.code,
            reason=order.reason,
        )
        for order in day.orders
    )


def _pnl(pnl: Pnl, history: Sequence[NavRow], accounts: Accounts | None) -> PnlBlock:
    return PnlBlock(
        realized=pnl.realized,
        unrealized=pnl.unrealized,
        total=pnl.total,
        fees=pnl.fees,
        nav=pnl.nav,
        nav_change=_nav_change(history),
        change=account_report.nav_change(accounts.change) if accounts else None,
        cash=pnl.cash,
        cash_in=pnl.cash_in,
        gross=pnl.gross,
        net=pnl.net,
        open_positions=len(pnl.open_positions),
        closed_positions=len(pnl.closed_positions),
        unpriced=pnl.unpriced,
        per_symbol={position.symbol: _symbol_pnl(position) for position in pnl.positions},
    )


def _symbol_pnl(position: PositionPnl) -> SymbolPnl:
    return SymbolPnl(
        status="open" if position.is_open else "closed",
        realized=position.realized,
        unrealized=position.unrealized,
        total=position.total,
        dividends=position.dividends,
        fees=position.fees,
    )


def _nav_history(day: Day) -> tuple[NavRow, ...]:
    """The last snapshot of each session up to the valued one, oldest first."""
    if day.pnl is None:
        return ()
    last = {
        snapshot.session: snapshot
        for snapshot in (*day.snapshots, day.pnl)
        if snapshot.session <= day.pnl.session
    }
    return tuple(
        NavRow(session=session, nav=last[session].nav, cash_in=last[session].cash_in)
        for session in sorted(last)
    )


def _nav_change(history: Sequence[NavRow]) -> Decimal | None:
    if len(history) < 2:
        return None
    before, now = history[-2:]
    return (now.nav - before.nav) - (now.cash_in - before.cash_in)
