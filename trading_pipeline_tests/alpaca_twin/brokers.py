"""The product's Alpaca broker with the twin at its other end."""

import time
from typing import Any

from pydantic import SecretStr

from trading_pipeline.adapters.alpaca_broker import AlpacaAccess, AlpacaBroker
from trading_pipeline.settings import utc_now
from trading_pipeline_tests.alpaca_twin.server import KEY, SECRET, AlpacaTwin

ANSWER_SECONDS = 30
"""Patience with a twin that answers: the machine may be busy."""

HASTY_SECONDS = 1.0
"""Patience with a twin that is told not to answer."""


def access_of(url: str, **changes: Any) -> AlpacaAccess:
    """How the twin at `url` is reached."""
    values: dict[str, Any] = {
        "key_id": SecretStr(KEY),
        "secret_key": SecretStr(SECRET),
        "url": url,
        "answer_seconds": ANSWER_SECONDS,
        "requests_per_minute": 1_000_000,
    }
    return AlpacaAccess(**values | changes)


def broker_of(twin: AlpacaTwin, **changes: Any) -> AlpacaBroker:
    """A broker at the twin that goes by the twin's clock and waits briefly."""
    return AlpacaBroker(
        access_of(twin.url, **changes),
        clock=lambda: twin.exchange.now_fixed or utc_now(),
        sleep=lambda seconds: time.sleep(min(seconds, 0.01)),
    )
