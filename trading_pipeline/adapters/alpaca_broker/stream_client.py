"""alpaca-py's TradingStream with its silences made loud: it tells when it connects and what fails.

`updates` imports this module on first use, since alpaca is heavy.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from alpaca.trading.stream import TradingStream  # noqa: TID253 - see above

from trading_pipeline.adapters.alpaca_broker.reports import update_of
from trading_pipeline.core.execution.reports import Connected, Update


class StreamClient(TradingStream):
    """The protocol of trade updates; `tell` gets each event, and never waits.

    As it comes, alpaca-py says nothing when it connects again, waits for ever for a welcome, and
    leaves the rest of a frame unread when one update cannot be parsed.
    """

    def __init__(
        self,
        keys: tuple[str, str],
        url: str,
        *,
        patience: float,
        tell: Callable[[Connected | Update | str], None],
    ) -> None:
        super().__init__(
            *keys,
            raw_data=True,
            url_override=url,
            websocket_params={
                "ping_interval": 10,
                "ping_timeout": 20,
                "open_timeout": patience,
                "close_timeout": 2,
                "max_queue": 1024,
            },
        )
        self._patience, self._tell = patience, tell
        self._connections = 0
        self.subscribe_trade_updates(_nothing)

    async def _auth(self) -> None:
        try:
            await asyncio.wait_for(super()._auth(), self._patience)
        except (TimeoutError, ValueError, AttributeError) as error:
            self._tell(f"the stream did not let us in: {error!r}")
            raise

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        stream = msg.get("stream")
        if stream == "listening":
            self._connections += 1
            self._tell(Connected(self._connections))
        if stream != "trade_updates":
            return
        try:
            self._tell(update_of(msg["data"]))
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            self._tell(f"an update cannot be read: {error!r} in {msg}")

    async def _wait_before_reconnect(self, retries: int) -> None:
        self._tell(f"the stream broke off; attempt {retries} to connect again")
        await super()._wait_before_reconnect(retries)


async def _nothing(_: Any) -> None:
    """Updates are taken in `_dispatch`; alpaca-py wants a handler all the same."""
