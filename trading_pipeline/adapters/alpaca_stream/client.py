"""alpaca-py's StockDataStream with its silences made loud: errors raise, quotes are values.

`feed` imports this module on first use, since alpaca is heavy.
"""

from collections.abc import Callable
from typing import Any, Final

import msgpack
from alpaca.data.enums import DataFeed  # noqa: TID253 - see above
from alpaca.data.live.stock import StockDataStream  # noqa: TID253

from trading_pipeline.adapters.alpaca_stream.errors import StreamError
from trading_pipeline.adapters.alpaca_stream.frames import Socket
from trading_pipeline.adapters.alpaca_stream.rules import FeedRules
from trading_pipeline.core.market.quotes import Quote

_NANOSECONDS: Final = 2
"""msgpack's word for timestamps as whole nanoseconds."""


class Client(StockDataStream):
    """One connection's protocol; connecting anew is the feed's affair.

    `take` gets each quote. `epoch` is written into it, `confirmed` is what the server says we are
    subscribed to, `frames` counts the frames that held quotes, `bad` the quotes nobody can read.
    """

    def __init__(
        self, rules: FeedRules, keys: tuple[str, str], take: Callable[[Quote], None]
    ) -> None:
        super().__init__(
            *keys,
            raw_data=True,
            feed=DataFeed(rules.feed),
            url_override=rules.address,
            data_timeout=None,
            websocket_params={
                "create_protocol": Socket,
                "ping_interval": 10,
                "ping_timeout": 20,
                "open_timeout": rules.answer_seconds,
                "close_timeout": 2,
                "compression": None,
            },
        )
        self._take, self._fast = take, rules.reader == "fast"
        self.epoch = 0
        self.confirmed: frozenset[str] = frozenset()
        self.frames = 0
        self.bad = 0

    async def want(self, symbols: list[str]) -> None:
        """Subscribe to these symbols and to no others; before a connection, for the next one."""
        held = self._handlers["quotes"]
        gone = [symbol for symbol in held if symbol not in symbols]
        self._handlers["quotes"] = dict.fromkeys(symbols, self._on_quote)
        if self._ws is None:
            return
        if gone:
            await self._send_unsubscribe_msg("quotes", gone)
        if set(symbols) - held.keys():
            await self._send_subscribe_msg()

    async def open(self) -> None:
        """Connect, show the key and subscribe; StreamError when the server says no."""
        self.confirmed = frozenset()
        await self._start_ws()
        if self._handlers["quotes"]:
            await self._send_subscribe_msg()

    async def read(self) -> None:
        """Take quotes until the connection ends, which raises."""
        self._socket.merges = True
        if not self._fast:
            await self._consume()
            return
        receive = self._socket.recv
        while True:
            for message in msgpack.unpackb(await receive(), timestamp=_NANOSECONDS):
                if message["T"] == "q":
                    self._on_raw(message)
                else:
                    await self._dispatch(message)

    @property
    def _socket(self) -> Any:
        """The connection, which alpaca-py has opened before it calls any of this."""
        return self._ws

    async def _on_quote(self, raw: dict[str, Any]) -> None:
        raw["t"] = raw["t"].to_unix_nano()
        self._on_raw(raw)

    def _on_raw(self, raw: dict[str, Any]) -> None:
        self.frames += 1
        try:
            self._take(
                Quote(
                    raw["S"],
                    raw["t"],
                    float(raw["bp"]),
                    float(raw["ap"]),
                    float(raw["bs"]),
                    float(raw["as"]),
                    raw["bx"],
                    self.epoch,
                )
            )
        except (KeyError, TypeError, ValueError):
            self.bad += 1

    async def _auth(self) -> None:
        said = {"action": "auth", "key": self._api_key, "secret": self._secret_key}
        await self._socket.send(msgpack.packb(said))
        (answer,) = msgpack.unpackb(await self._socket.recv())
        if answer["T"] == "error":
            raise StreamError(answer.get("code", 0), answer.get("msg", "refused"))

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        if msg.get("T") == "error":
            raise StreamError(msg.get("code", 0), msg.get("msg", "error"))
        if msg.get("T") == "subscription":
            self.confirmed = frozenset(msg.get("quotes") or ())
            return
        await super()._dispatch(msg)
