"""How Alpaca's market data is reached and how politely it is asked."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DATA_URL = "https://data.alpaca.markets"


class DataAccess(BaseModel):
    """The feed, the address, and the size and pace of requests; keys are those of the account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feed: Literal["iex", "sip"] = Field(
        default="iex", description="whose trades: one exchange, free, or all (a subscription)"
    )
    url: str = Field(
        default=DATA_URL, pattern=r"^https?://", description="the data API, without a version"
    )
    connect_seconds: float = Field(default=5, gt=0, description="patience with a connection")
    answer_seconds: float = Field(default=30, gt=0, description="patience with a page")
    requests_per_minute: int = Field(
        default=180, gt=0, description="requests a minute; the free plan allows 200"
    )
    symbols_per_request: int = Field(
        default=100, gt=0, le=1000, description="symbols of a slice of a long fetch"
    )
    sessions_per_request: int = Field(
        default=500, gt=0, description="sessions of a slice of a long fetch"
    )
