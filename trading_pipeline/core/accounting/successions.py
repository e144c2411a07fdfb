"""What spin-offs, symbol changes and delistings do to holdings, as entries.

Whoever lets a session happen to an account, the simulated broker or a backtest, books these.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.account import MarketSession, Succession
from trading_pipeline.core.execution.costs import CENT
from trading_pipeline.core.market.calendar import session_open

_WHOLE: Final = Decimal(1)
_SHARE: Final = Decimal("0.000001")
_PART: Final = Decimal("1e-9")
_NONE: Final = Decimal(0)


def successions(
    market: MarketSession, held: Mapping[str, Decimal], before: Mapping[str, Decimal]
) -> Iterator[CashEntry]:
    """Yield the entries of the session's successions, each on what those before it left.

    `held` are signed shares after dividends and splits, `before` the last prices in dollars. New
    shares are whole, the fraction is paid at the open of the new symbol; a change one for one keeps
    parts of a share. New shares of a spin-off that do not trade in the session are paid out at
    their announced worth, where there is one, as a dividend. The part of the cost that goes with a
    spin-off is that of its worth in the worth of both at the open.
    """
    shares = dict(held)
    for number, found in enumerate(market.successions):
        quantity = shares.get(found.symbol, _NONE)
        if not quantity:
            continue
        with localcontext(prec=60):
            entry = _entry(found, quantity, market, before)
        entry = replace(entry, entry_id=f"sim-{entry.kind}-{market.session}-{number:04}")
        if entry.new_symbol and entry.new_quantity:
            new = shares.get(entry.new_symbol, _NONE) + entry.new_quantity
            shares[entry.new_symbol] = new
        shares[found.symbol] = quantity + entry.quantity
        yield entry


def _entry(
    found: Succession, quantity: Decimal, market: MarketSession, before: Mapping[str, Decimal]
) -> CashEntry:
    exact, whole = _new_shares(found, quantity)
    price = market.opens.get(found.new_symbol or "")
    is_cash = found.keeps and price is None and found.dollars > 0
    kind = EntryKind.DIVIDEND if is_cash else EntryKind.SUCCESSION
    moves = not is_cash and found.new_symbol is not None
    lieu = (exact - whole) * (price or _worth(found, before)) if moves else _NONE
    paid = quantity * found.dollars if is_cash or not found.keeps else _NONE
    return CashEntry(
        entry_id="",
        kind=kind,
        session=market.session,
        amount=(paid + lieu).quantize(CENT, ROUND_HALF_UP),
        symbol=found.symbol,
        quantity=_NONE if found.keeps else -quantity,
        new_symbol=found.new_symbol if moves else None,
        new_quantity=whole if moves else None,
        cost_share=_cost_share(found, market, before) if moves else None,
        at=session_open(market.session),
    )


def _new_shares(found: Succession, quantity: Decimal) -> tuple[Decimal, Decimal]:
    """The new shares to a millionth, and those that are delivered."""
    if found.new_shares == 1:
        return quantity, quantity
    exact = (quantity * found.new_shares).quantize(_SHARE)
    return exact, exact.quantize(_WHOLE, ROUND_DOWN)


def _worth(found: Succession, before: Mapping[str, Decimal]) -> Decimal:
    """What a new share is worth by what was announced, or by what an old one was worth before."""
    last = found.dollars if found.keeps else before.get(found.symbol, _NONE) - found.dollars
    return max(last, _NONE) / found.new_shares if found.new_shares else _NONE


def _cost_share(found: Succession, market: MarketSession, before: Mapping[str, Decimal]) -> Decimal:
    if not found.keeps:
        return Decimal(1)
    price, stays = market.opens.get(found.new_symbol or ""), market.opens.get(found.symbol)
    if price is None or stays is None:
        worth, both = found.dollars, before.get(found.symbol, _NONE)
    else:
        worth = price * found.new_shares
        both = worth + stays
    return min(worth / both, Decimal(1)).quantize(_PART) if both else _NONE
