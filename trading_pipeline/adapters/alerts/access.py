"""Where notices go, and how many at most."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class AlertAccess(BaseModel):
    """Channels to people; one that is not set is not used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slack_url: SecretStr | None = Field(default=None, description="Slack's incoming webhook")
    slack_token: SecretStr | None = Field(
        default=None, description="the token of a Slack bot, which posts to `slack_channel`"
    )
    slack_channel: str | None = Field(default=None, description="such as #trading")
    slack_api_url: str = Field(
        default="https://slack.com/api/", description="where Slack listens to bots"
    )
    pagerduty_key: SecretStr | None = Field(
        default=None, description="PagerDuty's integration key; it is told what is critical only"
    )
    pagerduty_url: str = Field(
        default="https://events.pagerduty.com/v2/enqueue", description="where PagerDuty listens"
    )
    webhook_url: SecretStr | None = Field(
        default=None, description="any address that takes a notice as JSON by POST"
    )
    email_to: str | None = Field(default=None, description="addresses, comma-separated")
    email_from: str = Field(default="trading-pipeline@localhost", description="the sender")
    smtp_host: str = Field(default="localhost", description="the mail server")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="its port")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="how the way to the mail server is kept private"
    )
    smtp_user: str | None = Field(default=None, description="who logs in there")
    smtp_password: SecretStr | None = Field(default=None, description="with which password")
    per_hour: int = Field(
        default=20,
        ge=1,
        description="notices an hour and channel; others wait, the critical ones least",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.smtp_password and self.smtp_tls == "none":
            raise ValueError("a password is sent over starttls or tls only")
        if bool(self.slack_token) != bool(self.slack_channel):
            raise ValueError("slack_token and slack_channel are set together, or neither is")
        return self

    @property
    def is_used(self) -> bool:
        """Whether any channel is set that needs no Dagster."""
        return any((self.slack_url, self.pagerduty_key, self.webhook_url, self.email_to))
