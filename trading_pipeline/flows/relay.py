"""Take order updates from a relay over HTTP: signed, fresh, and booked as every other report.

The function behind an HTTP edge, which hands over the raw body and the header X-Alpaca-Signature
and sends the reply. The signature is HMAC-SHA256 of the raw body, in hex.
"""

import hashlib
import hmac
import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr

from trading_pipeline.adapters.alpaca_broker import update_of
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.reports import Update
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.announce import Announcer, of_fills
from trading_pipeline.flows.trade_updates import Outcome, book

_log = logging.getLogger(__name__)

SIGNATURE: Final = "X-Alpaca-Signature"
"""The header that bears the signature, with or without `sha256=` ahead of it."""

WINDOW: Final = timedelta(minutes=5)
"""How far an update's own time may lie from ours: what was recorded cannot be played later."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The HTTP status to answer with, what became of the update, and why."""

    status: int
    outcome: str
    why: str = ""


def receive(
    ledger: Ledger,
    body: bytes,
    signature: str | None,
    *,
    secret: SecretStr | None,
    now: datetime,
    announcer: Announcer | None = None,
) -> Reply:
    """Check, read and book one update, and return the reply; nothing is read before the check.

    A fill that it brings is told by `announcer`.

    503 without a secret, or while the ledger is busy: the relay is to try again. 401 for a
    signature that is missing or wrong, or a time further than WINDOW from `now`. 400 for a body
    that is no JSON object. Else 200, also for what is ignored: orders that are not ours, and
    updates without what an order update has.
    """
    if secret is None or not secret.get_secret_value():
        return Reply(503, "unavailable", "no secret is set, so nothing can be believed")
    if not _is_signed(body, signature, secret):
        _log.warning("relay refused", extra={"bytes": len(body)})
        return Reply(401, "refused", "the signature is missing or wrong")
    try:
        raw = json.loads(body)
    except ValueError:
        return Reply(400, "refused", "the body is not JSON")
    if not isinstance(raw, dict):
        return Reply(400, "refused", "the body is no JSON object")
    try:
        update = update_of(raw)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        return Reply(200, Outcome.IGNORED, f"it is no order update: {error!r}")
    return _book(ledger, update, now, announcer or Announcer(None))


def _is_signed(body: bytes, signature: str | None, secret: SecretStr) -> bool:
    expected = hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).hexdigest()
    given = (signature or "").strip().lower().removeprefix("sha256=")
    return hmac.compare_digest(expected.encode(), given.encode())


def _book(ledger: Ledger, update: Update, now: datetime, announcer: Announcer) -> Reply:
    if abs(now - update.at) > WINDOW:
        return Reply(401, "refused", f"its time {update.at:%Y-%m-%d %H:%M:%S} UTC is not now")
    try:
        done = book(ledger, update, now=now)
    except TransientError as error:
        return Reply(503, "unavailable", str(error))
    announcer.tell(of_fills([done.fill] if done.fill else [], now=now))
    return Reply(200, done.outcome, done.why)
