"""The ways to people: Slack, PagerDuty, e-mail, and any webhook."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from trading_pipeline.adapters.alerts.access import AlertAccess

__all__ = ["AlertAccess", "Channel", "Notice", "channels"]

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something people should know of; `key` is the same for the same thing, and told once."""

    key: str
    severity: Severity
    title: str
    text: str
    at: datetime


class Channel(Protocol):
    """One way to people; which notices it takes is its own choice."""

    name: str

    def takes(self, notice: Notice) -> bool:
        """Whether it is for notices such as this."""
        ...

    def send(self, notice: Notice) -> None:
        """Deliver it; TransientError when nobody answers, RejectedError when it is not taken."""
        ...


def channels(access: AlertAccess) -> list[Channel]:
    """The channels that are set."""
    if not access.is_used:
        return []
    from trading_pipeline.adapters.alerts.mail import Mail  # noqa: PLC0415 - heavy: on first use
    from trading_pipeline.adapters.alerts.web import PagerDuty, Slack, Webhook  # noqa: PLC0415

    found: list[Channel] = []
    if access.pagerduty_key:
        found.append(PagerDuty(access.pagerduty_url, access.pagerduty_key.get_secret_value()))
    if access.slack_url:
        found.append(Slack(access.slack_url.get_secret_value()))
    if access.webhook_url:
        found.append(Webhook(access.webhook_url.get_secret_value()))
    if access.email_to:
        found.append(Mail(access))
    return found
