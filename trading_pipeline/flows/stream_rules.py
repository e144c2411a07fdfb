"""The rules of the stream of quotes: its pace, its bounds and what counts as stale."""

from pydantic import BaseModel, ConfigDict, Field


class StreamRules(BaseModel):
    """How quotes go to Redis, how long they are kept, and when one is too old."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flush_milliseconds: float = Field(
        default=5, gt=0, description="how long quotes are gathered before they are written"
    )
    flush_size: int = Field(
        default=1_000, gt=0, le=20_000, description="quotes that are written at once when they wait"
    )
    buffer: int = Field(
        default=200_000,
        gt=0,
        description="quotes kept while Redis does not answer; older ones are dropped and counted",
    )
    lease_seconds: float = Field(
        default=10, ge=3, description="after which another process may stream, if one dies"
    )
    beat_seconds: float = Field(
        default=1,
        gt=0,
        le=2,
        description="how often the lease is renewed, the state is told and wishes are read",
    )
    stale_seconds: float = Field(
        default=60, gt=0, description="a quote older than this is no longer a price"
    )
    price_seconds: int = Field(
        default=300, gt=0, description="for which latest quotes are kept after the last one"
    )
    subscribe_seconds: float = Field(
        default=300, gt=0, description="how often positions and open orders are looked at anyway"
    )
    margin_minutes: int = Field(
        default=5, ge=0, description="minutes before the open and after the close it runs"
    )
    stream_megabytes: int = Field(
        default=192, gt=0, description="memory that quotes may take in Redis; the oldest go first"
    )
    keep_ticks_days: int = Field(
        default=30, gt=0, description="days that quotes stay in Parquet; minute bars stay"
    )
