"""The parts of a day's document that are about the account: strategies, netting, reconciliation."""

from collections.abc import Mapping

from trading_pipeline.core.accounting.pnl import Change, Pnl
from trading_pipeline.core.execution.breaks import Break, Reconciliation
from trading_pipeline.flows.documents import Document, Moment, Money, Shares
from trading_pipeline.flows.mark import Accounts


class NavChange(Document):
    """How NAV moved since the session valued before: nav = realized + unrealized + flows − fees."""

    nav: Money
    realized: Money
    unrealized: Money
    flows: Money
    """Cash and shares put in, less those taken out."""
    fees: Money


class StrategyPnl(Document):
    """One strategy's part of the book, by the orders it sent; `account` is what no strategy did."""

    realized: Money
    unrealized: Money
    total: Money
    """Realized + unrealized, before fees."""
    fees: Money
    gross: Money
    net: Money
    positions: dict[str, Shares]
    """Its own signed shares, whatever the account nets."""


class NettingRow(Document):
    """A symbol that several strategies hold."""

    symbol: str
    account: Shares
    netted: Shares
    """Shares that one strategy holds and another owes, so that the account has neither."""
    strategies: dict[str, Shares]


class BreakRow(Document):
    """A difference between our books and the broker's."""

    subject: str
    kind: str
    resolution: str
    symbol: str | None
    ours: Shares
    theirs: Shares
    explanation: str


class ReconciliationBlock(Document):
    """The last comparison of our books with the broker's."""

    at: Moment
    cash: Money
    broker_cash: Money
    positions: int
    open_orders: int
    blocks_everything: bool
    blocked: tuple[str, ...]
    breaks: tuple[BreakRow, ...]


def nav_change(moved: Change) -> NavChange:
    """Return the change as the document has it."""
    return NavChange(
        nav=moved.nav,
        realized=moved.realized,
        unrealized=moved.unrealized,
        flows=moved.flows,
        fees=moved.fees,
    )


def strategies(accounts: Accounts | None) -> dict[str, StrategyPnl]:
    """Return each strategy's part of the account; of no account, none."""
    parts: Mapping[str, Pnl] = accounts.parts if accounts else {}
    return {name: _strategy(part) for name, part in parts.items()}


def netted(accounts: Accounts | None) -> tuple[NettingRow, ...]:
    """Return the symbols that several strategies hold."""
    return tuple(
        NettingRow(
            symbol=each.symbol,
            account=each.quantity,
            netted=each.netted,
            strategies=dict(each.quantities),
        )
        for each in (accounts.netting if accounts else ())
    )


def reconciliation(found: Reconciliation | None) -> ReconciliationBlock | None:
    """Return the reconciliation as the document has it."""
    if found is None:
        return None
    return ReconciliationBlock(
        at=found.at,
        cash=found.cash,
        broker_cash=found.broker_cash,
        positions=found.positions,
        open_orders=found.orders,
        blocks_everything=found.blocks_everything,
        blocked=tuple(found.blocked),
        breaks=tuple(_break(each) for each in found.breaks),
    )


def _strategy(part: Pnl) -> StrategyPnl:
    return StrategyPnl(
        realized=part.realized,
        unrealized=part.unrealized,
        total=part.total,
        fees=part.fees,
        gross=part.gross,
        net=part.net,
        positions={each.symbol: each.quantity for each in part.open_positions},
    )


def _break(found: Break) -> BreakRow:
    return BreakRow(
        subject=found.subject,
        kind=found.kind,
        resolution=found.resolution,
        symbol=found.symbol,
        ours=found.ours,
        theirs=found.theirs,
        explanation=found.explanation,
    )
