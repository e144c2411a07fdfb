"""Alpaca's account activities that are no fills, as entries of the books.

A corporate action is told in legs: the old shares go, the new ones come, cash is paid. Its legs
bear one `group_id` where Alpaca gives one, and are else those of one kind and date.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.market.calendar import session_on_or_after, session_open

_log = logging.getLogger(__name__)

_KINDS: Final[Mapping[str, EntryKind]] = {
    **dict.fromkeys(("CSD", "CSW", "JNLC", "ACATC", "TRANS"), EntryKind.DEPOSIT),
    **dict.fromkeys(
        ("DIV", "DIVCGL", "DIVCGS", "DIVFT", "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX", "CGD"),
        EntryKind.DIVIDEND,
    ),
    **dict.fromkeys(("FEE", "CFEE", "DIVFEE", "PTC", "REG", "TAF"), EntryKind.FEE),
    **dict.fromkeys(("INT", "INTNRA", "INTTW"), EntryKind.INTEREST),
}
"""Activities of one leg; transfers are told apart by their sign, borrow by its description."""

_SPLITS: Final = frozenset({"SPLIT", "SSP"})
_SPIN_OFFS: Final = frozenset({"SPIN", "SSO"})
_CHANGES: Final = frozenset({"NC", "SC"})
_WORTHLESS: Final = "REORG"
_EXCHANGES: Final = _CHANGES | {"MA", _WORTHLESS}
"""Name and symbol changes, mergers, and shares that are worth nothing any more."""

_NONE: Final = Decimal(0)
_PART: Final = Decimal("1e-9")

Raw = Mapping[str, Any]


def entries_of(told: Iterable[Raw]) -> list[CashEntry]:
    """Return what moved cash or shares without an order, in the order in which it was told.

    What cannot be booked is left out, with a line in the log, and reconciliation finds what it
    moved: kinds that we do not know, corporate actions of which a leg is missing, and spin-offs
    that do not tell whose they are and what both are worth.
    """
    entries: list[CashEntry] = []
    for legs in _groups(told):
        entry = _entry(legs)
        if entry is None:
            _log.warning("account activity not booked", extra={"legs": [dict(leg) for leg in legs]})
        else:
            entries.append(entry)
    return entries


def _groups(told: Iterable[Raw]) -> Iterable[list[Raw]]:
    groups: defaultdict[object, list[Raw]] = defaultdict(list)
    for raw in told:
        if raw.get("status") != "canceled":
            groups[_group(raw)].append(raw)
    return groups.values()


def _group(raw: Raw) -> object:
    kind = str(raw["activity_type"])
    if kind not in _SPLITS | _SPIN_OFFS | _EXCHANGES:
        return raw["id"]
    if group := raw.get("group_id"):
        return kind, group
    return kind, str(raw["date"])[:10], raw.get("symbol") if kind in _SPLITS else None


def _entry(legs: Sequence[Raw]) -> CashEntry | None:
    kind = str(legs[0]["activity_type"])
    for kinds, booked in _OF_LEGS:
        if kind in kinds:
            return booked(legs)
    return _single(legs[0], _KINDS[kind]) if kind in _KINDS else None


def _single(raw: Raw, kind: EntryKind) -> CashEntry:
    amount = _number(raw, "net_amount")
    if kind is EntryKind.DEPOSIT and amount < 0:
        kind = EntryKind.WITHDRAWAL
    if kind is EntryKind.FEE and "borrow" in str(raw.get("description", "")).lower():
        kind = EntryKind.BORROW
    return _made(raw, kind, amount=amount, symbol=raw.get("symbol") or None)


def _split(legs: Sequence[Raw]) -> CashEntry | None:
    """The old shares go and the new ones come, or their difference does."""
    symbols = {str(leg["symbol"]) for leg in legs}
    if len(symbols) != 1:  # a unit that falls into its parts
        return None
    quantity = sum((_number(leg, "qty") for leg in legs), _NONE)
    return _made(
        legs[0], EntryKind.SPLIT, amount=_cash(legs), symbol=symbols.pop(), quantity=quantity
    )


def _exchange(legs: Sequence[Raw]) -> CashEntry | None:
    """All shares of one symbol go, for those of another, for cash, for both or for nothing."""
    gone, come = _moved(legs)
    if len(gone) != 1 or len(come) > 1 or not _is_whole(legs, come):
        return None
    (old, lost), new = gone.popitem(), next(iter(come.items()), None)
    removing = next(leg for leg in legs if leg.get("symbol") == old and _number(leg, "qty"))
    return _made(
        removing,
        EntryKind.SUCCESSION,
        amount=_cash(legs),
        symbol=old,
        quantity=lost,
        new=(*new, Decimal(1)) if new else None,
    )


def _is_whole(legs: Sequence[Raw], come: Mapping[str, Decimal]) -> bool:
    """Whether all is told that the old shares became: no leg of it is to come yet."""
    kind = legs[0]["activity_type"]
    return bool(come or kind == _WORTHLESS or (kind not in _CHANGES and _cash(legs)))


def _spin_off(legs: Sequence[Raw]) -> CashEntry | None:
    """New shares come and the old ones stay: the cost is shared by what both are worth."""
    facts = {**legs[0], **(legs[0].get("details") or {})}
    gone, come = _moved(legs)
    source = facts.get("source_symbol")
    held, old, new = (_number(facts, name) for name in ("source_qty", "source_price", "new_price"))
    if gone or len(come) != 1 or not (source and held and old and new):
        return None
    symbol, quantity = come.popitem()
    worth = abs(quantity) * new
    share = (worth / (worth + abs(held) * old)).quantize(_PART)
    return _made(
        legs[0],
        EntryKind.SUCCESSION,
        amount=_cash(legs),
        symbol=str(source),
        new=(symbol, quantity, share),
    )


_OF_LEGS: Final[Sequence[tuple[frozenset[str], Callable[[Sequence[Raw]], CashEntry | None]]]] = (
    (_SPLITS, _split),
    (_EXCHANGES, _exchange),
    (_SPIN_OFFS, _spin_off),
)


def _moved(legs: Sequence[Raw]) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Return the shares that go and those that come, by symbol; of a short the signs are turned.

    A name change says in words which is which; a short is else one that gains what it is rid of.
    """
    shares: defaultdict[str, Decimal] = defaultdict(Decimal)
    for leg in legs:
        if symbol := leg.get("symbol"):
            shares[str(symbol)] += _number(leg, "qty")
    moved = {symbol: quantity for symbol, quantity in shares.items() if quantity}
    words = str(legs[0].get("description", "")).split()
    old = words[words.index("from") + 1] if "from" in words[:-1] else None
    is_short = old in moved and moved[old] > 0
    sign = -1 if is_short else 1
    gone = {symbol: quantity for symbol, quantity in moved.items() if quantity * sign < 0}
    return gone, {symbol: quantity for symbol, quantity in moved.items() if symbol not in gone}


def _cash(legs: Sequence[Raw]) -> Decimal:
    return sum((_number(leg, "net_amount") for leg in legs), _NONE)


def _number(raw: Raw, name: str) -> Decimal:
    return Decimal(raw.get(name) or 0)


def _made(
    raw: Raw,
    kind: EntryKind,
    *,
    amount: Decimal,
    symbol: str | None,
    quantity: Decimal = _NONE,
    new: tuple[str, Decimal, Decimal] | None = None,
) -> CashEntry:
    session = session_on_or_after(date.fromisoformat(str(raw["date"])[:10]))
    new_symbol, new_quantity, cost_share = new or (None, None, None)
    return CashEntry(
        entry_id=str(raw["id"]),
        kind=kind,
        session=session,
        amount=amount,
        symbol=symbol,
        quantity=quantity,
        new_symbol=new_symbol,
        new_quantity=new_quantity,
        cost_share=cost_share,
        at=session_open(session),
    )
