"""How the market-data stream is reached, and how patiently."""

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

URL: Final = "wss://stream.data.alpaca.markets/v2/"


class FeedRules(BaseModel):
    """The feed of live quotes: which one, how many symbols, and when it counts as dead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feed: Literal["iex", "sip"] = Field(default="iex", description="the market-data feed")
    url: str | None = Field(
        default=None,
        pattern=r"^wss?://",
        description="the whole websocket URL; default: Alpaca's own of the feed",
    )
    symbol_limit: int = Field(
        default=30, gt=0, description="symbols the plan allows; 30 on the free one"
    )
    reader: Literal["alpaca", "fast"] = Field(
        default="alpaca",
        description="who reads the socket: alpaca-py's own loop, or ours, six times as fast",
    )
    silence_seconds: float = Field(
        default=60, gt=0, description="without a quote while the market is open: reconnect"
    )
    answer_seconds: float = Field(
        default=15, gt=0, description="patience with a connection, its welcome and its key"
    )
    first_delay: float = Field(default=5, gt=0, description="seconds before the first reconnect")
    longest_delay: float = Field(default=300, gt=0, description="seconds no delay exceeds")
    limited_attempts: int = Field(
        default=6,
        ge=1,
        description="connections refused as one too many before the stream gives up",
    )

    @property
    def address(self) -> str:
        """The websocket's URL."""
        return self.url or f"{URL}{self.feed}"

    def delays(self) -> Iterator[float]:
        """Yield the waits between attempts in seconds: 5, 10, 20, 40 … 300, without jitter."""
        delay = self.first_delay
        while True:
            yield min(delay, self.longest_delay)
            delay = min(delay * 2, self.longest_delay)
