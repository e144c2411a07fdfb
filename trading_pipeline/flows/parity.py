"""Compare a backtest with what was traded on paper in the same sessions, and explain the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.execution.order import Order, OrderState
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.backtest import Ensure, Replayed, Study, replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is not the same: in which session, of what, on paper and in the backtest, and why."""

    session: date
    what: str
    paper: str
    backtest: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Both accounts side by side; `sessions` and `orders` are what was compared."""

    replayed: Replayed
    sessions: int
    orders: int
    fills: int
    differences: tuple[Difference, ...]

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        compared = f"{self.orders} orders, {self.fills} fills and {self.sessions} values"
        if not self.differences:
            return f"The backtest equals the paper account in {compared}."
        return f"{len(self.differences)} differences in {compared}."


def compare(lake: Lake, ledger: Ledger, study: Study, ensure: Ensure) -> Parity:
    """Replay the study from the paper account's own book, and return what differs.

    Raises MissingDataError when nothing was decided on paper by the strategy in those sessions.
    """
    name, sessions = study.cast.name, sessions_between(study.first, study.last)
    paper = [o for o in ledger.orders(strategy=name) if study.first <= o.session <= study.last]
    decided = [day for day in sessions if ledger.decision(name, day) is not None]
    if not decided:
        raise MissingDataError(
            f"{name} decided no session from {study.first} to {study.last} on paper: "
            "run those days first, or name others."
        )
    snapshots = {pnl.session: pnl for pnl in ledger.snapshots(_ALL)}
    begun = replace(study, first=decided[0])
    replayed = replay(lake, begun, ensure, opening=ledger.entries(decided[0]))
    last = replayed.result.sessions[-1]  # its orders wait for an open that is not replayed
    theirs = {o.client_order_id: o for o in paper if o.session < last}
    ours = {o.client_order_id: o for o in replayed.result.orders if o.session < last}
    days = {pnl.session: pnl for pnl in replayed.result.pnls}
    valued = sorted(snapshots.keys() & days.keys())
    stored = lake.read("target_weights", study.first, study.last)
    reasons = _Reasons(replayed, stored.filter(pl.col("strategy") == name), decided)
    found = [
        *_order_differences(theirs, ours, reasons),
        *_value_differences({day: snapshots[day] for day in valued}, days),
    ]
    return Parity(
        replayed=replayed,
        sessions=len(valued),
        orders=len(theirs.keys() | ours.keys()),
        fills=sum(order.filled_quantity > 0 for order in theirs.values()),
        differences=tuple(sorted(found, key=lambda each: (each.session, each.what))),
    )


_ALL = 100_000


class _Reasons:
    """Why an order is not the same, looked for in the order in which a day decides."""

    def __init__(self, replayed: Replayed, stored: pl.DataFrame, decided: Sequence[date]) -> None:
        self._decided = set(decided)
        self._weights = [_by_key(stored), _by_key(replayed.targets)]
        self._since: date | None = None

    def of(self, order: Order, theirs: Order | None, ours: Order | None) -> str:
        """Return the reason, and remember that books differ from here on."""
        why = self._of(order, theirs, ours)
        self._since = min(self._since or order.session, order.session)
        return why

    def _of(self, order: Order, theirs: Order | None, ours: Order | None) -> str:
        if order.session not in self._decided:
            return "the session was not decided on paper"
        key = (order.symbol, order.session)
        then, now = (weights.get(key) for weights in self._weights)
        if then != now:
            return f"the target weight was {then} and would be {now}: data, model or rules changed"
        if theirs and ours and theirs.reference_price != ours.reference_price:
            return (
                f"the close was {theirs.reference_price} and is now {ours.reference_price}: "
                "data were restated"
            )
        if self._since is not None and self._since < order.session:
            return f"the books differ since {self._since}"
        return _by_state(theirs, ours)


def _by_state(theirs: Order | None, ours: Order | None) -> str:
    sides = (("on paper", theirs), ("in the backtest", ours))
    for where, order in sides:
        if order is not None and order.state is OrderState.BLOCKED:
            return f"blocked {where} by {order.code}: {order.reason}"
    if theirs is None or ours is None or theirs.quantity != ours.quantity:
        return "the rules of sizing or the book at the start were others"
    if theirs.state is not ours.state:
        where, order = next(
            (side for side in sides if side[1] and side[1].state is not OrderState.FILLED), sides[0]
        )
        reason = order.reason if order else ""
        return f"{order.state if order else ''} {where}: {reason or 'no reason was given'}"
    prices = [each.average_fill_price for each in (theirs, ours)]
    return (
        f"the fill was at {prices[0]} and would be at {prices[1]}: slippage, spread or impact are "
        "others"
    )


def _order_differences(
    theirs: Mapping[str, Order], ours: Mapping[str, Order], reasons: _Reasons
) -> Iterator[Difference]:
    both = {**theirs, **ours}
    for name in sorted(both, key=lambda each: (both[each].session, both[each].sequence)):
        paper, made = theirs.get(name), ours.get(name)
        if _said(paper) == _said(made):
            continue
        order = both[name]
        yield Difference(
            session=order.session,
            what=f"order {order.side} {order.symbol}",
            paper=_said(paper),
            backtest=_said(made),
            why=reasons.of(order, paper, made),
        )


def _said(order: Order | None) -> str:
    if order is None:
        return "none"
    price = f" at {order.average_fill_price}" if order.average_fill_price is not None else ""
    code = f" ({order.code})" if order.code else ""
    return f"{order.quantity} {order.state}{price}{code}"


def _value_differences(
    theirs: Mapping[date, Pnl], ours: Mapping[date, Pnl]
) -> Iterator[Difference]:
    """Yield the sessions in which NAV is another, and of which part of it."""
    before = Decimal(0)
    for session, paper in theirs.items():
        made = ours[session]
        gap = made.nav - paper.nav
        if gap != before:
            fees, cash = made.fees - paper.fees, made.cash - paper.cash
            yield Difference(
                session=session,
                what="NAV",
                paper=str(paper.nav),
                backtest=str(made.nav),
                why=f"the gap moved from {before} to {gap}; of it fees {fees}, cash {cash}, "
                f"holdings {made.net - paper.net}",
            )
        before = gap


def _by_key(targets: pl.DataFrame) -> dict[tuple[str, date], float]:
    rows = targets.select("symbol", "session", "target_weight").iter_rows()
    return {(symbol, session): weight for symbol, session, weight in rows}
