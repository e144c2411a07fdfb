"""How Alpaca is reached: keys, addresses, patience and the requests an account may make."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from trading_pipeline.errors import SettingsError

PAPER_URL: Final = "https://paper-api.alpaca.markets"
LIVE_URL: Final = "https://api.alpaca.markets"


class AlpacaAccess(BaseModel):
    """Keys and addresses of an Alpaca account, and how politely it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: SecretStr | None = Field(
        default=None, description="the key's id; APCA_API_KEY_ID is read too"
    )
    secret_key: SecretStr | None = Field(
        default=None, description="the key's secret; APCA_API_SECRET_KEY is read too"
    )
    confirm_live: bool = Field(
        default=False, description="that real money may be traded; `alpaca-live` needs it"
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="the trading API, without /v2; default: Alpaca's own, paper or live",
    )
    relay_secret: SecretStr | None = Field(
        default=None, description="signs the order updates of a relay; without it none are taken"
    )
    connect_seconds: float = Field(default=5, gt=0, description="patience with a connection")
    answer_seconds: float = Field(default=10, gt=0, description="patience with an answer")
    requests_per_minute: int = Field(
        default=200, gt=0, description="requests a minute, until the server tells its own limit"
    )
    cancel_reserve: int = Field(
        default=10, ge=0, description="requests of each minute that only cancels may use"
    )
    poll_seconds: float = Field(
        default=30, gt=0, description="between looks at the orders while the stream is silent"
    )
    late_minutes: int = Field(
        default=30,
        ge=0,
        le=390,
        description="minutes after its open until which an order may still be sent",
    )

    max_skew_seconds: float = Field(
        default=60, gt=0, description="how far Alpaca's clock may be from ours for orders to go"
    )

    def address(self, *, live: bool) -> str:
        """Return the trading API; SettingsError for a live one that was not confirmed."""
        if live and not self.confirm_live:
            raise SettingsError(
                "The broker `alpaca-live` trades real money: expected "
                "TP_ALPACA__CONFIRM_LIVE=true as a second word for it."
            )
        return (self.url or (LIVE_URL if live else PAPER_URL)).rstrip("/")

    def stream_address(self, *, live: bool) -> str:
        """Return where trade updates are streamed, on the host of the trading API."""
        return f"ws{self.address(live=live).removeprefix('http')}/stream"

    def keys(self) -> tuple[str, str]:
        """Return the key's id and secret; SettingsError without both."""
        if self.key_id is None or self.secret_key is None:
            raise SettingsError(
                "Alpaca needs a key: expected TP_ALPACA__KEY_ID and TP_ALPACA__SECRET_KEY, or "
                "APCA_API_KEY_ID and APCA_API_SECRET_KEY."
            )
        return self.key_id.get_secret_value(), self.secret_key.get_secret_value()
